"""What people read of an evaluation in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from kwsctl.evaluation.intervals import Interval
from kwsctl.evaluation.operating_point import Detection, FalseAlarms
from kwsctl.evaluation.results import Confusion, Evaluation
from kwsctl.report.wording import hourly, percent

N_WORST = 5


def table(found: Evaluation) -> RenderableType:
    """Lays out the figures: headline, detection, then who and what fares worst.

    Args:
        found: the evaluation.

    Returns:
        What the console prints.
    """
    parts: list[RenderableType] = [_figures(found)]
    if len(found.per_label) > 1 and any(figures.recall < 1 for figures in found.per_label.values()):
        parts += ["", _worst_labels(found)]
    if found.per_speaker and found.per_speaker[0].rate < 1:
        parts += ["", _worst_speakers(found)]
    return Group(*parts)


def _figures(found: Evaluation) -> Table:
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(style="dim")
    rows = [*_recognition_rows(found), *_detection_rows(found)]
    if found.accuracy is None:  # a wake word: what counts is detection
        rows = [*_detection_rows(found), *_recognition_rows(found)]
    for name, figure, basis in rows:
        grid.add_row(name, figure, escape(basis))
    return grid


def _recognition_rows(found: Evaluation) -> Iterator[tuple[str, str, str]]:
    if found.accuracy is not None and found.ci95 is not None:
        basis = f"{found.n} clips, {found.ci95.method}"
        yield "accuracy", f"[bold]{percent(found.accuracy)}[/] {_span(found.ci95)}", basis
    worst = found.worst_decile
    if worst is not None:
        of = "detection rate of " if found.accuracy is None else ""
        basis = f"{of}{len(worst.speakers)} of {worst.n_speakers} speakers; the others {percent(worst.rest)}"
        yield "worst decile", percent(worst.rate), basis
    if found.eer is not None:
        yield "equal error rate", percent(found.eer.macro), "single clips, mean over keywords"
    if found.detection_rate_at_far is not None:
        basis = f"with {100 * found.far:g} % false alarms among other clips"
        yield "detection rate", percent(found.detection_rate_at_far.macro), basis


def _detection_rows(found: Evaluation) -> Iterator[tuple[str, str, str]]:
    detection, shipped = found.detection, found.detection_as_shipped
    if detection is not None:
        yield from _point_rows(detection, "threshold")
        trigger = detection.trigger
        yield "", "", f"smoothed over {trigger.smoothing_s:g} s, refractory for {trigger.refractory_s:g} s"
    if shipped is not None and shipped is not detection:
        yield from _point_rows(shipped, "as shipped")


def _point_rows(point: Detection, title: str) -> Iterator[tuple[str, str, str]]:
    yield title, _threshold(point), point.threshold_from
    basis = f"{point.n} keyword clips, {point.frr_ci95.method}"
    yield "false rejects", f"[bold]{percent(point.frr)}[/] {_span(point.frr_ci95)}", basis
    if point.false_alarms is not None:
        yield "false alarms", *_alarms(point.false_alarms, "background")
        if len(point.backgrounds) > 1:
            for name, alarms in point.backgrounds.items():
                yield "  of these", *_alarms(alarms, Path(name).name)
    if point.wrong_word is not None:
        basis = f"{point.wrong_word.count} of {point.wrong_word.n} clips of another word"
        yield "wrong word", percent(point.wrong_word.rate), basis
    if point.silence is not None:
        basis = f"{point.silence.count} of {point.silence.n} clips without speech"
        yield "in silence", percent(point.silence.rate), basis


def _alarms(alarms: FalseAlarms, where: str) -> tuple[str, str]:
    interval = f"\\[{hourly(alarms.ci95.low)}, {hourly(alarms.ci95.high)}]"
    basis = f"{alarms.count} in {alarms.hours:.3g} h of {where}"
    return f"[bold]{hourly(alarms.per_hour)} per hour[/] {interval}", basis


def _threshold(point: Detection) -> str:
    if isinstance(point.threshold, float):
        return f"{point.threshold:.4g}"
    low, high = min(point.threshold.values()), max(point.threshold.values())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _worst_labels(found: Evaluation) -> Table:
    worst = sorted(found.per_label.items(), key=lambda item: (item[1].recall, item[0]))[:N_WORST]
    grid = _ranking("worst labels", "recall", "clips", "taken for")
    for label, figures in worst:
        taken_for = "" if found.confusion is None else _taken_for(found.confusion, label)
        grid.add_row(escape(label), percent(figures.recall), str(figures.n), escape(taken_for))
    return grid


def _taken_for(confusion: Confusion, label: str) -> str:
    row = confusion.labels.index(label)
    counts = confusion.counts[row].copy()
    counts[row] = 0
    ranked = [int(index) for index in np.argsort(-counts, kind="stable")[:3] if counts[index]]
    return ", ".join(f"{confusion.labels[index]} {counts[index]}" for index in ranked)


def _worst_speakers(found: Evaluation) -> Table:
    grid = _ranking("worst speakers", "accuracy" if found.accuracy is not None else "detected", "clips")
    for row in found.per_speaker[:N_WORST]:
        grid.add_row(escape(row.speaker), percent(row.rate), str(row.n))
    return grid


def _ranking(name: str, *figures: str) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column(name, min_width=16)
    for figure in figures:
        grid.add_column(figure, justify="left" if figure == "taken for" else "right")
    return grid


def _span(interval: Interval) -> str:
    return f"\\[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
