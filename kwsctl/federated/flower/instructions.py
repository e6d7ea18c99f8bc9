"""What the operator of a deployment types, and the files that say the same to programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kwsctl import __version__

QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
"""Flower reports usage and looks for updates by itself unless both are set."""
CONNECTION = "federation"


def project(config: Mapping[str, str | int | float]) -> str:
    """Gives the `pyproject.toml` of the app; nothing in it is installed, kwsctl has to be there."""
    values = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in config.items())
    return f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "federation"
version = "1.0.0"
description = "A federation of kwsctl"
license = "Apache-2.0"
dependencies = ["kwsctl[flower]=={__version__}"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "kwsctl"

[tool.flwr.app.components]
serverapp = "federation.server_app:app"
clientapp = "federation.client_app:app"

[tool.flwr.app.config]
{values}"""


def connection(folder: Path, port: int) -> str:
    """Gives Flower's `config.toml`: how `flwr` finds the Control API, on loopback."""
    return f"""[superlink]
default = "{CONNECTION}"

[superlink.{CONNECTION}]
address = "127.0.0.1:{port}"
root-certificates = {json.dumps(str(folder / "server" / "ca.crt"))}
"""


def proxy(folder: Path, host: str, port: int) -> str:
    """Gives an nginx configuration that lets devices through to the Fleet API and nobody to anything else."""
    server = folder / "server"
    return f"""# nginx -c {server / "nginx.conf"}
# The SuperLink serves the Fleet and Control APIs on one port, and asks nobody for a password: whoever reaches
# /v1/control/ can run code on the server and on all devices. Only /v1/fleet/ is let through.
worker_processes 1;
pid {server / "nginx.pid"};
error_log {server / "nginx.log"};
events {{}}
http {{
  access_log off;
  server {{
    listen {port} ssl;
    server_name {host};
    ssl_certificate {server / "server.crt"};
    ssl_certificate_key {server / "server.key"};
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 64m;
    location ^~ /v1/fleet/ {{
      proxy_pass https://127.0.0.1:{port + 1};
      proxy_ssl_trusted_certificate {server / "ca.crt"};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_read_timeout 300s;
    }}
    location / {{ return 403; }}
  }}
}}
"""


def on_server(folder: Path, devices: Sequence[str], port: int) -> tuple[str, ...]:
    """Gives the commands of the server, in order: environment, SuperLink, proxy, keys, run."""
    server = folder / "server"
    environment = {"FLWR_HOME": str(folder / "flower-home"), **QUIET}
    exported = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    superlink = shlex.join(
        [
            "flower-superlink",
            *("--ssl-ca-certfile", str(server / "ca.crt")),
            *("--ssl-certfile", str(server / "server.crt")),
            *("--ssl-keyfile", str(server / "server.key")),
            "--enable-supernode-auth",
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--database", str(server / "superlink.db")),
            "--disable-runtime-dependency-installation",
        ]
    )
    register = [
        shlex.join(["flwr", "supernode", "register", str(server / f"{name}.pub"), CONNECTION, "--name", name])
        for name in devices
    ]
    nginx = shlex.join(["nginx", "-c", str(server / "nginx.conf")])
    run = shlex.join(["flwr", "run", str(folder / "app"), CONNECTION, "--stream"])
    return (f"export {exported}", f"{superlink} &", nginx, *register, run)


def on_device(name: str, number: int, superlink: str) -> str:
    """Gives the command of a device, typed in its folder."""
    quiet = " ".join(f"{key}={value}" for key, value in QUIET.items())
    config = f'client="{name}" data="/ABSOLUTE/PATH/manifest.csv" base="\'"$PWD"\'/base.safetensors"'
    return (
        f"{quiet} flower-supernode --root-certificates ca.crt --superlink {superlink} "
        f"--auth-supernode-private-key node.key --host 127.0.0.1 --port {9500 + number} "
        f"--node-config '{config}'"
    )


def warnings(folder: Path, port: int) -> Iterator[str]:
    """Says what the operator has to know."""
    yield (
        f"Never let anybody but you reach 127.0.0.1:{port}: Flower's Control API asks for no password, "
        f"and runs code on the server and on all devices. {folder / 'server' / 'nginx.conf'} lets only "
        "/v1/fleet/ through."
    )
    yield (
        f"Take {folder / 'server' / 'ca.key'} off this machine, and each folder of "
        f"{folder / 'devices'} to its device: node.key is the device's identity."
    )


def sheet(server: Sequence[str], on_device: Sequence[str], warned: Sequence[str]) -> str:
    """Gives the page that says all of it."""
    lines = ["# Running this federation", "", *(f"- {line}" for line in warned), "", "On the server:", ""]
    lines += ["```sh", *server, "```", "", "On each device, in its folder (kwsctl[flower] is installed):", ""]
    return "\n".join([*lines, "```sh", *on_device, "```", ""])
