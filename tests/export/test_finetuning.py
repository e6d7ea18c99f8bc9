"""Fine-tuning with quantization in the loop brings the quantized network nearer to the float one."""

from __future__ import annotations

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.export import graphs
from kwsctl.export.finetuning import finetuned
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.quantization import quantized
from kwsctl.export.running import cpu_session, run_windows
from tests.export.exported import some, untrained, windows


def test_the_quantized_form_comes_nearer_and_the_head_stays() -> None:
    bundle, heard = untrained("revtcnet"), some(120)
    exact = htp_safe(graphs.window_graph(bundle)).model
    tuned = finetuned(bundle, heard, steps=15)
    assert tuned.loss < tuned.loss_first
    feeds, x = list(some(40, seed=1).feeds("features")), windows(24, seed=2)
    wanted = run_windows(cpu_session(exact), x)[0]
    before, after = (
        np.abs(run_windows(cpu_session(quantized(graph, feeds, "w8a8")), x)[0] - wanted).mean()
        for graph in (exact, tuned.graph)
    )
    assert after < before
    for name, value in bundle.weights.items():
        assert value.equal(tuned.bundle.weights[name]) or not name.startswith("head."), name
        assert value.equal(tuned.bundle.weights[name]) or "running_" not in name, name


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(InputError, match="24 windows are too few"):
        finetuned(untrained("tcresnet"), some(24), steps=1)
