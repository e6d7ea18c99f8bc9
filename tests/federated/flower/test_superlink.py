"""A real SuperLink and two SuperNodes on loopback, with TLS and keys, and three that are not let in."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from kwsctl import bundle
from kwsctl.federated.federate import federate
from kwsctl.federated.flower import credentials, instructions

pytest.importorskip("flwr", reason="flwr lives in an environment of its own: make test-flower")

from .fleets import Fleet, base, fleet, options, recorded

pytestmark = [pytest.mark.flower, pytest.mark.slow]
TWO = ("s0", "s1")
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Running:
    there: Fleet
    port: int
    environment: dict[str, str]


def two_free_ports() -> int:
    """Gives a port that is free, as is the next."""
    while True:
        with contextlib.closing(socket.socket()) as first, contextlib.closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port


def started(command: str, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            shlex.split(command.removesuffix(" &")),
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        )


def wait_for(what: str, found: object, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not found():  # type: ignore[operator]
        assert time.monotonic() < until, f"{what} did not come: {log.read_text()[-2000:]}"
        time.sleep(1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("superlink")
    port = two_free_ports()
    there = fleet(folder, options(), TWO, port=port, timeout_s=PATIENCE_S)
    environment = dict(os.environ) | {
        "FLWR_HOME": str(there.made.folder / "flower-home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KWSCTL_HOME": str(folder / "home"),
        "PYTHONWARNINGS": "ignore",
        **instructions.QUIET,
    }
    log = folder / "superlink.log"
    processes = [started(there.made.server[1], log, environment)]

    def listens() -> bool:
        assert processes[0].poll() is None, log.read_text()[-2000:]
        with contextlib.closing(socket.socket()) as one:
            return one.connect_ex(("127.0.0.1", port + 1)) == 0

    try:
        wait_for("the SuperLink", listens, log)
        for command in there.made.server[3:5]:
            done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        yield Running(there, port, environment)
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=60)


def node_command(running: Running, name: str, number: int, superlink_port: int) -> str:
    """The printed command, with the paths that a person fills in."""
    (line,) = (one for one in running.there.made.on_device if f'client="{name}"' in one)
    own = running.there.made.folder / "devices" / name
    line = line.partition("flower-supernode ")[2]
    data = running.there.nodes[number]["data"]
    line = line.replace("/ABSOLUTE/PATH/manifest.csv", data).replace("'\"$PWD\"'", str(own))
    line = line.replace(f"localhost:{running.port}", f"localhost:{superlink_port}")
    line = line.replace("ca.crt", str(own / "ca.crt")).replace("node.key", str(own / "node.key"))
    return f"flower-supernode {line}".replace(f"--port {9500 + number}", f"--port {two_free_ports()}")


def test_two_rounds_over_tls_end_where_the_simulation_ends(running: Running, tmp_path: Path) -> None:
    made = running.there.made
    behind_proxy = shutil.which("nginx") is not None
    processes = [
        started(
            node_command(running, name, number, running.port if behind_proxy else running.port + 1),
            tmp_path / f"{name}.log",
            running.environment,
        )
        for number, name in enumerate(TWO)
    ]
    if behind_proxy:
        processes.append(
            started(f"{made.server[2]} -g 'daemon off;'", tmp_path / "nginx.out", running.environment)
        )
    out = made.folder / "server" / "federated.safetensors"
    try:
        command = shlex.split(made.server[-1])
        with (tmp_path / "run.log").open("wb") as file:
            run = subprocess.Popen(
                command, env=running.environment, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path
            )
        processes.append(run)
        wait_for("the bundle", out.with_suffix(".log.jsonl").exists, tmp_path / "run.log")
        if behind_proxy:
            assert refused_by_proxy(running) == 403
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=120)
    log = [json.loads(line) for line in out.with_suffix(".log.jsonl").read_text().splitlines()]
    assert [line["answered"] for line in log] == [2, 2] and not log[0]["refused"]
    store = recorded(running.there, tmp_path)
    simulated = federate(store, tmp_path / "s.safetensors", options(), model=base())
    first, second = bundle.load(simulated.bundle).weights, bundle.load(out).weights
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=1e-5, rtol=0)


def refused_by_proxy(running: Running) -> int:
    """Asks the proxy for the Control API."""
    trusted = ssl.create_default_context(cafile=str(running.there.made.folder / "server" / "ca.crt"))
    address = f"https://localhost:{running.port}/v1/control/list-runs"
    try:
        with urllib.request.urlopen(address, data=b"", context=trusted, timeout=60) as reply:  # noqa: S310
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def alone(running: Running, command: str, tmp_path: Path) -> str:
    """Lets a SuperNode try for a while, and gives what it says; the bundle must never name it."""
    log = tmp_path / "node.log"
    process = started(f"{command} --max-retries 1 --max-wait-time 20", log, running.environment)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=240)
    finally:
        process.terminate()
        process.wait(timeout=60)
    return log.read_text(errors="replace")


def test_a_server_of_another_authority_is_not_trusted(running: Running, tmp_path: Path) -> None:
    other, _ = credentials.authority(1)
    (tmp_path / "other.crt").write_bytes(other.certificate)
    good = running.there.made.folder / "devices" / "s0" / "ca.crt"
    command = node_command(running, "s0", 0, running.port + 1).replace(str(good), str(tmp_path / "other.crt"))
    said = alone(running, command, tmp_path)
    assert "CERTIFICATE_VERIFY_FAILED" in said or "certificate verify failed" in said


def test_plaintext_is_not_spoken(running: Running, tmp_path: Path) -> None:
    good = running.there.made.folder / "devices" / "s0" / "ca.crt"
    command = node_command(running, "s0", 0, running.port + 1).replace(
        f"--root-certificates {good}", "--insecure"
    )
    assert "requires a secure TLS connection" in alone(running, command, tmp_path)
    with socket.create_connection(("127.0.0.1", running.port + 1), timeout=60) as plain:
        plain.sendall(b"POST /v1/fleet/register-node HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        try:
            answer = plain.recv(64)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"HTTP/"), answer


def test_an_unknown_key_is_not_let_in(running: Running, tmp_path: Path) -> None:
    key = credentials.node_key()
    (tmp_path / "unknown.key").write_bytes(key.private)
    good = running.there.made.folder / "devices" / "s0" / "node.key"
    command = node_command(running, "s0", 0, running.port + 1).replace(
        str(good), str(tmp_path / "unknown.key")
    )
    said = alone(running, command, tmp_path)
    assert "2004" in said or "412" in said, said
