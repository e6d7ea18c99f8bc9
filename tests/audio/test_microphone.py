"""The microphone hands over pieces as they come, and says when some were lost."""

from __future__ import annotations

import itertools
import types
from typing import Any

import numpy as np
import pytest

from kwsctl.audio import microphone
from kwsctl.errors import DeviceError


class Stream:
    """An input stream whose third block comes too late."""

    def __init__(self, **about: Any) -> None:
        self.blocks = itertools.count()
        assert about["channels"] == 1

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, block: int) -> tuple[np.ndarray, bool]:
        number = next(self.blocks)
        return np.full((block, 1), number, np.float32), number == 2


def test_pieces_follow_one_another_and_lost_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    device = types.SimpleNamespace(InputStream=Stream, PortAudioError=OSError)
    monkeypatch.setattr(microphone, "_sounddevice", lambda: device)
    lost: list[None] = []
    pieces = list(itertools.islice(microphone.pieces(16_000, lambda: lost.append(None)), 4))
    assert [float(piece[0]) for piece in pieces] == [0, 1, 2, 3]
    assert {piece.shape for piece in pieces} == {(800,)}
    assert len(lost) == 1


def test_a_microphone_that_does_not_work_is_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Stream:
        raise OSError("no default input device")

    device = types.SimpleNamespace(InputStream=broken, PortAudioError=OSError)
    monkeypatch.setattr(microphone, "_sounddevice", lambda: device)
    with pytest.raises(DeviceError, match="no default input device"):
        next(microphone.pieces(16_000))
