"""The single drawings that `figures` puts side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation import metrics
from kwsctl.evaluation.operating_point import Detection, Tradeoff
from kwsctl.evaluation.results import Confusion
from kwsctl.report.palette import BLUE, FAINT, GREY, GROUND, INK, ORANGE, RIGHT, WRONG
from kwsctl.report.wording import hourly, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

MOST_LABELS = 48
"""More are not readable: those with most errors are drawn."""

MOST_PER_HOUR = 60.0
"""One false alarm a minute: what lies beyond is of no use to anybody."""

PROBIT_TICKS = (0.0001, 0.0005, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def tradeoff(axes: Axes, curve: Tradeoff, detection: Detection | None) -> None:
    """Draws misses against false alarms per hour, or without background against those among clips.

    Args:
        axes: where to.
        curve: all thresholds.
        detection: the operating point to mark.
    """
    axes.set_title("Detection error tradeoff")
    if curve.false_alarms_per_hour is not None:
        _per_hour(axes, curve, curve.false_alarms_per_hour, detection)
    elif len(curve.other_peaks):
        _among_clips(axes, curve)
    else:
        axes.set_axis_off()
        axes.text(0, 0.9, "There are no other words and no background audio:\nno false alarms to draw.")


def histogram(axes: Axes, curve: Tradeoff, detection: Detection | None) -> None:
    """Draws how the scores of keywords and of other words are distributed.

    Args:
        axes: where to.
        curve: with the peak scores of all clips.
        detection: the operating point to mark.
    """
    groups = [("the right keyword", curve.own_peaks, BLUE), ("a wrong keyword", curve.other_peaks, ORANGE)]
    for name, peaks, colour in groups:
        if len(peaks):
            weights, bins = np.full(len(peaks), 100 / len(peaks)), np.linspace(0, 1, 51).tolist()
            axes.hist(peaks, bins, weights=weights, color=colour, alpha=0.2)
            label = f"{name} ({len(peaks)} clips)"
            axes.hist(peaks, bins, weights=weights, color=colour, histtype="step", lw=1.5, label=label)
    threshold = _single_threshold(detection)
    if threshold is not None and threshold <= 1:
        told = f"threshold {threshold:.3g}"
        axes.plot([threshold] * 2, [1e-9, 130], color=INK, lw=1.2, ls="--", label=told)
    axes.set(title="Scores", xlabel="highest smoothed score in the clip", ylabel="clips in %")
    axes.set(xlim=(0, 1), yscale="log")
    least = 70 / max(1, len(curve.own_peaks), len(curve.other_peaks))
    axes.set(yticks=(0.1, 1, 10, 100), ylim=(least, 2500))  # room for the legend above 100 %
    axes.yaxis.set_major_formatter(_plain)
    axes.grid(axis="y")
    axes.legend(loc="upper left", fontsize=8.5, handlelength=1.4, labelspacing=0.3)


def confusion(axes: Axes, matrix: Confusion) -> None:
    """Draws which label was taken for which; errors stand out against a pale diagonal.

    Args:
        axes: where to.
        matrix: counts of clips.
    """
    from matplotlib.colors import LinearSegmentedColormap

    labels, counts, n_hidden = _most_confused(matrix)
    n_clips = counts.sum(axis=1, keepdims=True)
    share = 100 * counts / np.maximum(n_clips, 1)
    diagonal = np.eye(len(labels), dtype=bool)
    wrong = np.ma.masked_where(diagonal | (counts == 0), share)
    right = np.ma.masked_where(~diagonal | (n_clips == 0), share)
    axes.imshow(right, cmap=LinearSegmentedColormap.from_list("right", RIGHT), vmin=0, vmax=100)
    top = float(wrong.max()) if wrong.count() else 1.0
    drawn = axes.imshow(wrong, cmap=LinearSegmentedColormap.from_list("wrong", WRONG), vmin=0, vmax=top)
    size = float(np.clip(300 / len(labels), 6, 10))
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=size)
    axes.set_yticks(range(len(labels)), labels, fontsize=size)
    axes.tick_params(length=0)
    hidden = f" ({n_hidden} labels with fewer errors are not drawn)" if n_hidden else ""
    axes.set(title=f"Confusions{hidden}", xlabel="recognized as", ylabel="spoken")
    if len(labels) <= 14:
        _write_counts(axes, counts, share, top)
    if wrong.count():
        bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.025, pad=0.015, shrink=0.5)
        bar.set_label("mistaken, in % of the clips of the word")


def _per_hour(axes: Axes, curve: Tradeoff, per_hour: Floats, detection: Detection | None) -> None:
    none = 0.3 / curve.hours  # where a rate of 0 is drawn on the logarithmic axis
    axes.plot(np.maximum(per_hour, none), 100 * curve.frr, color=BLUE, lw=1.8, drawstyle="steps-pre")
    axes.axvspan(none, 0.7 / curve.hours, color=GREY, alpha=0.15, lw=0)
    axes.text(np.sqrt(0.21) / curve.hours, 0.03, f"none in {curve.hours:.2g} h", fontsize=8.5, color=INK,
              transform=axes.get_xaxis_transform(), rotation=90, ha="center")  # fmt: skip
    top, most = 100.0, MOST_PER_HOUR
    if detection is not None and detection.false_alarms is not None:
        at = max(detection.false_alarms.per_hour, none)
        top = min(100.0, max(5.0, 400 * detection.frr, 150 * detection.frr_ci95.high))
        most = max(most, 10 * at)
        _mark(axes, at, detection, detection.false_alarms.per_hour, below=detection.frr * 100 > 0.6 * top)
    axes.set(xscale="log", xlim=(none, max(10 * none, min(most, 1.1 * per_hour.max()))), ylim=(0, top))
    axes.set(
        xlabel="false alarms per hour of background audio", ylabel="missed keywords (false rejects) in %"
    )
    axes.xaxis.set_major_formatter(_plain)
    axes.xaxis.set_minor_formatter(_unnamed)
    axes.grid()


def _mark(axes: Axes, at: float, detection: Detection, per_hour: float, *, below: bool) -> None:
    """Marks the operating point with the interval of its misses."""
    missed, interval = 100 * detection.frr, detection.frr_ci95
    spread = [[max(0.0, missed - 100 * interval.low)], [max(0.0, 100 * interval.high - missed)]]
    axes.errorbar([at], [missed], spread, fmt="o", color=ORANGE, ms=7, capsize=3, zorder=5, clip_on=False)
    threshold = _single_threshold(detection)
    told = f"missed {percent(detection.frr)}\n{hourly(per_hour)} false alarms/h"
    told += "" if threshold is None else f"\nthreshold {threshold:.3g}"
    axes.annotate(told, (at, missed), (16, -12 if below else 12), textcoords="offset points",
                  va="top" if below else "bottom", fontsize=9,
                  bbox={"fc": GROUND, "ec": FAINT, "boxstyle": "round,pad=0.35"})  # fmt: skip


def _among_clips(axes: Axes, curve: Tradeoff) -> None:
    """Draws the curve of Martin et al. 1997: normal deviates, so that normal scores give a line."""
    from scipy.special import ndtri  # the inverse of the normal distribution

    det = metrics.det(curve.own_peaks, curve.other_peaks)
    least = 0.5 / max(len(curve.own_peaks), len(curve.other_peaks))
    x, y = (ndtri(np.clip(rates, least, 1 - least)) for rates in (det.false_alarm_rate, det.miss_rate))
    axes.plot(x, y, color=BLUE, lw=1.8)
    equal = metrics.eer(curve.own_peaks, curve.other_peaks).rate
    at = ndtri(np.clip(equal, least, 1 - least))
    axes.plot([at], [at], "o", color=ORANGE, ms=7, zorder=5)
    told = f"equal error rate {percent(equal)}\n(of smoothed scores)"
    axes.annotate(told, (at, at), (12, 10), textcoords="offset points", fontsize=9)
    ticks = [tick for tick in PROBIT_TICKS if tick >= least]
    names = [f"{100 * tick:g}" for tick in ticks]
    axes.set_xticks(ndtri(ticks), names)
    axes.set_yticks(ndtri(ticks), names)
    limits = (ndtri(least) - 0.08, ndtri(0.8))  # a curve without errors lies just inside
    axes.set(xlim=limits, ylim=limits)
    axes.set(
        xlabel="clips on which a wrong keyword fires, in %", ylabel="missed keywords (false rejects) in %"
    )
    axes.grid()


def _most_confused(matrix: Confusion) -> tuple[list[str], NDArray[np.int64], int]:
    """Leaves out labels without clips and errors, then those with fewest errors."""
    errors = matrix.counts - np.diag(np.diag(matrix.counts))
    involved = errors.sum(axis=0) + errors.sum(axis=1)
    there = np.flatnonzero(matrix.counts.sum(axis=0) + matrix.counts.sum(axis=1))
    kept = np.sort(there[np.argsort(-involved[there], kind="stable")[:MOST_LABELS]])
    return [matrix.labels[index] for index in kept], matrix.counts[np.ix_(kept, kept)], len(there) - len(kept)


def _write_counts(axes: Axes, counts: NDArray[np.int64], share: Floats, top: float) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = row != column and share[row, column] > 0.6 * top
        axes.text(column, row, str(counts[row, column]), ha="center", va="center",
                  fontsize=9, color="white" if dark else INK)  # fmt: skip


def _single_threshold(detection: Detection | None) -> float | None:
    """Gives the threshold if all keywords have the same."""
    if detection is None:
        return None
    if isinstance(detection.threshold, float):
        return detection.threshold
    different = set(detection.threshold.values())
    return different.pop() if len(different) == 1 else None


def _unnamed(_value: float, _position: float) -> str:
    return ""


def _plain(value: float, _position: float) -> str:
    return f"{value:g}"
