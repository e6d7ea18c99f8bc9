"""Finds what a page can show: records, people, logs of federations, packages and models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kwsctl import bundle as bundles
from kwsctl import records
from kwsctl.errors import InputError, KwsctlError
from kwsctl.export import package as packages
from kwsctl.personal import folder, ledger, overview
from kwsctl.personal.encryption import Key
from kwsctl.records import Record
from kwsctl.report.material import Exported, Federation, Material, Person

DEEPEST = 4
PASSED_OVER = {"prepared", "data", "download", "cache", "unpacked", ".git", ".venv", "node_modules"}
LOG = ".log.jsonl"


def gather(what: str | None, home: Path, key: Key | None = None) -> Material:
    """Finds what a page can show.

    Args:
        what: a file that a command wrote, a folder, or the name of a person; None for the whole home.
        home: the home folder.
        key: opens people that are encrypted.

    Returns:
        What is there.

    Raises:
        InputError: there is no such file, folder or person, or nothing in it.
        ProfileError: the person is encrypted, and there is no key.
    """
    place = home if what is None else Path(what)
    if place.is_file():
        found = _of_file(place, home)
    elif place.is_dir():
        found = _of_folder(place, key, "this device" if what is None else place.resolve().name)
    elif what is None:
        raise InputError(f"{home} is not there yet: nothing to report.", "Try: kwsctl demo")
    elif os.sep in what or place.suffix:
        raise InputError(f"There is no {what}.", "Give a file, a folder, or the name of a person.")
    else:
        found = _of_person(what, home, key)
    if not any((found.records, found.people, found.federations, found.packages, found.models)):
        raise InputError(
            f"There is nothing to report in {place}.", "Run kwsctl evaluate, adapt, federate or export first."
        )
    return found


def _of_person(user: str, home: Path, key: Key | None) -> Material:
    person = Person(overview.shown(home, user, key), ledger.read(home, user, key))
    named = [Path(facts["package"]) for facts in person.events("export") if "package" in facts]
    found = Material(person.shown.user, people=(person,), packages=tuple(_packages(named)))
    return _with_bundle(found, person)


def _with_bundle(found: Material, person: Person) -> Material:
    """Adds the model that a profile was made on, if it is still where it was."""
    path = Path(person.shown.base)
    return replace(found, models=((path.name, bundles.load(path)),)) if path.is_file() else found


def _of_file(path: Path, home: Path) -> Material:
    if path.name.endswith(LOG):
        lines = _lines(path)
        if not lines or "bytes_up" not in lines[0]:
            raise InputError(f"{path} is not the log of a federation.", "Give the model that was trained.")
        return Material(path.name, federations=(Federation(path.name.removesuffix(LOG), lines),))
    if path.suffix == ".json":
        return _with_records(Material(path.name, records=(records.read(path),)))
    model = bundles.load(path)
    about = [one for one in _records(home) if model.sha256 in _hashes(one)]
    return _with_records(Material(path.name, records=tuple(about), models=((path.name, model),)))


def _hashes(record: Record) -> set[str]:
    """Gives which models a record is about."""
    names = ("bundle_sha256", "sha256")
    found = {str(record.facts[name]) for name in names if name in record.facts}
    if record.command == "export":
        found |= {str(one.manifest.get("base_sha256")) for one in _packages([Path(record.facts["package"])])}
    return found


def _of_folder(place: Path, key: Key | None, title: str) -> Material:
    aside: list[str] = []
    found: dict[str, list[Any]] = {name: [] for name in ("records", "people", "logs", "packages", "models")}
    for kind, path in _walk(place):
        try:
            found[kind].append(_read(kind, path, key))
        except (KwsctlError, OSError, ValueError, KeyError) as error:
            aside.append(f"{path.relative_to(place)}: {error}")
    once = {(record.command, record.time): record for record in found["records"]}  # copies are shown once
    made = Material(
        title,
        records=tuple(sorted(once.values(), key=lambda record: record.time, reverse=True)),
        people=tuple(found["people"]),
        federations=tuple(one for one in found["logs"] if one is not None),
        packages=tuple(found["packages"]),
        models=tuple(found["models"]),
        set_aside=tuple(aside),
    )
    return _with_records(made)


def _read(kind: str, path: Path, key: Key | None) -> Any:
    if kind == "people":
        home, user = path.parents[1], path.name
        return Person(overview.shown(home, user, key), ledger.read(home, user, key))
    if kind == "logs":
        lines = _lines(path)
        federated = bool(lines) and "bytes_up" in lines[0]
        return Federation(path.name.removesuffix(LOG), lines) if federated else None
    if kind == "packages":
        return _package(path)
    return records.read(path) if kind == "records" else (path.name, bundles.load(path))


def _walk(place: Path) -> Iterator[tuple[str, Path]]:
    """Names what lies in a folder and not too deep, with its kind; what is big is passed over."""
    for current, folders, names in os.walk(place):
        here = Path(current)
        depth = len(here.relative_to(place).parts)
        folders[:] = sorted(f for f in folders if f not in PASSED_OVER and depth < DEEPEST)
        if packages.is_package(here):
            folders.clear()
            yield "packages", here
            continue
        if here.name == "users":
            folders.clear()
            yield from (("people", here / user) for user in folder.users(here.parent))
            continue
        for name in sorted(names):
            path = here / name
            if name.endswith(LOG):
                yield "logs", path
            elif path.suffix == ".json" and (here.name == records.FOLDER or _is_told(path)):
                yield "records", path
            elif path.suffix == ".safetensors" and ".resume" not in name:
                yield "models", path


def _is_told(path: Path) -> bool:
    """Says whether a JSON file outside of `runs/` is what a command printed; others are passed over."""
    try:
        records.read(path)
    except InputError:
        return False
    return True


def _with_records(found: Material) -> Material:
    """Joins what records tell with logs and packages: each federation and each package is shown once."""
    rounds = {
        Path(one.facts["log"]).name.removesuffix(LOG): one
        for one in reversed(found.of("federate"))
        if "log" in one.facts
    }
    federations = {one.name: one for one in found.federations}
    for name, record in rounds.items():
        federations[name] = Federation(name, tuple(record.facts["per_round"]), record.facts)
    known = {one.name for one in found.packages}
    named = [Path(one.facts["package"]) for one in found.of("export")]
    more = [one for one in _packages(named) if one.name not in known]
    return replace(found, federations=tuple(federations.values()), packages=(*found.packages, *more))


def _records(home: Path) -> Iterator[Record]:
    for path in records.paths(home):
        try:
            yield records.read(path)
        except InputError:
            continue  # a damaged record is told where the whole home is shown


def _packages(named: list[Path]) -> Iterator[Exported]:
    for path in dict.fromkeys(one.resolve() for one in named):
        if packages.is_package(path) and (path / packages.REPORT).is_file():
            yield _package(path)


def _package(path: Path) -> Exported:
    report, manifest = (
        json.loads((path / name).read_text(encoding="utf-8")) for name in (packages.REPORT, packages.MANIFEST)
    )
    return Exported(path.name, report, manifest)


def _lines(path: Path) -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
