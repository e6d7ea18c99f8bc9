"""The front end of numpy gives the numbers of the one of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kwsctl.features.frontend import FrontEnd
from kwsctl.features.logmel import mel_power
from kwsctl.types import POWER_FLOOR, FeatureSpec

SPECS = [FeatureSpec(), FeatureSpec(window_ms=25.0, mel_bins=32, f_min_hz=60.0, f_max_hz=7000.0)]


@pytest.mark.parametrize("spec", SPECS, ids=["default", "other"])
def test_numpy_and_torch_measure_the_same(spec: FeatureSpec) -> None:
    draw = np.random.default_rng(0)
    samples = (0.1 * draw.normal(size=5000)).astype(np.float32)
    samples += 0.8 * np.sin(np.arange(5000) * 0.5).astype(np.float32)
    expected = mel_power(torch.from_numpy(samples)[None], spec)[0].numpy()
    found = FrontEnd(spec).power(samples)
    assert found.shape == expected.shape
    np.testing.assert_allclose(np.log(found + POWER_FLOOR), np.log(expected + POWER_FLOOR), atol=2e-4)


def test_less_than_a_window_gives_no_frame() -> None:
    assert FrontEnd(FeatureSpec()).power(np.zeros(479, np.float32)).shape == (40, 0)
