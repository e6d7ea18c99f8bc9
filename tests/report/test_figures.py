from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from kwsctl.errors import InputError
from kwsctl.evaluation.results import Confusion, Evaluation
from kwsctl.report import figures, panels

from .evaluations import WORDS, evaluation

MANY = tuple(f"word{index}" for index in range(60))


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (evaluation(), "figure.png"),
        (evaluation(background=0), "figure.svg"),
        (evaluation(perfect=True, background=0), "figure.svg"),
        (evaluation(wake=True), "figure.PNG"),
        (evaluation(("alexa",), wake=True, background=0), "figure.svg"),
        (evaluation(MANY), "figure.svg"),
        (evaluation(("قف", "停止", "ja")), "figure.svg"),
    ],
    ids=["keywords", "no background", "no errors", "wake", "nothing to draw", "60 labels", "scripts"],
)
def test_every_kind_of_evaluation_can_be_drawn(found: Evaluation, name: str, tmp_path: Path) -> None:
    figures.draw(found, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.lower().endswith("png") else b"<?xml")
    assert content.rstrip().endswith(b"IEND\xaeB`\x82" if name.lower().endswith("png") else b"</svg>")
    assert [path.name for path in tmp_path.glob("*figure*")] == [name]  # nothing half-written


@pytest.mark.parametrize("suffix", figures.SUFFIXES)
def test_equal_evaluations_give_equal_files(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        figures.draw(evaluation(wake=True), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_global_style_stays_as_it_was(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figures.draw(evaluation(wake=True), tmp_path / "figure.svg")
    assert dict(mpl.rcParams) == before


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"det\.jpg has no known picture suffix.*\.png, \.svg"):
        figures.draw(evaluation(), tmp_path / "det.jpg")
    assert not list(tmp_path.iterdir())


def test_axes_name_their_quantity_and_mark_the_operating_point() -> None:
    found, axes = evaluation(), Figure().subplots()
    assert found.detection is not None and found.detection.false_alarms is not None
    panels.tradeoff(axes, found.tradeoff, found.detection)
    assert axes.get_xlabel() == "false alarms per hour of background audio"
    assert axes.get_ylabel() == "missed keywords (false rejects) in %"
    (mark,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert mark.get_xdata()[0] == pytest.approx(found.detection.false_alarms.per_hour)
    assert mark.get_ydata()[0] == pytest.approx(100 * found.detection.frr)
    (text,) = [text.get_text() for text in axes.texts if "missed" in text.get_text()]
    assert "threshold 0.6" in text
    low, high = axes.get_xlim()
    assert low < found.detection.false_alarms.per_hour < high


def test_no_false_alarm_is_drawn_at_the_edge_of_the_logarithmic_axis() -> None:
    found, axes = evaluation(), Figure().subplots()
    curve = replace(found.tradeoff, false_alarms_per_hour=np.zeros(len(found.tradeoff.thresholds)))
    panels.tradeoff(axes, curve, None)
    assert (axes.lines[0].get_xdata() == axes.get_xlim()[0]).all() and axes.get_xlim()[0] > 0


def test_without_background_the_axes_are_normal_deviates() -> None:
    found, axes = evaluation(background=0), Figure().subplots()
    panels.tradeoff(axes, found.tradeoff, None)
    ticks = dict(zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert ticks["20"] == pytest.approx(-0.8416, abs=1e-4) and ticks["5"] == pytest.approx(-1.6449, abs=1e-4)
    assert axes.get_xlabel() == "clips on which a wrong keyword fires, in %"


def test_histograms_sum_to_all_clips() -> None:
    found, axes = evaluation(), Figure().subplots()
    panels.histogram(axes, found.tradeoff, found.detection)
    filled = [patch for patch in axes.patches if hasattr(patch, "get_height")]
    assert sum(patch.get_height() for patch in filled) == pytest.approx(200)  # 100 % of each group
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["the right keyword (24 clips)", "a wrong keyword (24 clips)", "threshold 0.6"]


def test_a_few_labels_show_their_counts() -> None:
    axes = Figure().subplots()
    panels.confusion(axes, Confusion(WORDS, np.array([[9, 1, 0], [0, 10, 0], [3, 0, 5]])))
    written = {tuple(int(v) for v in text.get_position()): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "9", (1, 0): "1", (1, 1): "10", (0, 2): "3", (2, 2): "5"}
    assert [text.get_text() for text in axes.get_yticklabels()] == list(WORDS)


def test_of_many_labels_the_most_confused_are_drawn() -> None:
    counts = 10 * np.eye(60, dtype=np.int64)
    counts[59, 58] = 4
    with mpl.rc_context({"axes.titlelocation": "left"}):
        axes = Figure().subplots()
        panels.confusion(axes, Confusion(MANY, counts))
    drawn = [text.get_text() for text in axes.get_yticklabels()]
    assert len(drawn) == panels.MOST_LABELS and drawn[-2:] == ["word58", "word59"]
    assert axes.get_title(loc="left") == "Confusions (12 labels with fewer errors are not drawn)"
