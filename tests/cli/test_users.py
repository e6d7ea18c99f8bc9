from __future__ import annotations

import getpass
import json
import os
import pty
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from kwsctl.cli import console
from kwsctl.cli.app import main
from kwsctl.cli.passphrase import resolve_key
from kwsctl.errors import InputError
from kwsctl.personal import encryption, folder, ledger, profile
from kwsctl.personal.encryption import Key
from tests.personal.people import again, bundle, enrolled

SECRET = "correct horse battery staple"  # noqa: S105  # of a profile that only the tests have
KEY = Key.from_passphrase(SECRET)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "SCRYPT_N", 4)
    monkeypatch.delenv("KWSCTL_PASSPHRASE", raising=False)
    monkeypatch.setattr(console._out, "_width", 200)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1, "one JSON object, nothing else"
    found: dict[str, Any] = json.loads(captured.out)
    return found


def error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, "one line"
    return captured.err


@pytest.fixture
def household(own_home: Path) -> Path:
    """Anna in two steps, Ben encrypted, and a folder that an interrupted enrolment left."""
    profile.save(own_home, enrolled("anna"))
    profile.save(own_home, again(enrolled("anna"), bundle(), 0.5))
    profile.save(own_home, enrolled("ben", name="hey ben"), KEY)
    (own_home / "users/cleo").mkdir()
    return own_home


def test_list_tells_who_is_there_without_any_key(household: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("users", "list", "--json") == 0
    anna, ben, cleo = printed(capsys)["users"]
    size = sum(path.stat().st_size for path in (household / "users/anna").iterdir())
    assert anna == {
        "user": "anna",
        "keywords": ["open sesame"],
        "links": 2,
        "bytes": size,
        "encrypted": False,
        "problem": "",
    }
    assert (ben["user"], ben["keywords"], ben["encrypted"], ben["links"]) == ("ben", [], True, 1)
    assert cleo["problem"] == "Nothing is enrolled for 'cleo'."
    assert run("users", "list") == 0
    shown = capsys.readouterr().out
    assert "open sesame" in shown
    assert "hey ben" not in shown


def test_list_in_an_empty_home(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("users", "list") == 0
    assert capsys.readouterr().out == "Nobody is enrolled yet.\n"
    assert run("users", "list", "--json") == 0
    assert printed(capsys) == {"users": []}
    assert not own_home.exists()


def test_one_damaged_profile_does_not_hide_the_others(
    household: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (household / "users/anna/0001.link").write_bytes(b"x")
    (household / "users/not a name").mkdir()
    assert run("users", "list", "--json") == 0
    found = {one["user"]: one for one in printed(capsys)["users"]}
    assert "0001.link is damaged" in found["anna"]["problem"]
    assert "has ' '" in found["not a name"]["problem"]
    assert found["ben"]["encrypted"]


def test_show_tells_all_but_the_voice(household: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.append(household, "anna", "enrolled", {})
    assert run("users", "show", "anna", "--json") == 0
    found = printed(capsys)
    keyword = found["keywords"]["open sesame"]
    assert (keyword["policy"], keyword["method"], keyword["threshold"], keyword["clips"]) == (
        "only",
        "prototype",
        0.5,
        3,
    )
    assert keyword["expected"]["detection_rate"]["ci95"] == [0.9, 0.99]
    assert (found["base"], found["base_sha256"]) == ("encoder (shipped with kwsctl)", bundle().sha256)
    assert (found["clips"], found["voice"], found["events"], found["encrypted"]) == (4, True, 1, False)
    first, second = found["links"]
    assert first["changes"] == [
        {"added_labels": ["open sesame"], "clips": 3, "method": "prototype", "shots": 3}
    ]
    assert second["changes"][0]["method"] == "bias"
    assert first["bytes"] == (household / "users/anna/0001.link").stat().st_size
    assert run("users", "show", "anna") == 0
    shown = capsys.readouterr().out
    for text in (
        "open sesame  only    prototype",
        "0.5 for 1.00 % false alarms",
        "detection rate 96.00 % (ci95 90.0 % to 99.00 %, n 5)",
        "clips 3, added labels open sesame, method prototype, shots 3",
        "2026-01-02 03:04 UTC, 4 clips",
    ):
        assert text in shown


@pytest.mark.parametrize("command", ["show", "undo"])
def test_an_encrypted_profile_asks_for_its_key(
    command: str,
    household: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (household / "users/ben/0001.link").read_bytes()
    assert run("users", command, "ben") == 1
    assert "'ben' is encrypted. Give --passphrase or --key-file, or set KWSCTL_PASSPHRASE." in error(capsys)
    monkeypatch.setenv("KWSCTL_PASSPHRASE", "wrong")
    assert run("users", command, "ben") == 1
    assert "does not open" in error(capsys)
    (tmp_path / "key").write_bytes(b"k" * 40)
    monkeypatch.setenv("KWSCTL_PASSPHRASE", SECRET)
    assert run("users", command, "ben", "--key-file", tmp_path / "key") == 1
    assert "does not open" in error(capsys), "the flag counts, not the variable"
    assert (household / "users/ben/0001.link").read_bytes() == before
    assert run("users", command, "ben", "--json") == 0
    assert "hey ben" in str(printed(capsys)) or command == "undo"


def test_undo_says_what_is_left(household: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("users", "undo", "anna") == 0
    assert capsys.readouterr().out == "Step 2 of anna is undone; left: open sesame.\n"
    assert profile.load(household, "anna").keywords["open sesame"].threshold == 0.731
    assert run("users", "undo", "anna", "--json") == 0
    assert printed(capsys) == {"user": "anna", "undone": 1, "links": 0, "keywords": []}
    assert run("users", "undo", "anna") == 1
    assert "nothing to undo" in error(capsys)


def test_forget_removes_all_and_names_every_file(household: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = household / "users/ben"
    assert run("users", "forget", "ben", "--json") == 0
    assert printed(capsys) == {"user": "ben", "removed": [str(place / "0001.link"), str(place)]}
    assert not place.exists()
    assert run("users", "forget", "anna", "--yes") == 0
    shown = capsys.readouterr().out.replace("\n", "")
    assert str(household / "users/anna/0002.link") in shown
    assert profile.users(household) == ("cleo",)
    assert run("users", "forget", "cleo", "--yes") == 0


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0), ("", 130)])
def test_forget_asks(
    answer: str, code: int, household: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("users", "forget", "anna") == code
    assert profile.exists(household, "anna") == (code != 0)


@pytest.mark.parametrize("command", ["show", "undo", "forget"])
def test_unknown_users_are_answered_with_the_nearest(
    command: str, household: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("users", command, "ana") == 2
    assert "There is no user 'ana'. Did you mean 'anna'? Known: anna, ben, cleo." in error(capsys)
    assert run("users", command, "../../etc") == 2
    assert "has '/'" in error(capsys)


def test_a_passphrase_is_never_taken_from_the_command_line(
    household: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("users", "show", "ben", f"--passphrase={SECRET}") == 2
    assert "does not take a value" in error(capsys)


def test_a_typed_passphrase_is_asked_for_twice_when_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([SECRET, SECRET, SECRET, SECRET + "x", SECRET])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))
    assert resolve_key(True, None, is_new=True) == KEY
    with pytest.raises(InputError, match="The two passphrases differ"):
        resolve_key(True, None, is_new=True)
    assert resolve_key(True, None) == KEY
    assert resolve_key(False, None) is None


def test_where_nobody_can_type_the_other_ways_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(prompt: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "typed for all to see"

    monkeypatch.setattr(getpass, "getpass", no_terminal)
    with pytest.raises(InputError, match=r"no terminal to ask .* Set KWSCTL_PASSPHRASE"):
        resolve_key(True, None)


def test_two_kinds_of_key_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    with pytest.raises(InputError, match="--passphrase and --key-file are given"):
        resolve_key(True, tmp_path / "key")


def test_what_is_typed_on_a_terminal_is_not_shown() -> None:
    master, slave = pty.openpty()
    code = "from kwsctl.cli.passphrase import resolve_key; print(len(resolve_key(True, None).secret))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    while b"Passphrase: " not in seen:
        seen += os.read(master, 1000)
    os.write(master, f"{SECRET}\n".encode())
    out, _ = process.communicate(timeout=60)
    seen += os.read(master, 1000)
    os.close(master)
    assert int(out) == len(SECRET)
    assert SECRET.encode() not in seen


def test_folders_of_users_are_where_the_home_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile.save(tmp_path / "elsewhere", enrolled("dora"))
    assert run("users", "list", "--home", tmp_path / "elsewhere", "--json") == 0
    assert [one["user"] for one in printed(capsys)["users"]] == ["dora"]
    assert folder.users(tmp_path / "elsewhere") == ("dora",)
