from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import pytest

from kwsctl.audio import torchaudio_guard
from kwsctl.errors import ExtensionError


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchaudio_works_after_a_failed_first_import():
    printed = run(
        """
        import sys, types
        class NoExtension:
            def find_spec(self, name, path=None, target=None):
                if name == "torchaudio._extension.utils":  # others were imported before it
                    raise OSError("Could not load this library")
        sys.meta_path.insert(0, NoExtension())
        from kwsctl.audio.torchaudio_guard import torchaudio
        import torch
        print(torchaudio.functional.resample(torch.ones(1, 480), 48_000, 16_000).shape[1])
        print(torchaudio.transforms.MelSpectrogram(16_000, n_fft=480, n_mels=20)(torch.ones(480)).shape[0])
        print(torchaudio.transforms.TimeMasking(3)(torch.ones(1, 5, 9)).shape[2])
        print(hasattr(torchaudio, "_internal"))
        print(torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE)
        """
    )
    assert printed.split() == ["160", "20", "9", "True", "False"]


def test_functions_that_need_the_extension_say_so():
    stand_in = torchaudio_guard._without_extension()
    aligned = stand_in.fail_if_no_align(len)
    with pytest.raises(ExtensionError, match="needs torchaudio's compiled extension"):
        aligned([1, 2], blank=0)


def test_a_torchaudio_that_loads_is_left_alone():
    loaded = importlib.import_module("torchaudio")
    assert torchaudio_guard.torchaudio is loaded
    assert torchaudio_guard._load() is loaded


def test_another_fault_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchaudio"}

    def fail(name: str) -> None:
        raise OSError("libc10.so is missing")

    monkeypatch.setattr(importlib, "import_module", fail)
    try:
        with pytest.raises(ExtensionError, match=r"cannot be imported: libc10\.so is missing"):
            torchaudio_guard._load()
    finally:
        sys.modules.update(kept)
