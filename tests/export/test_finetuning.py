"""Fine-tuning with quantization in the loop brings the quantized network nearer to the float one."""

from __future__ import annotations

import numpy as np
import pytest

from kwsctl.errors import InputError, ParityError
from kwsctl.export import graphs
from kwsctl.export.export import Material
from kwsctl.export.finetuning import finetuned
from kwsctl.export.heard import Heard
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.running import cpu_session, run_windows
from tests import toy_people
from tests.export.exported import exported, keyword_material, some, untrained


def test_it_learns_to_be_quantized_and_the_head_and_statistics_stay() -> None:
    bundle, heard = toy_people.keyword_model(), keyword_material().calibration
    many = Heard(np.tile(heard.features, (3, 1, 1)), heard.labels * 3, heard.speakers * 3, heard.origin)
    tuned = finetuned(bundle, many, steps=20)
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


def test_what_loses_too_much_is_tried_again_after_fine_tuning(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="w8a8 after fine-tuning loses"):
        exported(
            tmp_path / "out", untrained("tcresnet"), Material(some(120), some(40, seed=3), None),
            precision="w8a8", max_loss=0.0, qat=True, qat_steps=2, stream=False,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(InputError, match="24 windows are too few"):
        finetuned(untrained("tcresnet"), some(24), steps=1)
