"""The tables and the picture of the benches."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from kwsctl.bench.new_words import Figures, NewWords
from kwsctl.report import few_shot_picture
from kwsctl.report.bench_tables import few_shot_table, new_words_table
from tests.report.comparisons import found


def shown(table: Table) -> list[str]:
    console = Console(width=140, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(table)
    console.file.close()
    return console.export_text().splitlines()


def test_the_table_has_a_row_for_every_method_and_number_of_clips() -> None:
    lines = shown(few_shot_table(found()))
    assert lines[0].startswith("Calls heard at 1 % wrong words, %, 5 people, 2 outliers")
    rows = [line.split() for line in lines[2:8]]
    assert [row[:2] for row in rows] == [
        ["global", "-"], ["head", "1"], ["prototype", "1"], ["head", "5"], ["prototype", "5"], ["full", "5"],
    ]  # fmt: skip
    before, after = rows[0], rows[3]
    assert before[2] == "40.0" and before[4] == "90.0" and before[9] == "-" and before[-4:] == ["-"] * 4
    assert after[2] == "90.0" and after[4] == "90.0"
    # The worst person, the largest loss, impostors, strangers, kilobytes, bytes to learn (unknown), seconds.
    assert after[8:15] == ["70", "-10", "25", "2.00", "0", "-", "1.5"]
    assert after[15:] == ["-10.0", "(-22", "to", "+0)"]  # points beside full tuning
    assert "in brackets 95 % intervals over people" in " ".join(" ".join(lines).split())


def test_new_words_have_a_line_for_every_kind_of_trial() -> None:
    figures = {"impostor": Figures(0.1, 0.05, 0.2, 0.6, 0.5, 0.7, 1234, 56789)}
    lines = shown(new_words_table(NewWords("head", 3, 18, 40, figures)))
    assert lines[0].strip() == "head, 3 clips, 18 people, 40 words"
    assert lines[2].split() == ["impostor", "10.0", "(5-20)", "60.0", "(50-70)", "1,234", "56,789"]


def test_the_picture_shows_the_best_method_that_was_tried_with_all_numbers_of_clips() -> None:
    rows = few_shot_picture._rows(found())
    assert [(row.method, row.shots) for row in rows] == [("global", 0), ("head", 1), ("head", 5)]


def test_a_picture_is_written_and_is_not_blank(tmp_path: Path) -> None:
    few_shot_picture.draw(found(), tmp_path / "chart.png")
    pixels = matplotlib.image.imread(tmp_path / "chart.png")
    assert pixels.shape[0] > 300 and pixels.shape[1] > 600
    colours = {tuple(c) for c in np.round(pixels[::4, ::4, :3].reshape(-1, 3), 1)}
    assert len(colours) > 4
    ground = (np.abs(pixels[..., :3] - pixels[2, 2, :3]) < 0.02).all(2)
    assert 0.1 < ground.mean() < 0.95
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_format_follows_the_suffix(tmp_path: Path, suffix: str) -> None:
    few_shot_picture.draw(found(), tmp_path / f"chart{suffix}")
    head = (tmp_path / f"chart{suffix}").read_bytes()[:200]
    assert (b"<svg" in head or b"<?xml" in head) if suffix == ".svg" else head.startswith(b"\x89PNG")
