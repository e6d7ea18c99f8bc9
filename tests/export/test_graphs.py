"""Exported graphs have torch's numbers, for every architecture, whole and as a stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kwsctl import architecture, registry
from kwsctl.export import graphs
from kwsctl.export.htp_safe import hazards, htp_safe
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.streaming import StreamRunner
from tests.export.exported import untrained, windows

NAMES = registry.names(architecture.MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_a_window_has_the_numbers_of_torch_and_a_static_shape(name: str) -> None:
    bundle, x = untrained(name), windows(3)
    safe = htp_safe(graphs.window_graph(bundle)).model
    assert not hazards(safe)
    dims = [
        d.dim_value
        for value in (*safe.graph.input, *safe.graph.output)
        for d in value.type.tensor_type.shape.dim
    ]
    assert all(dims)
    model = bundle.model()
    with torch.no_grad():
        wanted = (
            model.both(torch.from_numpy(x))
            if graphs.has_voice(model)
            else (model.embed(torch.from_numpy(x)),)
        )
    for one, other in zip(run_windows(cpu_session(safe), x), wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_with_explicit_state_has_the_numbers_of_the_streaming_form(name: str) -> None:
    module, bundle = registry.load(architecture.MODELS, name), untrained(name)
    if hasattr(module, "NO_STREAM"):
        assert graphs.stream_graph(bundle) == module.NO_STREAM
        return
    found = graphs.stream_graph(bundle)
    assert isinstance(found, graphs.StreamGraph)
    safe = htp_safe(found.model).model
    assert not hazards(safe)
    x = windows(1, 20 * found.chunk_frames)[0]
    got = StreamRunner(cpu_session(safe), found.after_silence, found.chunk_frames).run(x)
    assert len(got) == 20 * found.scores
    model = bundle.model()
    stream = module.stream(model, bundle.n_frames)
    silent_frames = 500 // found.chunk_frames * found.chunk_frames
    silence = np.full((40, silent_frames), np.log(1e-6), np.float32)
    with torch.no_grad():
        heard = torch.from_numpy(np.concatenate([silence, x], 1))[None]
        wanted = stream(heard, stream.initial_state(1))[0][0, -len(got) :]
        logits = model.head(torch.from_numpy(got))
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-3)


def test_a_stream_begins_anew_after_a_reset() -> None:
    found = graphs.stream_graph(untrained("dscnn"))
    assert isinstance(found, graphs.StreamGraph)
    runner = StreamRunner(cpu_session(found.model), found.after_silence, found.chunk_frames)
    x = windows(1, 10 * found.chunk_frames)[0]
    first = runner.run(x)
    assert not np.array_equal(runner.run(x), first)
    runner.reset()
    np.testing.assert_array_equal(runner.run(x), first)


def test_what_cannot_stream_says_why() -> None:
    why = graphs.stream_graph(untrained("tcresnet", norm="group"))
    assert isinstance(why, str)
    assert "Group normalization" in why
