"""What a keyword learned from streams: what was accepted and what not, and updates taken or rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kwsctl.report import svg
from kwsctl.report.material import Material, Person
from kwsctl.report.palette import BLUE, GREY, INK, ORANGE
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Adaptation"
PLACE = 50
FILLED_BY = "kwsctl adapt --stream RECORDINGS --user NAME"
LANES = ("calls", "other words", "left alone", "updates")
Facts = Mapping[str, Any]


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws a timeline for each person who heard a stream."""
    return tuple(
        _block(person, number)
        for number, person in enumerate(material.people)
        if person.events("segment") or person.events("update")
    )


def _block(person: Person, number: int) -> Block:
    updates = person.events("update")
    # Of a segment that was judged again, what it was taken for in the end.
    judged = {(facts["stream"], facts["time_s"]): facts for facts in person.events("segment")}
    segments = list(judged.values())
    at, hours = _clock([entry.facts for entry in person.entries if entry.event in ("segment", "update")])
    counts = Counter(_lane(facts) for facts in segments)
    taken = sum(facts["decision"] == "taken" for facts in updates)
    undone = len(person.events("undo"))
    told = (
        f"{counts['calls']} segments taken for calls, {counts['other words']} for other words, "
        f"{counts['left alone']} left alone; updates: {taken} taken, {len(updates) - taken} rolled back"
        f"{f', {undone} taken back by hand' if undone else ''}, in {60 * hours:.0f} minutes of audio."
    )

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
        _lanes(above, segments, updates, at)
        _canary(below, updates, at)
        figure.legend(loc="outside upper left", ncols=2, fontsize=8)

    picture = svg.inline(f"timeline{number}", f"What {person.shown.user}'s keyword learned", told, draw, 4.6)
    return Block(person.shown.user, told, picture, _table(updates))


def _clock(facts: Sequence[Facts]) -> tuple[dict[int, float], float]:
    """Lays streams one after the other: gives the minute of each segment and update, and hours in all.

    An update has no time of its own: it comes right after the last segment before it.
    """
    at: dict[int, float] = {}
    begun, last, stream = 0.0, 0.0, None
    for one in facts:
        if one["stream"] != stream:
            begun, stream = last, one["stream"]
        last = max(last, begun + one["time_s"] / 60) if "time_s" in one else last
        at[id(one)] = last if "time_s" not in one else begun + one["time_s"] / 60
    return at, last / 60


def _lane(facts: Facts) -> str:
    if not facts["kept"]:
        return "left alone"
    return "calls" if facts["decision"] == "positive" else "other words"


def _lanes(axes: Axes, segments: Sequence[Facts], updates: Sequence[Facts], at: Mapping[int, float]) -> None:
    for place, (lane, colour, mark) in enumerate(zip(LANES[:3], (BLUE, INK, GREY), "|||", strict=True)):
        times = [at[id(one)] for one in segments if _lane(one) == lane]
        axes.plot(times, [place] * len(times), mark, color=colour, ms=9, mew=1.4)
    for decision, colour, mark in (("taken", BLUE, "^"), ("rolled back", ORANGE, "x")):
        times = [at[id(one)] for one in updates if one["decision"] == decision]
        axes.plot(times, [3] * len(times), mark, color=colour, ms=7, mew=1.8, label=f"update {decision}")
    axes.set_yticks(range(4), LANES)
    axes.set_ylim(3.6, -0.6)
    axes.grid(axis="x")


def _canary(axes: Axes, updates: Sequence[Facts], at: Mapping[int, float]) -> None:
    """Draws what the guard measured before and after each update, on clips that are never learned from."""
    times = [at[id(one)] for one in updates]
    for which, colour, mark in (("before", GREY, "s"), ("after", BLUE, "o")):
        values = [100 * one["canary"][which]["expected"] for one in updates]
        axes.plot(times, values, mark, color=colour, ms=5, label=f"canary {which} it")
    for one, time in zip(updates, times, strict=True):
        both = [100 * one["canary"][which]["expected"] for which in ("before", "after")]
        axes.plot([time, time], both, color=GREY, lw=0.8)
    axes.set(xlabel="minutes of audio", ylabel="calls expected, %", ylim=(-3, 103))
    axes.grid()


def _table(updates: Sequence[Facts]) -> Rows | None:
    if not updates:
        return None
    body = tuple(
        (
            str(number),
            one["decision"],
            one.get("reason", "") or one["method"],
            " to ".join(percent(one["canary"][w]["expected"]) for w in ("before", "after")),
            " to ".join(percent(one["canary"][w]["false_alarms"]) for w in ("before", "after")),
        )
        for number, one in enumerate(updates, start=1)
    )
    return Rows(("Update", "Decision", "Why, or how", "Calls expected", "Other words taken for it"), body)
