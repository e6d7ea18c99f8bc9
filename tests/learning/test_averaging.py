"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kwsctl.learning.averaging import moving_average


def test_it_follows_weights_and_running_statistics_with_warm_up() -> None:
    model = nn.BatchNorm1d(1)
    average = moving_average(model, decay=0.5)
    expected, first = 0.0, True
    for step, value in enumerate([1.0, 2.0, 4.0, 8.0]):
        with torch.no_grad():
            model.weight.fill_(value)
            model.running_mean.fill_(value)
            model.num_batches_tracked.fill_(step)
        average.update_parameters(model)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = value if first else keep * expected + (1 - keep) * value
        first = False
        assert average.module.weight.item() == pytest.approx(expected)
        assert average.module.running_mean.item() == pytest.approx(expected)
        assert int(average.module.num_batches_tracked) == step
