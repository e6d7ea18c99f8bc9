"""The bench of exports compares models with themselves in float."""

from __future__ import annotations

import pytest
from rich.console import Console

from kwsctl.bench.export import ExportBench, ExportBenchOptions, export_bench
from kwsctl.export import htp
from kwsctl.report.export_tables import bench_table
from tests import toy_people


def test_every_model_has_a_row_per_precision_and_auto_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htp.importlib.util, "find_spec", lambda name: None)
    store = toy_people.joined(
        toy_people.crowd(toy_people.WORDS, toy_people.OTHERS[:3], 1),
        toy_people.crowd(toy_people.WORDS, toy_people.PEOPLE[:3], 1, split="test"),
    )
    rows = export_bench([toy_people.keyword_model()], store, ExportBenchOptions(max_loss=5.0))
    assert [(row.arch, row.precision) for row in rows] == [("tcresnet", "w8a8"), ("tcresnet", "w8a16")]
    assert [row.chosen for row in rows] == [True, False]
    for row in rows:
        assert set(row.forms) == {"cpu"}
        assert row.forms["cpu"].n == 36
        assert not row.context_bytes
        assert row.dlc_bytes is None
        assert row.time_ratio > 0
    console = Console(width=160, record=True)
    console.print(bench_table(ExportBench(rows, {}, "")))
    text = console.export_text()
    assert "w8a8*" in text
    assert f"{rows[0].qdq_bytes / 1024:.0f}" in text
