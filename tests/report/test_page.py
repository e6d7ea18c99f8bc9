"""The page: every section once there is something to show, and nothing that needs a network or a script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kwsctl import records
from kwsctl.errors import InputError, ProfileError
from kwsctl.personal.encryption import Key
from kwsctl.report import page
from kwsctl.report.gathering import gather
from tests.report.lives import lived


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def text(home: Path) -> str:
    made = page.write(gather(None, home), home / "page.html")
    assert not made.missing
    assert not made.set_aside
    return made.page.read_text()


def test_a_home_in_which_everything_happened_fills_every_section(text: str) -> None:
    titles = re.findall(r"<h2>(.+?)</h2>", text)
    assert titles == [
        "Misses against false alarms", "Scores", "Person by person", "Before and after enrolment",
        "Enrolment of many people", "Adaptation", "Federated rounds", "Cost",
        "Parity of the export", "Lineage", "Data and licences",
    ]  # fmt: skip


def test_the_page_loads_nothing_and_runs_nothing(text: str) -> None:
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert not re.findall(r"url\((?!#)", text)


def test_pictures_are_named_and_told_and_their_ids_are_unique(text: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 10  # two evaluations with two pictures each, and six more
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for picture in pictures:
        element = ElementTree.fromstring(picture)  # noqa: S314  # we made it
        labels = str(element.get("aria-labelledby")).split()
        told = {child.get("id"): child.text for child in element}
        assert all(told[label] for label in labels)
    for reference in re.findall(r'(?:url\(|href=")#([^")]+)', "".join(pictures)):
        assert reference in ids


def test_figures_are_those_of_the_ledger_and_the_logs(text: str) -> None:
    assert (
        "2 segments taken for calls, 2 for other words, 1 left alone; updates: 1 taken, 1 rolled back" in text
    )
    assert "5 rounds: 75.0 % on held-out people after round 5, 5 KB up and 10 KB down, epsilon 1.5." in text
    assert "25.0 % (10 to 50 %), n = 12" in text
    assert "75.0 % (50 to 90 %), n = 12" in text
    assert "5 people, 5 clips by full: 70.0 % heard before, 100 % after; of the 1 heard worst 20.0 %" in text
    assert "CC BY 4.0" in text
    assert "not told: the manifest does not say" in text


def test_a_person_a_model_and_a_record_have_pages_of_their_own(home: Path) -> None:
    person = page.write(gather("anna", home), home / "anna.html")
    assert person.title == "anna"
    assert "Adaptation" in person.sections
    assert "Federated rounds" in person.missing
    model = gather(str(home / "models" / "words.safetensors"), home)
    assert [record.command for record in model.records] == ["train"]
    record = next(path for path in records.paths(home) if "evaluate" in path.name)
    assert page.write(gather(str(record), home), home / "one.html").pictures == 3
    log = gather(str(home / "models" / "federated.log.jsonl"), home)
    assert page.write(log, home / "log.html").sections == ("Federated rounds",)


def test_what_a_command_printed_can_be_shown(home: Path, tmp_path: Path) -> None:
    printed = tmp_path / "evaluation.json"
    record = next(path for path in records.paths(home) if "evaluate" in path.name)
    facts = {name: value for name, value in records.read(record).facts.items() if name != "curve"}
    printed.write_text(json.dumps(facts))
    assert page.write(gather(str(printed), home), tmp_path / "page.html").sections == ("Person by person",)


def test_names_in_pages_cannot_be_markup(home: Path, tmp_path: Path) -> None:
    found = gather(None, home)
    made = page.write(type(found)("<b>me</b>", records=found.records), tmp_path / "page.html")
    assert "<b>me" not in made.page.read_text()


def test_an_encrypted_person_needs_the_key_and_is_set_aside_in_a_home(tmp_path: Path) -> None:
    key = Key.from_passphrase("correct horse battery staple")
    folder = lived(tmp_path / "home", key)
    with pytest.raises(ProfileError):
        gather("anna", folder)
    assert gather("anna", folder, key).people[0].events("update")
    aside = gather(None, folder).set_aside
    assert len(aside) == 1
    assert "encrypted" in aside[0]
    assert b"open sesame" not in b"".join(p.read_bytes() for p in (folder / "runs").iterdir())


def test_a_damaged_record_is_set_aside_and_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    whole = records.paths(home)[0].read_text()
    (tmp_path / "runs" / "1-evaluate.json").write_text(whole[: len(whole) // 2])
    (tmp_path / "runs" / "2-train.json").write_text(whole)
    found = gather(None, tmp_path)
    assert len(found.records) == 1
    assert "1-evaluate.json" in found.set_aside[0]


@pytest.mark.parametrize("what", ["nobody", "no/such/file.json"])
def test_what_is_not_there_is_refused(home: Path, what: str) -> None:
    with pytest.raises(InputError):
        gather(what, home)


def test_an_empty_folder_has_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report"):
        gather(str(tmp_path), tmp_path)
