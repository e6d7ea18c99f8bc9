"""Fixtures that every test may use: a home of its own, and the real recordings where present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Small models are trained for the tests: what they become depends, a little, on the number of threads.
torch.set_num_threads(1)

# Property tests have no deadline: how fast a shared machine is says nothing about the code.
settings.register_profile("no-deadline", deadline=None, max_examples=60)
settings.load_profile("no-deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kwsctl-home"
    monkeypatch.setenv("KWSCTL_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("KWSCTL_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded speech at {folder}; set KWSCTL_REAL_DATA")
    return folder
