from __future__ import annotations

from pathlib import Path

import pytest

from kwsctl.data import speaking
from kwsctl.data.voices._utterance import Speaker, Utterance
from kwsctl.errors import ExtensionError

NANO = Speaker("nanotts", "en-GB")


def utterances(*texts: str) -> list[Utterance]:
    return [Utterance(NANO, text) for text in texts]


def test_clips_come_in_order_and_are_spoken_once(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    said = speaking.speak(
        utterances("one fish", "two fish", "red fish"),
        tmp_path,
        workers=2,
        progress=lambda done, total, **_: calls.append((done, total)),
    )
    assert [one.utterance.text for one in said] == ["one fish", "two fish", "red fish"]
    assert all(one.path.is_file() and not one.rejected for one in said)
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]

    before = {one.path: one.path.stat().st_mtime_ns for one in said}
    calls.clear()
    again = speaking.speak(
        utterances("two fish", "one fish"),
        tmp_path,
        progress=lambda done, total, **_: calls.append((done, total)),
    )
    assert calls == [(2, 2)]
    assert [one.path.stat().st_mtime_ns for one in again] == [before[one.path] for one in again]


def test_order_and_company_do_not_change_a_clip(tmp_path: Path) -> None:
    texts = ("one fish", "two fish", "red fish", "blue fish")
    first = speaking.speak(utterances(*texts), tmp_path / "a", workers=1)
    second = speaking.speak(utterances(*reversed(texts)), tmp_path / "b", workers=2)
    by_text = {one.utterance.text: one.path.read_bytes() for one in second}
    assert [one.path.read_bytes() for one in first] == [by_text[text] for text in texts]


def test_a_clip_that_fails_is_rejected_with_its_reason(tmp_path: Path) -> None:
    said = speaking.speak(utterances("...", "one fish"), tmp_path, workers=1)
    assert said[0].rejected
    assert not said[0].path.exists()
    assert not said[1].rejected


def test_a_worker_that_dies_costs_its_clip_only(tmp_path: Path) -> None:
    broken = Utterance(Speaker("nanotts", "xx-XX"), "one fish")
    said = speaking.speak([broken, *utterances("two fish")], tmp_path, workers=1)
    assert "nanotts crashed" in said[0].rejected
    assert said[1].path.is_file()


def test_an_engine_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    broken = [Utterance(Speaker("nanotts", "xx-XX"), f"fish {i}") for i in range(5)]
    said = speaking.speak(broken, tmp_path, workers=1)
    assert sum("exit code" in one.rejected for one in said) == 3
    assert sum("crashed 3 times" in one.rejected for one in said) == 2


def test_paths_tell_everything_apart_that_is_heard(tmp_path: Path) -> None:
    one = Utterance(NANO, "one fish")
    others = [
        Utterance(NANO, "one fish."),
        Utterance(NANO, "one fish", speed=1.1),
        Utterance(NANO, "one fish", pitch=1.1),
        Utterance(NANO, "one fish", level_db=-7.0),
        Utterance(NANO, "one fish", take=1),
        Utterance(Speaker("nanotts", "en-US"), "one fish"),
        Utterance(Speaker("nanotts", "en-GB", formant=1.1), "one fish"),
    ]
    assert len({speaking.clip_path(each, tmp_path) for each in [one, *others]}) == 8
    assert speaking.clip_path(one, tmp_path).parent.name == "nanotts-en-GB"


def test_unknown_engines_are_named() -> None:
    with pytest.raises(ExtensionError, match=r"No voices named 'nanots'.*Did you mean 'nanotts'"):
        speaking.missing(["nanots"])


def test_the_engines_that_are_always_there() -> None:
    assert speaking.missing(["hibari", "nanotts"]) == {"hibari": "", "nanotts": ""}


def test_a_missing_package_comes_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    assert "pip install 'kwsctl[espeak]'" in speaking.missing(["espeak"])["espeak"]
