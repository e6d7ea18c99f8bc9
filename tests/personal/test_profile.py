from __future__ import annotations

import dataclasses
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.errors import InputError, ProfileError
from kwsctl.personal import encryption, folder, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.personal.profile import Keyword
from tests.personal.people import again, bundle, enrolled, facts, keyword

OTHER_KEY = Key.from_passphrase("another one")
KEYS = [None, Key.from_passphrase("correct horse battery staple")]


@pytest.mark.parametrize("key", KEYS)
def test_a_profile_comes_back_as_it_was(home: Path, key: Key | None) -> None:
    assert not profile.exists(home, "anna")
    path = profile.save(home, enrolled(), key)
    assert path == home / "users" / "anna" / "0001.link"
    assert profile.exists(home, "anna")
    assert profile.users(home) == ("anna",)
    assert profile.is_encrypted(home, "anna") == (key is not None)
    back = profile.load(home, "anna", key)
    assert facts(back) == facts(enrolled())
    assert back.links == 1


def test_what_has_no_voice_and_no_change_comes_back_too(home: Path) -> None:
    plain = dataclasses.replace(enrolled(), voice=None, deltas=(), centroids={}, keywords={}, enrolled=())
    profile.save(home, plain)
    assert facts(profile.load(home, "anna")) == facts(plain)


@pytest.mark.parametrize("key", KEYS)
def test_each_step_is_a_link_and_undo_drops_the_newest(home: Path, key: Key | None) -> None:
    base = bundle()
    states = [enrolled()]
    states.append(again(states[-1], base, 0.5))
    states.append(again(states[-1], base, 0.6))
    for state in states:
        profile.save(home, state, key)
    assert [path.name for path in folder.links(home / "users/anna")] == [
        "0001.link",
        "0002.link",
        "0003.link",
    ]
    assert facts(profile.load(home, "anna", key)) == facts(states[2])
    for state in reversed(states[:2]):
        left = profile.undo(home, "anna", key)
        assert left is not None
        assert facts(left) == facts(state) == facts(profile.load(home, "anna", key))
    assert [entry.event for entry in ledger.read(home, "anna", key)] == ["undo", "undo"]
    assert profile.undo(home, "anna", key) is None
    assert not profile.exists(home, "anna")
    with pytest.raises(ProfileError, match="Nothing is enrolled for 'anna'"):
        profile.load(home, "anna", key)
    with pytest.raises(ProfileError, match="nothing to undo"):
        profile.undo(home, "anna", key)


def test_undoing_the_only_step_leaves_no_file(home: Path) -> None:
    profile.save(home, enrolled())
    assert profile.undo(home, "anna") is None
    assert profile.users(home) == ()


def test_enrolling_again_replaces_the_keyword_and_keeps_the_chain(home: Path) -> None:
    base = bundle()
    profile.save(home, enrolled())
    profile.save(home, again(profile.load(home, "anna"), base, 0.5))
    back = profile.load(home, "anna")
    assert list(back.keywords) == ["open sesame"]
    assert back.keywords["open sesame"].threshold == 0.5
    assert back.centroids["open sesame"].shape == (2, 8)
    assert len(back.deltas) == 2
    assert len(back.enrolled) == 4
    changed = profile.apply(back, base)
    assert changed.labels == ("yes", "no", "open sesame")
    assert changed.weights["head.bias"].tolist()[2] == 0.5
    assert torch.equal(changed.weights["head.weight"][2], back.deltas[0].changes["head.weight"][2])


def test_a_change_of_settings_is_a_link_and_no_change_is_none(home: Path) -> None:
    first = profile.save(home, enrolled())
    content = first.read_bytes()
    assert profile.save(home, profile.load(home, "anna")) == first
    assert first.read_bytes() == content
    moved = dataclasses.replace(enrolled(), keywords={"open sesame": keyword(threshold=0.9)})
    assert profile.save(home, moved).name == "0002.link"
    assert profile.load(home, "anna").keywords["open sesame"].threshold == 0.9
    left = profile.undo(home, "anna")
    assert left is not None
    assert left.keywords["open sesame"].threshold == 0.731


def test_what_does_not_change_is_stored_once(home: Path) -> None:
    voice = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    state = dataclasses.replace(enrolled(), voice=voice)
    for threshold in (0.1, 0.2, 0.3):
        state = dataclasses.replace(state, keywords={"open sesame": keyword(threshold=threshold)})
        profile.save(home, state)
    sizes = [path.stat().st_size for path in folder.links(home / "users/anna")]
    assert sizes[0] > 80_000
    assert max(sizes[1:]) < 3_000
    back = profile.load(home, "anna").voice
    assert back is not None
    assert torch.equal(back, voice)


def test_people_share_a_base_and_nothing_else(home: Path) -> None:
    base = bundle()
    profile.save(home, enrolled("anna", base), KEYS[1])
    profile.save(home, enrolled("ben", base, name="hey ben"))
    assert profile.users(home) == ("anna", "ben")
    assert profile.apply(profile.load(home, "ben"), base).labels == ("yes", "no", "hey ben")
    profile.forget(home, "ben")
    assert profile.users(home) == ("anna",)
    assert profile.apply(profile.load(home, "anna", KEYS[1]), base).labels == ("yes", "no", "open sesame")
    assert base.labels == ("yes", "no")


def test_another_base_is_refused_and_both_are_named(home: Path) -> None:
    base, other = bundle(), bundle(seed=5)
    profile.save(home, enrolled("anna", base))
    both = f"made on encoder .shipped with kwsctl. .{base.sha256[:12]}., this is bundle {other.sha256[:12]}"
    with pytest.raises(ProfileError, match=both) as caught:
        profile.apply(profile.load(home, "anna"), other)
    assert "kwsctl users forget anna" in caught.value.hint
    with pytest.raises(ProfileError, match=both):
        profile.save(home, enrolled("anna", other))
    assert facts(profile.load(home, "anna")) == facts(enrolled("anna", base))


def test_what_another_process_enrolled_is_not_lost(home: Path) -> None:
    base = bundle()
    profile.save(home, enrolled())
    mine, theirs = profile.load(home, "anna"), profile.load(home, "anna")
    profile.save(home, again(theirs, base, 0.5))
    with pytest.raises(ProfileError, match="changed, undone or forgotten meanwhile"):
        profile.save(home, again(mine, base, 0.6))
    assert profile.load(home, "anna").keywords["open sesame"].threshold == 0.5


def test_of_several_that_save_at_once_one_does_and_the_others_are_told(home: Path) -> None:
    base = bundle()
    profile.save(home, enrolled())
    found = profile.load(home, "anna")

    def attempt(threshold: float) -> bool:
        try:
            profile.save(home, again(found, base, threshold))
        except ProfileError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(attempt, [n / 10 for n in range(1, 9)]))
    assert sum(done) == 1
    assert profile.load(home, "anna").keywords["open sesame"].threshold == (1 + done.index(True)) / 10


def test_who_was_forgotten_is_not_brought_back(home: Path) -> None:
    profile.save(home, enrolled())
    running = profile.load(home, "anna")
    profile.forget(home, "anna")
    with pytest.raises(ProfileError, match="forgotten meanwhile"):
        profile.save(home, again(running, bundle(), 0.6))
    with pytest.raises(InputError, match="no user 'anna'"):
        ledger.append(home, "anna", "update", {})
    assert not profile.exists(home, "anna")


@pytest.mark.parametrize("key", KEYS)
def test_a_kill_between_write_and_rename_leaves_the_state_before(
    home: Path, key: Key | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile.save(home, enrolled(), key)
    before = {path: path.read_bytes() for path in folder.files(home / "users/anna")}
    more = again(profile.load(home, "anna", key), bundle(), 0.5)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", _fail)
        killed.setattr(Path, "unlink", _fail)  # a killed process does not clean up either
        with pytest.raises(OSError, match="killed"):
            profile.save(home, more, key)
    assert len(folder.files(home / "users/anna")) == 2
    assert facts(profile.load(home, "anna", key)) == facts(enrolled())
    profile.save(home, more, key)
    after = {path: path.read_bytes() for path in folder.files(home / "users/anna")}
    assert facts(profile.load(home, "anna", key)) == facts(more)
    assert len(after) == 2, "the leftover is gone"
    assert before.items() <= after.items()


def test_a_kill_while_earlier_links_are_sealed_leaves_them_readable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, key = bundle(), KEYS[1]
    first = enrolled()
    second = again(first, base, 0.5)
    profile.save(home, first)
    profile.save(home, second)
    real, done = Path.replace, []

    def once(self: Path, target: Path) -> Path:
        if done:
            raise OSError("killed")
        done.append(target)
        return real(self, target)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", once)
        with pytest.raises(OSError, match="killed"):
            profile.save(home, again(second, base, 0.6), key)
    assert profile.is_encrypted(home, "anna")
    assert facts(profile.load(home, "anna", key)) == facts(second)
    profile.save(home, again(second, base, 0.6), key)
    assert all(encryption.is_sealed(path.read_bytes()) for path in folder.links(home / "users/anna"))


def test_a_passphrase_given_later_seals_what_lay_open(home: Path) -> None:
    key = KEYS[1]
    profile.save(home, enrolled())
    ledger.append(home, "anna", "enrolled", {"keyword": "open sesame"})
    assert profile.load(home, "anna", key).user == "anna", "a key that is not needed does no harm"
    path = profile.save(home, enrolled(), key)
    assert path.name == "0001.link"
    assert profile.is_encrypted(home, "anna")
    assert facts(profile.load(home, "anna", key)) == facts(enrolled())
    assert [entry.event for entry in ledger.read(home, "anna", key)] == ["enrolled"]
    assert not _readable(home)


def test_an_encrypted_profile_needs_its_key_for_everything_but_forget(home: Path) -> None:
    key = KEYS[1]
    profile.save(home, enrolled(), key)
    before = {path: path.read_bytes() for path in folder.files(home / "users")}
    more = again(enrolled(), bundle(), 0.5)
    for wrong, message in ((None, "is encrypted. Give --passphrase"), (OTHER_KEY, "does not open")):
        for call in (
            lambda key: profile.load(home, "anna", key),
            lambda key: profile.save(home, more, key),
            lambda key: profile.undo(home, "anna", key),
        ):
            with pytest.raises(ProfileError, match=message) as caught:
                call(wrong)
            assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in folder.files(home / "users")} == before
    assert before.keys() <= set(profile.forget(home, "anna"))


def test_nothing_about_a_person_can_be_read_from_encrypted_files(home: Path) -> None:
    key = KEYS[1]
    base = bundle()
    profile.save(home, enrolled(), key)
    assert not _readable(home)
    profile.save(home, again(enrolled(), base, 0.5), key)
    ledger.append(home, "anna", "enrolled", {"keyword": "open sesame", "score": 0.731}, key)
    profile.undo(home, "anna", key)
    assert not _readable(home)
    profile.save(home, enrolled("ben"))
    assert _readable(home / "users/ben") > 10, "what is searched for is what open files hold"


@pytest.mark.parametrize("key", KEYS)
def test_a_damaged_profile_is_one_line_and_undo_saves_what_is_whole(home: Path, key: Key | None) -> None:
    profile.save(home, enrolled(), key)
    newest = profile.save(home, again(enrolled(), bundle(), 0.5), key)
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.raises(ProfileError, match=r"0002\.link") as caught:
        profile.load(home, "anna", key)
    assert "\n" not in str(caught.value)
    left = profile.undo(home, "anna", key)
    assert left is not None
    assert facts(left) == facts(enrolled())


def test_links_that_are_missing_swapped_or_of_someone_else_are_found(home: Path) -> None:
    key = KEYS[1]
    for user in ("anna", "ben"):
        profile.save(home, enrolled(user), key)
        profile.save(home, again(enrolled(user), bundle(), 0.5), key)
    first, second = folder.links(home / "users/anna")
    kept = first.read_bytes()
    first.write_bytes((home / "users/ben/0001.link").read_bytes())
    with pytest.raises(ProfileError, match="is link 1 of user 'ben', put in this place"):
        profile.load(home, "anna", key)
    first.write_bytes(second.read_bytes())
    with pytest.raises(ProfileError, match="is link 2 of user 'anna', put in this place"):
        profile.load(home, "anna", key)
    first.unlink()
    with pytest.raises(ProfileError, match=r"Link 1 of the profile in .* is missing"):
        profile.load(home, "anna", key)
    first.write_bytes(kept)
    assert profile.load(home, "anna", key).links == 2


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return profile.save(tmp_path_factory.mktemp("stored"), enrolled(), KEYS[1])


@settings(max_examples=30)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_byte_changed_anywhere_in_a_sealed_file_is_found(stored: Path, where: float, by: int) -> None:
    whole = stored.read_bytes()
    changed = bytearray(whole)
    changed[int(where * len(whole))] ^= by
    home = stored.parents[2]
    try:
        stored.write_bytes(changed)
        with pytest.raises(ProfileError):
            profile.load(home, "anna", KEYS[1])
    finally:
        stored.write_bytes(whole)
    assert facts(profile.load(home, "anna", KEYS[1])) == facts(enrolled())


@pytest.mark.parametrize("key", KEYS)
def test_forget_removes_every_file_and_names_it(home: Path, key: Key | None) -> None:
    profile.save(home, enrolled(), key)
    profile.save(home, enrolled("ben"), key)
    ledger.append(home, "anna", "enrolled", {}, key)
    place = home / "users/anna"
    (place / ".0002.link.x.part").write_bytes(b"left by a kill")
    (place / "audio").mkdir()
    (place / "audio" / "1.wav").write_bytes(b"kept because somebody asked for it")
    ben = (home / "users/ben/0001.link").read_bytes()
    removed = profile.forget(home, "anna")
    names = [".0002.link.x.part", "0001.link", "audio/1.wav", "ledger.jsonl", "audio", "."]
    assert [str(path.relative_to(place)) for path in removed] == names
    assert not place.exists()
    assert profile.users(home) == ("ben",)
    assert (home / "users/ben/0001.link").read_bytes() == ben
    with pytest.raises(InputError, match="no user 'anna'"):
        profile.forget(home, "anna")


def test_a_small_profile_is_small(home: Path) -> None:
    state = dataclasses.replace(enrolled(), centroids={"open sesame": torch.randn(5, 128)})
    path = profile.save(home, state, KEYS[1])
    assert path.stat().st_size < 8_000


def test_only_the_person_may_look_into_the_folder(home: Path) -> None:
    path = profile.save(home, enrolled())
    assert path.parent.stat().st_mode & 0o077 == 0


def test_keywords_with_values_that_mean_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"policy 'onyl' is unknown. Known: biased, only"):
        Keyword("x", "prototype", "onyl", 0.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threshold of 'x' is nan"):
        Keyword("x", "prototype", "only", float("nan"))


def _fail(*_: Any, **__: Any) -> None:
    raise OSError("killed")


def _readable(where: Path) -> int:
    """Counts what of `enrolled` can be found in the files of a home: words, JSON keys, digits, floats."""
    state = enrolled()
    words = [
        "open sesame",
        "threshold",
        "keywords",
        "centroids",
        "voice",
        "prototype",
        "0.731",
        "0.96",
        "kwsctl",
    ]
    words += [*state.enrolled, state.base_sha256, json.dumps(state.created)]
    assert state.voice is not None
    numbers = [*state.voice.tolist(), *state.centroids["open sesame"].flatten().tolist()]
    numbers += state.deltas[0].changes["head.weight"][2].tolist()
    patterns = [word.encode() for word in words] + [struct.pack("<f", number) for number in numbers]
    content = b"\n".join(path.read_bytes() for path in folder.files(where))
    assert content
    return sum(pattern in content for pattern in patterns)
