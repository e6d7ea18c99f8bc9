"""What `kwsctl federate deploy` writes; needs no flwr."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kwsctl import bundle
from kwsctl.errors import ExtensionError, InputError
from kwsctl.federated.engines import engine_named
from kwsctl.federated.flower import credentials
from kwsctl.federated.flower.deployment import DeployOptions, deploy
from kwsctl.federated.flower.plan import Plan, plan_of
from tests.toy_people import NEW_WORDS, encoder

from .fleets import SAID, fleet, options


def test_a_deployment_has_the_plan_the_keys_and_the_commands(tmp_path: Path) -> None:
    there = fleet(tmp_path, options(privacy={"clip": 1.0}), host="fl.example.org", port=9443)
    made = there.made
    plan = plan_of(there.config)
    assert plan.options == options(privacy={"clip": 1.0}) and plan.clients == plan.least == 3
    assert plan.base_sha256 == made.base_sha256 == bundle.load(made.base).sha256
    assert bundle.load(made.folder / "devices" / "s1" / "base.safetensors").labels == SAID
    secret = list(made.folder.rglob("*.key"))
    assert len(secret) == 2 + 3 and all(path.stat().st_mode & 0o077 == 0 for path in secret)
    assert all(path.parent.stat().st_mode & 0o077 == 0 for path in secret)
    text = "\n".join(made.server)
    for needed in (
        "--enable-supernode-auth",
        "--ssl-certfile",
        "--host 127.0.0.1 --port 9444",
        "--disable-runtime-dependency-installation",
        "FLWR_TELEMETRY_ENABLED=0",
        "FLWR_DISABLE_UPDATE_CHECK=1",
    ):
        assert needed in text
    assert "--insecure" not in text + "\n".join(made.on_device)
    assert all("--superlink fl.example.org:9443" in line and "ca.crt" in line for line in made.on_device)
    proxy = (made.folder / "server" / "nginx.conf").read_text()
    assert proxy.count("proxy_pass") == 1 and "location ^~ /v1/fleet/ {" in proxy and "return 403" in proxy
    assert any("Control API asks for no password" in line for line in made.warnings)
    app = tomllib.loads((made.app / "pyproject.toml").read_text())
    assert app["tool"]["flwr"]["app"]["components"]["clientapp"] == "federation.client_app:app"
    with pytest.raises(InputError, match="is there already, with keys in it"):
        fleet_again(made.folder)


def fleet_again(folder: Path) -> None:
    deploy(folder, options(), DeployOptions(("a", "b")), model=encoder(), words=NEW_WORDS)


def test_the_certificate_is_of_the_authority_and_names_the_host() -> None:
    authority, key = credentials.authority(30)
    made = credentials.server_certificate(authority, key, ("fl.example.org", "127.0.0.1"), 30)
    own = x509.load_pem_x509_certificate(made.certificate)
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    own.verify_directly_issued_by(issuer)
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fl.example.org"]
    with pytest.raises(InvalidSignature):
        own.verify_directly_issued_by(
            x509.load_pem_x509_certificate(credentials.authority(30)[0].certificate)
        )


def test_the_key_of_a_device_is_of_the_curve_that_flower_takes() -> None:
    made = credentials.node_key()
    private = serialization.load_ssh_private_key(made.private, password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp384r1"
    public = serialization.load_ssh_public_key(made.public)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.public_numbers() == private.public_key().public_numbers()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"attack": "sign_flip"}, "attack can only be simulated"),
        ({"attendance": {"dropout": 0.1}}, "attendance.dropout can only be simulated"),
        ({"topology": "gossip"}, "no topology gossip"),
        ({"privacy": {"clip": 1.0, "adaptive": True}}, "a bit of every device in clear"),
    ],
)
def test_what_can_only_be_simulated_is_refused(wrong: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=said):
        Plan(options(**wrong), 0, 3, "0" * 64)


def test_a_configuration_that_is_no_plan_is_refused() -> None:
    good = Plan(options(), 0, 3, "0" * 64).config
    assert plan_of(good) == Plan(options(), 0, 3, "0" * 64)
    with pytest.raises(InputError, match="is not a plan"):
        plan_of({**good, "options": "{"})
    with pytest.raises(InputError, match="'seed'"):
        plan_of({name: value for name, value in good.items() if name != "seed"})
    with pytest.raises(InputError, match="at least 4 of 3 devices"):
        Plan(options(), 0, 3, "0" * 64, least=4)
    json.dumps(good)


@pytest.mark.parametrize(
    ("names", "said"), [(("a",), "1 device names"), (("a", "../b"), "is no device name")]
)
def test_devices_need_names(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DeployOptions(names)


def test_verification_is_not_deployed_without_a_word(tmp_path: Path) -> None:
    how = options(task="verification", local={})
    with pytest.raises(InputError, match="not yet learned on devices of their own"):
        deploy(tmp_path / "fleet", how, DeployOptions(("a", "b")), model=encoder())
    assert not (tmp_path / "fleet").exists()


def test_engines_are_called_by_name() -> None:
    with pytest.raises(InputError, match=r"No engine 'flour'\. Did you mean 'flower'"):
        engine_named("flour")
    if importlib.util.find_spec("flwr") is None:
        with pytest.raises(ExtensionError, match="an environment of its own"):
            engine_named("flower")
