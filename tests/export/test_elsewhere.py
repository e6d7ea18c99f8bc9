"""Heavy converters are found in their own environment, and what is missing is told with the remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from kwsctl.errors import DeviceError
from kwsctl.export import elsewhere
from kwsctl.export.scores import Head
from kwsctl.export.targets import executorch
from kwsctl.export.trainable import TOLERANCE, write_trainable
from tests.export.exported import keyword_material, keyword_package


@pytest.fixture(autouse=True)
def _fresh() -> None:
    elsewhere.python_of.cache_clear()


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "python_of", lambda _name: None)
    assert executorch.missing() == "the extra executorch is not installed"
    with pytest.raises(DeviceError, match="extra executorch is not installed") as told:
        elsewhere.call("executorch", "xnnpack", ["run"])
    assert "make executorch" in str(told.value.hint)


def test_a_variable_names_the_python_and_a_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KWSCTL_EXECUTORCH_PYTHON", sys.executable)
    assert elsewhere.python_of("executorch") == Path(sys.executable)
    with pytest.raises(DeviceError, match="No module named 'executorch'"):
        elsewhere.call("executorch", "head_training", ["train", tmp_path / "none.pte", "", "1", "0", ""])


@pytest.mark.converters
@pytest.mark.parametrize("task", ["keywords", "wake"])
def test_a_training_program_loses_what_torch_loses(tmp_path: Path, task: str) -> None:
    draw = np.random.default_rng(0)
    head = Head(("a", "b", "c"), task, draw.normal(size=(3, 16)).astype(np.float32), np.zeros(3, np.float32))
    facts = write_trainable(head, draw.normal(size=(40, 16)).astype(np.float32), tmp_path / "head.pte")
    assert facts["largest_difference"] <= TOLERANCE
    assert facts["losses"][-1] != facts["losses"][0]


@pytest.mark.converters
def test_a_package_of_another_format_is_evaluated_like_any(tmp_path: Path) -> None:
    from kwsctl.export import package, packaged
    from tests import toy_people
    from tests.export.exported import exported

    exported(tmp_path / "package", toy_people.keyword_model(), keyword_material(), "executorch", stream=False)
    opened = packaged.packaged_bundle(package.read(tmp_path / "package"))
    x = keyword_material().held_out.features[:4]
    import torch

    both = [one.model()(torch.from_numpy(x)) for one in (opened, packaged.packaged_bundle(keyword_package()))]
    assert both[0].argmax(1).equal(both[1].argmax(1))
