from __future__ import annotations

import pytest
from rich.console import Console

from kwsctl.report.evaluation_table import table
from kwsctl.report.wording import hourly, percent

from .evaluations import evaluation


def text_of(found) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(table(found))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_a_keyword_set_is_headed_by_accuracy_with_its_interval() -> None:
    found = evaluation()
    shown = text_of(found)
    assert found.accuracy is not None and found.ci95 is not None
    assert 0.1 < found.accuracy < 0.9
    assert shown.startswith(f"accuracy          {100 * found.accuracy:.1f} % [")
    assert shown.splitlines()[0].endswith("24 clips, bootstrap over 4 speakers")
    assert f"[{100 * found.ci95.low:.1f}, {100 * found.ci95.high:.1f}]" in shown.splitlines()[0]


def test_who_and_what_fares_worst_is_named() -> None:
    found = evaluation()
    lines = text_of(found).splitlines()
    labels = lines[next(n for n, line in enumerate(lines) if line.startswith("worst labels")) + 1 :]
    worst = min(found.per_label, key=lambda label: (found.per_label[label].recall, label))
    assert labels[0].startswith(worst)  # also with brackets, which are markup elsewhere
    speakers = lines[next(n for n, line in enumerate(lines) if line.startswith("worst speakers")) + 1 :]
    assert speakers[0].split()[0] == found.per_speaker[0].speaker


def test_false_alarms_come_with_interval_and_hours() -> None:
    found = evaluation(background=2)
    assert found.detection is not None and found.detection.false_alarms is not None
    alarms = found.detection.false_alarms
    (line,) = [line for line in text_of(found).splitlines() if line.startswith("false alarms")]
    assert (
        f"{hourly(alarms.per_hour)} per hour [{hourly(alarms.ci95.low)}, {hourly(alarms.ci95.high)}]" in line
    )
    assert line.endswith(f"{alarms.count} in {alarms.hours:.3g} h of background")
    assert "source0" in text_of(found) and "source1" in text_of(found)
    assert "source0" not in text_of(evaluation(background=1))


def test_a_wake_word_never_shows_an_accuracy() -> None:
    shown = text_of(evaluation(wake=True))
    assert "accuracy" not in shown and "false rejects" in shown and "worst labels" not in shown
    assert shown.startswith("threshold") and "detection rate of 1 of 4 speakers" in shown


def test_without_errors_nobody_is_worst() -> None:
    shown = text_of(evaluation(perfect=True, background=0))
    assert "worst labels" not in shown and "worst speakers" not in shown
    assert "accuracy          100 %" in shown


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.9959, "99.59 %"), (0.9996, "99.960 %"),
     (0.9999996, "> 99.999 %"), (0.00042, "0.042 %"), (0.0523, "5.23 %"),
     (0.9, "90.0 %"), (0.9208, "92.08 %")],
)  # fmt: skip
def test_percentages_keep_the_digits_that_matter(share: float, text: str) -> None:
    assert percent(share) == text


def test_rates_per_hour_are_short() -> None:
    assert [hourly(value) for value in (0, 0.456, 2.345, 41.27, 1177.4)] == ["0", "0.46", "2.3", "41", "1177"]
