"""What every export target promises, checked for each file in `export/targets/`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from kwsctl import registry
from kwsctl.export import elsewhere, graphs
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.target import TARGETS, Target
from tests.export.exported import some, untrained, windows

APART = tuple(elsewhere.EXTRAS)  # need environments of their own, which are large
NAMES = [pytest.param(n, marks=pytest.mark.converters) if n in APART else n for n in registry.names(TARGETS)]


@pytest.mark.parametrize("name", registry.names(TARGETS))
def test_a_target_says_what_it_is_for(name: str) -> None:
    target = cast(Target, registry.load(TARGETS, name))
    assert len(target.SUMMARY) > 20
    assert target.MODEL
    assert isinstance(target.missing(), str)
    assert "w8a8" in target.PRECISIONS
    assert isinstance(target.STREAMS, bool)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["w8a8", "w8a16", "float"])
def test_a_converted_model_runs_and_is_near_the_float_one(name: str, precision: str, tmp_path: Path) -> None:
    target = cast(Target, registry.load(TARGETS, name))
    if precision not in target.PRECISIONS:
        pytest.skip(f"{name} has no {precision}")
    graph = htp_safe(graphs.window_graph(untrained("tcresnet"))).model
    model = tmp_path / target.MODEL
    model.write_bytes(target.convert(graph, list(some().feeds("features")), precision, ()))  # type: ignore[arg-type]
    x = windows(4)
    exact = run_windows(cpu_session(graph), x)[0]
    runners = target.runners(model)
    assert "cpu" in runners
    for form, run in runners.items():
        found = run(x)[0]
        assert found.shape == exact.shape, form
        tolerance = 1e-5 if precision == "float" else 0.1 * float(exact.std())
        assert float(np.abs(found - exact).mean()) <= tolerance, form
