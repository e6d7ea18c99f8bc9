"""Fine-tuning with quantization in the loop brings the quantized network nearer to the float one."""

from __future__ import annotations

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.export import choosing, graphs, proving
from kwsctl.export.finetuning import Tuned, finetuned
from kwsctl.export.heard import Heard
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.parity import Compared
from kwsctl.export.proving import ExportOptions
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.targets import onnx as onnx_target
from tests import toy_people
from tests.export.exported import keyword_material, some, untrained


def test_it_learns_to_be_quantized_and_the_head_and_statistics_stay() -> None:
    bundle, heard = toy_people.keyword_model(), keyword_material().calibration
    many = Heard(np.tile(heard.features, (3, 1, 1)), heard.labels * 3, heard.speakers * 3, heard.origin)
    tuned = finetuned(bundle, many, steps=20, rate=1e-4)
    assert tuned.loss < tuned.loss_first
    x = keyword_material().held_out.features[:24]
    exact, found = (
        run_windows(cpu_session(graph), x)[0]
        for graph in (htp_safe(graphs.window_graph(bundle)).model, tuned.graph)
    )
    assert 0 < np.abs(found - exact).mean() < 0.05 * exact.std()  # it moved, and not far
    moved = {name for name, value in bundle.weights.items() if not value.equal(tuned.bundle.weights[name])}
    assert moved
    assert not any(name.startswith("head.") or "running_" in name for name in moved)


def test_what_loses_too_much_is_tried_again_after_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, material, asked = toy_people.keyword_model(), keyword_material(), []
    options = ExportOptions(precision="w8a8", qat=True)
    request = proving.request(bundle, material.calibration, material.held_out, options)
    graph = htp_safe(graphs.window_graph(bundle)).model

    def tuner() -> Tuned:
        asked.append(1)
        return Tuned(bundle, graph, 1, 0.0, 0.0)

    def over(found: Compared, max_loss: float) -> str:  # the first form is told to be bad
        return "" if asked else "loses 9 points"

    monkeypatch.setattr(choosing, "over", over)
    few = material.held_out.take(np.arange(12))
    found = choosing.choose(onnx_target, request, few, ["w8a8"], 0.5, 20, tuner)  # type: ignore[arg-type]
    assert found.tuned is not None
    assert list(found.tried) == ["w8a8", "w8a8 after fine-tuning"]
    assert "w8a8 loses 9 points; w8a8 after fine-tuning loses at most" in found.why


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(InputError, match="24 windows are too few"):
        finetuned(untrained("tcresnet"), some(24), steps=1, rate=1e-4)
