"""The front end as a graph gives the numbers of training, whole and piece by piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kwsctl.export.frontend import frontend_graph
from kwsctl.export.running import cpu_session
from kwsctl.features.logmel import logmel
from kwsctl.features.streaming import StreamingLogMel
from kwsctl.types import FeatureSpec
from tests.toy_people import say

TOLERANCE = 1e-4
SIGNALS = {
    "a word": say("031", 2),
    "silence": np.zeros(16_000, np.float32),
    "a loud tone": np.sin(0.3 * np.arange(16_000)).astype(np.float32),
    "faint noise": (1e-4 * np.random.default_rng(0).normal(size=16_000)).astype(np.float32),
    "one window": say("031", 2)[:480],
}


@pytest.mark.parametrize("name", SIGNALS)
def test_whole_clips_have_the_numbers_of_training(name: str) -> None:
    spec, samples = FeatureSpec(), SIGNALS[name]
    session = cpu_session(frontend_graph(spec))
    found = session.run(None, {"waves": samples[None]})[0]
    wanted = logmel(torch.from_numpy(samples)[None], spec).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= TOLERANCE


def test_other_specs_and_batches() -> None:
    spec = FeatureSpec(sample_rate_hz=8_000, window_ms=25, hop_ms=12.5, mel_bins=20, f_max_hz=3_800)
    waves = np.stack([say("031", 2)[:8_000], say("257", 1)[:8_000]])
    found = cpu_session(frontend_graph(spec)).run(None, {"waves": waves})[0]
    assert np.abs(found - logmel(torch.from_numpy(waves), spec).numpy()).max() <= TOLERANCE


def test_a_stream_that_keeps_what_a_frame_lacks_has_the_numbers_of_the_streaming_features() -> None:
    spec, samples = FeatureSpec(), SIGNALS["a word"]
    session, streaming = cpu_session(frontend_graph(spec)), StreamingLogMel(spec)
    pending, found, wanted = np.zeros(0, np.float32), [], []
    for piece in np.array_split(samples, [700, 1_500, 1_600, 9_000]):
        wanted.append(streaming.push(piece))
        pending = np.concatenate([pending, piece])
        if len(pending) >= spec.window_samples:
            frames = session.run(None, {"waves": pending[None]})[0][0]
            pending = pending[frames.shape[1] * spec.hop_samples :]
            found.append(frames)
    assert np.abs(np.concatenate(found, 1) - np.concatenate(wanted, 1)).max() <= TOLERANCE


def test_the_graph_is_small_and_not_to_be_quantized() -> None:
    graph = frontend_graph(FeatureSpec())
    assert graph.ByteSize() < 120_000
    assert not any("Quantize" in node.op_type for node in graph.graph.node)
