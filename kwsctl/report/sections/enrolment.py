"""How people are heard before and after they enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kwsctl.report import svg
from kwsctl.report.material import Material
from kwsctl.report.palette import BLUE, GREY, INK
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Before and after enrolment"
PLACE = 40
FILLED_BY = "kwsctl enroll CLIPS --user NAME, then kwsctl evaluate --data MANIFEST --user NAME"
Measured = tuple[str, str, Any]


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws what was measured, and lists what enrolment promised."""
    measured = _measured(material)
    promised = tuple(
        (
            f"{person.shown.user}: {name}",
            keyword.method,
            str(keyword.clips),
            percent(float(keyword.expected["detection_rate"]["rate"])),
            percent(float(keyword.expected["wrong_word_far"]["rate"])),
        )
        for person in material.people
        for name, keyword in person.shown.keywords.items()
        if {"detection_rate", "wrong_word_far"} <= keyword.expected.keys()
    )
    found = []
    if measured:
        found.append(_block(measured))
    if promised:
        head = ("Keyword", "Method", "Clips", "Calls heard", "Other words taken for it")
        found.append(Block("What was promised", rows=Rows(head, promised, "As enrolment told it")))
    return tuple(found)


def _measured(material: Material) -> list[Measured]:
    """Gives the newest comparison of each person's keywords."""
    rows = []
    for person in material.people:
        newest = next((e for e in reversed(person.events("evaluate")) if e.get("before_after")), None)
        for row in newest["before_after"] if newest else ():
            rows.append((person.shown.user, row["keyword"], row))
    return rows


def _block(measured: list[Measured]) -> Block:
    heard = [(user, word, row) for user, word, row in measured if row["heard_after"]]
    told = "; ".join(
        f"{user}, {word}: {_share(row['heard_before'], 'unknown word')} before, "
        f"{_share(row['heard_after'], 'no clip')} after"
        for user, word, row in measured
    )
    body = tuple(
        (
            f"{user}: {word}",
            _share(row["heard_before"], "unknown word"),
            _share(row["heard_after"], "no clip"),
            _share(row["wrong_before"], "-"),
            _share(row["wrong_after"], "-"),
        )
        for user, word, row in measured
    )
    head = ("Keyword", "Heard before", "Heard after", "Other words before", "Other words after")
    picture = ""
    if heard:
        picture = svg.inline(
            "enrolment", "Calls heard before and after enrolment", told, lambda figure: _pairs(figure, heard),
            1.5 + 0.42 * len(heard),
        )  # fmt: skip
    text = (
        "Clips of the person that were not enrolled, at the thresholds in use; intervals over clips (Wilson)."
    )
    return Block("What was measured", text, picture, Rows(head, body))


def _pairs(figure: Figure, measured: list[Measured]) -> None:
    axes = figure.add_subplot()
    for place, (_, _, row) in enumerate(measured):
        for share, lift, colour, mark, name in (
            (row["heard_before"], -0.12, GREY, "s", "before"),
            (row["heard_after"], 0.12, BLUE, "o", "after"),
        ):
            if share is None:
                axes.text(
                    1,
                    place + lift,
                    "before: a word the model did not know",
                    fontsize=8.5,
                    color=INK,
                    va="center",
                )
                continue
            rate, spread = (
                100 * share["rate"],
                [[100 * (share["rate"] - share["low"])], [100 * (share["high"] - share["rate"])]],
            )
            label = name if place == 0 else None
            axes.errorbar(
                [rate],
                [place + lift],
                xerr=np.maximum(spread, 0),
                fmt=mark,
                color=colour,
                ms=6,
                capsize=3,
                label=label,
            )
    axes.set_yticks(range(len(measured)), [f"{user[:12]}: {word[:14]}" for user, word, _ in measured])
    axes.set(xlim=(-2, 102), ylim=(len(measured) - 0.4, -0.6), xlabel="calls heard, in %")
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)


def _share(share: Any, absent: str) -> str:
    if share is None:
        return absent
    low, high = 100 * share["low"], 100 * share["high"]
    return f"{percent(share['rate'])} ({low:.0f} to {high:.0f} %), n = {share['n']}"
