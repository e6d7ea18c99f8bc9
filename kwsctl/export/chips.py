"""Snapdragon chips by name: which HTP they have, and how Qualcomm's libraries number them.

The execution provider turns a chip or an architecture that it does not know into a v68 in silence, so what it
is given comes from this table only. Numbers and memory: what QAIRT 2.51 writes for each number, compared with
the table of ExecuTorch; names: Qualcomm AI Hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from kwsctl.errors import InputError
from kwsctl.registry import did_you_mean


@dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        part: number of the part, in lower case.
        name: what it is sold as.
        soc_model: how Qualcomm's libraries number it.
        htp_arch: generation of its HTP, such as 75.
        vtcm_mb: memory of the HTP, in MB.
    """

    part: str
    name: str
    soc_model: int
    htp_arch: int
    vtcm_mb: int


CHIPS = {
    chip.part: chip
    for chip in (
        Chip("sm8350", "Snapdragon 888", 30, 68, 4),
        Chip("sm7325", "Snapdragon 778G", 35, 68, 2),
        Chip("qcs6490", "QCS6490", 93, 68, 2),
        Chip("sm8450", "Snapdragon 8 Gen 1", 36, 69, 8),
        Chip("sm8550", "Snapdragon 8 Gen 2", 43, 73, 8),
        Chip("sc8380xp", "Snapdragon X Elite", 60, 73, 8),
        Chip("sm8650", "Snapdragon 8 Gen 3", 57, 75, 8),
        Chip("sm8750", "Snapdragon 8 Elite", 69, 79, 8),
        Chip("sm8850", "Snapdragon 8 Elite Gen 5", 87, 81, 8),
    )
}
ALIASES = {chip.name.lower(): chip.part for chip in CHIPS.values()} | {
    "qcm6490": "qcs6490",
    "x1e-80-100": "sc8380xp",
    "snapdragon x": "sc8380xp",
}
BY_ARCH = {68: "sm8350", 69: "sm8450", 73: "sm8550", 75: "sm8650", 79: "sm8750", 81: "sm8850"}
"""A chip of each generation of the HTP."""


def chip(name: str) -> Chip:
    """Finds a chip.

    Args:
        name: its part, such as `SM8650`, or what it is sold as, such as `Snapdragon 8 Gen 3` or `8 Gen 3`.

    Returns:
        The chip.

    Raises:
        InputError: not in the table; the message names the nearest.
    """
    asked = " ".join(name.lower().replace("_", " ").split())
    for spelling in (asked, ALIASES.get(asked), ALIASES.get(f"snapdragon {asked}")):
        if spelling in CHIPS:
            return CHIPS[str(spelling)]
    listed = ", ".join(f"{c.part} ({c.name})" if c.name.lower() != c.part else c.part for c in CHIPS.values())
    near = did_you_mean(asked, [*CHIPS, *ALIASES, *(a.removeprefix("snapdragon ") for a in ALIASES)])
    raise InputError(f"No chip named {name!r}.", f"{near}Known: {listed}.")


def of_arch(htp_arch: int) -> Chip:
    """Gives a chip with an HTP of this generation.

    Args:
        htp_arch: such as 75.

    Returns:
        The chip.

    Raises:
        InputError: no chip of the table has it.
    """
    if htp_arch not in BY_ARCH:
        known = ", ".join(f"v{arch}" for arch in BY_ARCH)
        raise InputError(f"No chip here has an HTP v{htp_arch}.", f"Known: {known}.")
    return CHIPS[BY_ARCH[htp_arch]]
