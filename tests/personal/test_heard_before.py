"""What the ledger lacks: a segment that is judged again has a line for every answer, and only one."""

from __future__ import annotations

from pathlib import Path

from kwsctl.personal import ledger, profile
from kwsctl.personal.heard_before import HeardBefore
from tests.personal import people

STREAM = "a" * 64


def facts(decision: str, *, again: bool) -> dict[str, object]:
    return {"stream": STREAM, "time_s": 3.2, "decision": decision, **({"again": True} if again else {})}


def test_each_answer_about_a_segment_is_new_once(tmp_path: Path) -> None:
    profile.save(tmp_path, people.enrolled(), None)
    answers = [("abstain", False), ("abstain", True), ("positive", True)]
    before = HeardBefore(tmp_path, "anna", None)
    for decision, again in answers:
        told = facts(decision, again=again)
        assert before.is_new("segment", told)
        ledger.append(tmp_path, "anna", "segment", told)
    after = HeardBefore(tmp_path, "anna", None)
    assert not any(after.is_new("segment", facts(decision, again=again)) for decision, again in answers)
