"""Which guesses are taken for labels."""

from __future__ import annotations

import pytest
import torch

from kwsctl.federated.options import Local
from kwsctl.federated.pseudo_labels import share_from, surest_of_each


def test_the_surest_of_each_label_and_equally_many() -> None:
    label = torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    margin = torch.tensor([0.9, 0.8, 0.95, 0.7, 0.6, 0.99, 0.1, 0.2])
    assert surest_of_each(margin, label, 1.0, 4).tolist() == [
        False,
        False,
        True,
        False,
        False,
        True,
        True,
        True,
    ]
    assert surest_of_each(margin, label, 0.5, 4).tolist() == [False] * 5 + [True] * 3
    assert not surest_of_each(margin, label, 0.0, 4).any()


def test_the_share_rises_from_its_beginning_to_the_last_round() -> None:
    local = Local(pseudo_from=0.2, pseudo_to=1.0, pseudo_after=4)
    shares = [share_from(local, number, 9) for number in range(9)]
    assert shares == pytest.approx([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1.0])
