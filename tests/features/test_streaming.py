from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.features.logmel import logmel
from kwsctl.features.streaming import StreamingLogMel
from kwsctl.types import FeatureSpec

SPEC = FeatureSpec()
RECORDING = (0.2 * np.random.default_rng(0).standard_normal(12_345)).astype(np.float32)


def whole(samples: np.ndarray) -> np.ndarray:
    return logmel(torch.from_numpy(samples)[None], SPEC)[0].numpy()


def pushed(stream: StreamingLogMel, pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(
        [np.zeros((SPEC.mel_bins, 0), np.float32), *(stream.push(p) for p in pieces)], axis=1
    )


@pytest.fixture(scope="module")
def whole_recording() -> np.ndarray:
    return whole(RECORDING)


@given(
    lengths=st.lists(
        st.one_of(st.integers(0, 3), st.integers(150, 170), st.integers(470, 490), st.integers(0, 4_000)),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=40)
def test_any_pieces_give_the_numbers_of_the_whole(whole_recording: np.ndarray, lengths: list[int]):
    ends = np.minimum(np.cumsum(lengths, dtype=np.int64), len(RECORDING))
    pieces = np.split(RECORDING, ends)  # the rest of the recording comes last
    features = pushed(StreamingLogMel(SPEC), pieces)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, whole_recording, atol=1e-5, rtol=0)


def test_sample_by_sample_gives_the_numbers_of_the_whole():
    samples = RECORDING[:1_500]
    features = pushed(StreamingLogMel(SPEC), list(samples[:, None]))
    np.testing.assert_allclose(features, whole(samples), atol=1e-5, rtol=0)


def test_a_frame_comes_with_its_last_sample():
    stream = StreamingLogMel(SPEC)
    assert stream.push(RECORDING[:479]).shape == (40, 0)
    assert stream.push(RECORDING[479:480]).shape == (40, 1)
    assert stream.push(RECORDING[480:639]).shape == (40, 0)
    assert stream.push(RECORDING[639:640]).shape == (40, 1)
    assert stream.push(RECORDING[:0]).shape == (40, 0)


def test_reset_begins_a_new_recording():
    stream = StreamingLogMel(SPEC)
    stream.push(RECORDING[:700])
    stream.reset()
    np.testing.assert_allclose(stream.push(RECORDING), whole(RECORDING), atol=1e-5, rtol=0)


def test_samples_are_taken_before_the_caller_changes_its_buffer():
    stream, buffer = StreamingLogMel(SPEC), RECORDING[:400].copy()
    stream.push(buffer)
    buffer[:] = 1
    np.testing.assert_allclose(stream.push(RECORDING[400:1_000]), whole(RECORDING[:1_000]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bad", [np.zeros(480, np.int16), np.zeros((480, 2), np.float32)])
def test_samples_of_another_kind_are_refused(bad: np.ndarray):
    with pytest.raises(InputError, match=r"floating-point samples of shape \[S\]"):
        StreamingLogMel(SPEC).push(bad)
