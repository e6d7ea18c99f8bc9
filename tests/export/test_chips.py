"""Chips are found by name, and what is not known is never taken for something else."""

from __future__ import annotations

import pytest

from kwsctl.errors import InputError
from kwsctl.export.chips import BY_ARCH, CHIPS, chip, of_arch

ASKED = ["sm8350", "sm8450", "sm8550", "sm8650", "sm8750", "sm8850", "sc8380xp", "qcs6490"]


def test_the_chips_of_the_last_years_are_there_with_different_numbers() -> None:
    assert set(ASKED) <= set(CHIPS)
    assert len({c.soc_model for c in CHIPS.values()}) == len(CHIPS)
    assert {c.htp_arch for c in CHIPS.values()} == set(BY_ARCH)
    assert all(of_arch(arch).htp_arch == arch for arch in BY_ARCH)


@pytest.mark.parametrize("name", ["SM8650", "sm8650", "Snapdragon 8 Gen 3", "8 gen 3", "snapdragon_8_gen_3"])
def test_a_chip_goes_by_many_names(name: str) -> None:
    assert chip(name).part == "sm8650"


@pytest.mark.parametrize(
    ("name", "near"),
    [("SM8651", "sm8650"), ("8 gen 4", "8 gen"), ("sc8380", "sc8380xp"), ("QCS6940", "qcs6490")],
)
def test_a_wrong_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"Did you mean '{near}"):
        chip(name)


@pytest.mark.parametrize("arch", [66, 85])
def test_a_generation_without_a_chip_is_refused(arch: int) -> None:
    with pytest.raises(InputError, match="v75"):
        of_arch(arch)
