from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.personal import folder


@pytest.mark.parametrize("name", ["anna", "Ben-2_x.y", "Жанна", "نورة", "नेहा", "美咲", "6", "o" * 64])
def test_names_of_any_script_are_names(name: str, home: Path) -> None:
    folder.of(home, name).mkdir(parents=True)
    assert folder.users(home) == (name,)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is no name"),
        (".", "is no name"),
        ("..", "is no name"),
        ("../anna", "has '/'"),
        ("a\\b", r"has '\\\\'"),
        ("anna b", "has ' '"),
        ("a\0b", r"has '\\x00'"),
        ("a\nb", r"has '\\n'"),
        ("anna\u202e", "has '\\\\u202e'"),  # turns the direction of writing around
        ("😀", "has '😀'"),
        ("o" * 65, "is 65 characters long"),
        ("𐐀" * 64, "is 64 characters long"),  # 256 bytes, one more than a file system takes
    ],
)
def test_names_that_cannot_be_folders_are_refused_by_what_is_wrong(name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        folder.checked_name(name)


@given(st.text(max_size=80))
def test_no_name_leads_out_of_the_folder_of_users(name: str) -> None:
    home = Path("/home/of/kwsctl")
    try:
        place = folder.of(home, name)
    except InputError:
        return
    assert place.parent == home / "users"
    assert place.resolve().parent == (home / "users").resolve()


def test_a_name_is_one_name_however_its_accents_are_typed(home: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert folder.of(home, composed) == folder.of(home, decomposed)


def test_an_unknown_user_is_named_with_the_nearest_known(home: Path) -> None:
    with pytest.raises(InputError, match=r"no user 'ana'. Nobody is enrolled yet"):
        folder.existing(home, "ana")
    for name in ("anna", "ben"):
        folder.of(home, name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"no user 'ana'. Did you mean 'anna'. Known: anna, ben"):
        folder.existing(home, "ana")


def test_links_are_ordered_by_number_and_nothing_else_is_one(home: Path) -> None:
    place = folder.of(home, "anna")
    place.mkdir(parents=True)
    for name in ("10000.link", "9999.link", "0001.link", "notes.link", ".0002.link.x.part", "ledger.jsonl"):
        (place / name).touch()
    assert [path.name for path in folder.links(place)] == ["0001.link", "9999.link", "10000.link"]
