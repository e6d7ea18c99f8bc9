"""Several processes train one model together, as `torchrun` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kwsctl import bundle
from kwsctl.errors import DeviceError
from kwsctl.learning.workers import workers

from ..toy_words import write_corpus


@pytest.mark.slow
def test_two_processes_train_one_bundle(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "toy")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    quick = [
        "--epochs",
        "24",
        "--set",
        "batch_size=16",
        "--set",
        "ema_decay=0.8",
        "--set",
        "network.width=0.5",
    ]
    command = [*launch, "-m", "kwsctl", "train", "--data", str(data), *quick, "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1  # only one of them reports
    facts = json.loads(lines[0])
    assert facts["val"]["accuracy"] >= 0.9
    assert bundle.load(Path(facts["bundle"])).sha256 == facts["sha256"]
    log = [json.loads(line) for line in Path(facts["log"]).read_text().splitlines()]
    assert {line["clips"] for line in log} == {100}  # 101 windows, an equal share for each


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="torch knows no device 'toaster'"), workers("toaster"):
        pass
