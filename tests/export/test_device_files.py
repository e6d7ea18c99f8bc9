"""What goes to a real device: options per chip and a script that a shell understands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from kwsctl.export.chips import CHIPS
from kwsctl.export.device_files import OPTIONS, SCRIPT, write_device_files


def test_every_chip_has_the_options_of_the_table(tmp_path: Path) -> None:
    write_device_files(tmp_path, "model.qdq.onnx", list(CHIPS.values()))
    known = json.loads((tmp_path / OPTIONS).read_text())
    assert set(known) == set(CHIPS)
    for part, chip in CHIPS.items():
        assert known[part]["provider"]["htp_arch"] == str(chip.htp_arch)
        assert known[part]["session"] == {"session.disable_cpu_ep_fallback": "1"}
    assert known["sc8380xp"]["provider"]["backend_path"] == "QnnHtp.dll"


def test_the_script_pushes_the_right_graph_and_refuses_another_chip(tmp_path: Path) -> None:
    write_device_files(tmp_path, "model.qdq.onnx", list(CHIPS.values()))
    (tmp_path / "model.qdq.onnx").touch()
    (tmp_path / "context.sm8650.onnx").touch()
    adb = tmp_path / "bin" / "adb"
    adb.parent.mkdir()
    adb.write_text('#!/bin/sh\ncase "$*" in *getprop*) echo SM8650 ;; *) echo "$*" >> "$LOG" ;; esac\n')
    adb.chmod(0o755)
    log = tmp_path / "log"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        log.write_text("")
        paths = {"PATH": f"{adb.parent}:/usr/bin:/bin", "LOG": str(log)}
        return subprocess.run([tmp_path / SCRIPT, *arguments], env=paths, capture_output=True, text=True)

    assert run("libs").returncode == 0
    assert "model.qdq.onnx" in log.read_text()
    assert run("libs", "sm8650").returncode == 0
    assert "-I context.sm8650.onnx" in log.read_text()
    assert "is not in this package" in run("libs", "sm8450").stderr
    (tmp_path / "context.sm8450.onnx").touch()
    assert "this device is a sm8650" in run("libs", "sm8450").stderr
    assert "usage" in run().stderr
