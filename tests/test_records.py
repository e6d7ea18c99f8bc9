"""What commands found out: whole, in the home, and readable again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kwsctl import records
from kwsctl.errors import InputError


def test_what_is_kept_is_read_again_newest_first(tmp_path: Path) -> None:
    records.keep(tmp_path, "train", {"path": Path("a"), "n": np.int64(3), "rates": (0.5, float("nan"))})
    records.keep(tmp_path, "evaluate", {})
    newest, oldest = map(records.read, records.paths(tmp_path))
    assert (newest.command, oldest.command) == ("evaluate", "train")
    assert oldest.facts == {"path": "a", "n": 3, "rates": [0.5, None]}


def test_no_more_than_so_many_of_a_command_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST", 2)
    kept = [records.keep(tmp_path, "train", {"n": n}) for n in range(4)]
    records.keep(tmp_path, "evaluate", {})
    assert [path.exists() for path in kept] == [False, False, True, True]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no object"),
        ("{}", "of no command"),
        ('{"kwsctl_record": 2}', "has format 2"),
        ('{"kwsctl_record": 1, "command": "train"}', "lacks or garbles"),
    ],
)
def test_what_is_no_record_is_refused(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=told):
        records.read(path)


def test_what_a_command_prints_is_known_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"per_round": [], "bytes_up": 1, "rounds": 2}))
    assert records.read(path).command == "federate"
