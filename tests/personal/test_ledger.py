from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.errors import InputError, ProfileError
from kwsctl.personal import encryption, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.personal.ledger import Entry
from tests.personal.people import enrolled

KEY = Key.from_passphrase("correct horse battery staple")
KEYS = [None, KEY]
FACTS = {"keyword": "öffne\ndich", "score": 0.731, "canary": [0.9, None], "accepted": True}


def events(home: Path, key: Key | None) -> list[str]:
    return [entry.event for entry in ledger.read(home, "anna", key)]


@pytest.mark.parametrize("key", KEYS)
def test_events_come_back_in_order_with_facts_and_time(home: Path, key: Key | None) -> None:
    profile.save(home, enrolled(), key)
    assert ledger.read(home, "anna", key) == ()
    before = datetime.datetime.now(datetime.UTC)
    ledger.append(home, "anna", "accepted", FACTS, key)
    ledger.append(home, "anna", "rejected", {}, key)
    first, second = ledger.read(home, "anna", key)
    assert (first.event, first.facts, second.event) == ("accepted", FACTS, "rejected")
    assert abs((datetime.datetime.fromisoformat(first.time) - before).total_seconds()) < 60
    content = (home / "users/anna/ledger.jsonl").read_bytes()
    assert content.count(b"\n") == 2
    assert (b"accepted" in content) == (key is None)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("left", [1, 5, 30, -2])
def test_a_torn_line_is_set_aside_and_counted(home: Path, key: Key | None, left: int) -> None:
    profile.save(home, enrolled(), key)
    ledger.append(home, "anna", "first", FACTS, key)
    path = home / "users/anna/ledger.jsonl"
    whole = path.read_bytes()
    ledger.append(home, "anna", "second", FACTS, key)
    torn = path.read_bytes()[len(whole) :][:left]
    path.write_bytes(whole + torn)
    assert ledger.read(home, "anna", key)[1] == Entry("", ledger.TORN, {"bytes": len(torn)})
    ledger.append(home, "anna", "third", {}, key)
    assert events(home, key) == ["first", ledger.TORN, "third"]
    assert path.read_bytes().startswith(whole + torn), "nothing is rewritten"
    profile.save(home, enrolled(), KEY)
    assert events(home, KEY) == ["first", ledger.TORN, "third"]


def test_a_line_that_only_lacks_its_end_is_read(home: Path) -> None:
    profile.save(home, enrolled())
    ledger.append(home, "anna", "first", FACTS)
    path = home / "users/anna/ledger.jsonl"
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert events(home, None) == ["first"]
    ledger.append(home, "anna", "second", FACTS)
    assert events(home, None) == ["first", "second"]


def test_an_encrypted_ledger_needs_its_key_to_read_and_to_write(home: Path) -> None:
    profile.save(home, enrolled(), KEY)
    with pytest.raises(ProfileError, match=r"'anna' is encrypted. Give --passphrase"):
        ledger.append(home, "anna", "first", FACTS)
    ledger.append(home, "anna", "first", FACTS, KEY)
    with pytest.raises(ProfileError, match=r"'anna' is encrypted. Give --passphrase"):
        ledger.read(home, "anna")
    with pytest.raises(ProfileError, match="does not open line 1 of"):
        ledger.read(home, "anna", Key.from_passphrase("another"))
    profile.undo(home, "anna", KEY)
    with pytest.raises(ProfileError, match="is encrypted"):
        ledger.append(home, "anna", "second", FACTS)
    ledger.append(home, "anna", "second", FACTS, KEY)
    assert events(home, KEY) == ["first", "second"]


def test_all_files_of_a_user_share_one_salt_so_that_reading_is_quick(home: Path) -> None:
    profile.save(home, enrolled(), KEY)
    ledger.append(home, "anna", "first", FACTS, KEY)
    ledger.append(home, "anna", "second", FACTS, KEY)
    encryption._cipher.cache_clear()
    assert events(home, KEY) == ["first", "second"]
    profile.load(home, "anna", KEY)
    assert encryption._cipher.cache_info().misses == 1


def test_lines_that_were_tampered_with_are_not_taken_for_torn(home: Path) -> None:
    profile.save(home, enrolled())
    for event in ("first", "second"):
        ledger.append(home, "anna", event, FACTS)
    path = home / "users/anna/ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"event"', b'"evens"', 1))
    with pytest.raises(ProfileError, match=r"The ledger is damaged at line 1 of .*'event'"):
        ledger.read(home, "anna")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stored")
    profile.save(home, enrolled(), KEY)
    ledger.append(home, "anna", "first", FACTS, KEY)
    ledger.append(home, "anna", "second", FACTS, KEY)
    return home


@settings(max_examples=30)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_sealed_line_never_comes_back_as_another(stored: Path, where: float, by: int) -> None:
    path = stored / "users/anna/ledger.jsonl"
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[int(where * len(whole))] ^= by
    try:
        path.write_bytes(changed)
        found = [entry.event for entry in ledger.read(stored, "anna", KEY)]
    except ProfileError:
        return
    finally:
        path.write_bytes(whole)
    assert found in (["first", "second"], ["first", ledger.TORN])


def test_nothing_is_written_about_who_is_not_there(home: Path) -> None:
    with pytest.raises(InputError, match="no user 'anna'"):
        ledger.append(home, "anna", "first", {})
    with pytest.raises(InputError, match="no user 'anna'"):
        ledger.read(home, "anna")
