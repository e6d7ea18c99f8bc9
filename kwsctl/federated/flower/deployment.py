"""`kwsctl federate deploy`: writes a Flower app, certificates and keys, and says what to type where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.federated.flower import credentials, instructions
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.start import with_words
from kwsctl.storage import write_bytes, write_text

DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
CLIENT_APP = '''"""What a device runs."""

from kwsctl.federated.flower.client_app import client_app

app = client_app(masked={masked})
'''
SERVER_APP = '''"""What the server runs."""

from kwsctl.federated.flower.server_app import server_app

app = server_app()
'''


@dataclass(frozen=True)
class DeployOptions:
    """Where a deployment runs.

    Attributes:
        devices: a name for each.
        host: name or address by which devices reach the server.
        port: of the server, behind which the SuperLink listens on loopback at the next one.
        least: devices that must be connected before a round begins; 0 for all.
        timeout_s: how long the server waits for devices, in s.
        days: how long certificates are valid.
        held_out: manifest of people who take no part, on the server; by it rounds are judged.
    """

    devices: tuple[str, ...] = ()
    host: str = "localhost"
    port: int = 9443
    least: int = 0
    timeout_s: float = 600.0
    days: int = 365
    held_out: Path | None = None

    def __post_init__(self) -> None:
        if len(set(self.devices)) < 2:
            raise InputError(
                f"{len(set(self.devices))} device names were given.",
                "A federation needs at least two: --device ana --device ben.",
            )
        for name in self.devices:
            if not DEVICE_NAME.fullmatch(name):
                raise InputError(f"{name!r} is no device name.", "Use letters, digits, - and _.")


@dataclass(frozen=True)
class Deployment:
    """What was written.

    Attributes:
        folder: all of it.
        app: the Flower app.
        base: the bundle that all begin with.
        base_sha256: its identity.
        devices: their folders, each to be taken to its device.
        server: commands for the server, in order.
        on_device: the command for each device.
        warnings: what the operator has to know.
    """

    folder: Path
    app: Path
    base: Path
    base_sha256: str
    devices: tuple[Path, ...]
    server: tuple[str, ...]
    on_device: tuple[str, ...]
    warnings: tuple[str, ...]


def deploy(
    out: Path,
    options: FederateOptions,
    how: DeployOptions,
    *,
    model: Bundle,
    words: Sequence[str] = (),
    seed: int = 0,
) -> Deployment:
    """Writes everything that a federation of real devices needs.

    Args:
        out: a folder that is not there yet.
        options: how to federate.
        how: where it runs.
        model: what all begin with.
        words: of a model that has none.
        seed: of everything random but noise.

    Returns:
        What was written, and what to type.

    Raises:
        InputError: a folder that is there, options that can only be simulated, verification, or a model
            without words.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is there already, with keys in it.", "Choose another --out.")
    if options.task == "verification":
        raise InputError(
            "Who spoke is not yet learned on devices of their own: secrets would have to be made there.",
            "Use kwsctl federate --task verification --engine flower, which runs all users in one process.",
        )
    base = model
    if not model.labels:
        if not words:
            raise InputError("The model has no words yet.", "Name them: --word lights --word music.")
        base = with_words(model, tuple(sorted(set(words))))
    plan = Plan(
        options, seed, len(set(how.devices)), base.sha256, how.least or len(set(how.devices)), how.timeout_s
    )
    folder = out.resolve()
    for part in ("server", *(f"devices/{name}" for name in how.devices)):  # keys are never readable by others
        (folder / part).mkdir(parents=True, mode=0o700, exist_ok=True)
    _write_app(folder, plan, how)
    base.save(folder / "server" / "base.safetensors")
    _write_credentials(folder, how, base)
    write_text(folder / "flower-home" / "config.toml", instructions.connection(folder, how.port + 1))
    write_text(folder / "server" / "nginx.conf", instructions.proxy(folder, how.host, how.port))
    server = instructions.on_server(folder, sorted(set(how.devices)), how.port + 1)
    on_device = tuple(
        instructions.on_device(name, number, f"{how.host}:{how.port}")
        for number, name in enumerate(sorted(set(how.devices)))
    )
    warnings = tuple(instructions.warnings(folder, how.port + 1))
    text = instructions.sheet(server, on_device, warnings)
    write_text(folder / "COMMANDS.md", text)
    return Deployment(
        folder,
        folder / "app",
        folder / "server" / "base.safetensors",
        base.sha256,
        tuple(folder / "devices" / name for name in sorted(set(how.devices))),
        server,
        on_device,
        warnings,
    )


def _write_app(folder: Path, plan: Plan, how: DeployOptions) -> None:
    config = dict(plan.config) | {
        "base": str(folder / "server" / "base.safetensors"),
        "out": str(folder / "server" / "federated.safetensors"),
        "held-out": "" if how.held_out is None else str(how.held_out.resolve()),
    }
    write_text(folder / "app" / "pyproject.toml", instructions.project(config))
    package = folder / "app" / "federation"
    write_text(package / "__init__.py", '"""A federation of kwsctl."""\n')
    write_text(package / "client_app.py", CLIENT_APP.format(masked=plan.options.secure.on))
    write_text(package / "server_app.py", SERVER_APP)


def _write_credentials(folder: Path, how: DeployOptions, base: Bundle) -> None:
    authority, key = credentials.authority(how.days)
    hosts = tuple(dict.fromkeys((how.host, "localhost", "127.0.0.1")))
    server = credentials.server_certificate(authority, key, hosts, how.days)
    write_bytes(folder / "server" / "ca.crt", authority.certificate)
    _secret(folder / "server" / "ca.key", authority.key)
    write_bytes(folder / "server" / "server.crt", server.certificate)
    _secret(folder / "server" / "server.key", server.key)
    for name in set(how.devices):
        node = credentials.node_key()
        own = folder / "devices" / name
        write_bytes(folder / "server" / f"{name}.pub", node.public)
        _secret(own / "node.key", node.private)
        write_bytes(own / "ca.crt", authority.certificate)
        base.save(own / "base.safetensors")


def _secret(path: Path, content: bytes) -> None:
    write_bytes(path, content)
    path.chmod(0o600)
