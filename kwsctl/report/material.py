"""What a page can show, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kwsctl.bundle import Bundle
from kwsctl.personal.ledger import Entry
from kwsctl.personal.overview import Shown
from kwsctl.records import Record


@dataclass(frozen=True)
class Person:
    """Somebody who is enrolled.

    Attributes:
        shown: what `kwsctl users show` tells.
        entries: the ledger, oldest first.
    """

    shown: Shown
    entries: tuple[Entry, ...] = field(repr=False)

    def events(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Gives the facts of all events of a name, oldest first."""
        return tuple(entry.facts for entry in self.entries if entry.event == name)


@dataclass(frozen=True)
class Federation:
    """Rounds of one federation.

    Attributes:
        name: of its log.
        lines: one for each round.
        facts: what the command told at its end; empty if only the log is left.
    """

    name: str
    lines: tuple[Mapping[str, Any], ...] = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Exported:
    """A package.

    Attributes:
        name: of its folder.
        report: its `export_report.json`.
        manifest: its `manifest.json`.
    """

    name: str
    report: Mapping[str, Any] = field(repr=False)
    manifest: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Material:
    """Everything that was found, newest first.

    Attributes:
        title: what the page is about.
        records: of commands.
        people: those who could be read.
        federations: with a log.
        packages: of devices.
        models: by file name.
        set_aside: what could not be read, and why.
    """

    title: str
    records: tuple[Record, ...] = ()
    people: tuple[Person, ...] = ()
    federations: tuple[Federation, ...] = ()
    packages: tuple[Exported, ...] = ()
    models: tuple[tuple[str, Bundle], ...] = ()
    set_aside: tuple[str, ...] = ()

    def of(self, command: str) -> tuple[Record, ...]:
        """Gives the records of a command."""
        return tuple(record for record in self.records if record.command == command)

    @property
    def evaluations(self) -> tuple[Record, ...]:
        """Evaluations of models, and of people out of their ledgers."""
        own = [
            Record("evaluate", entry.time, {**entry.facts, "user": person.shown.user})
            for person in self.people
            for entry in reversed(person.entries)
            if entry.event == "evaluate"
        ]
        return (*self.of("evaluate"), *own)


def title_of(record: Record, material: Material) -> str:
    """Names an evaluation: whose, of which model, on which clips."""
    facts = record.facts
    names = {model.sha256: name for name, model in material.models}
    model = names.get(facts["bundle_sha256"], f"{facts['arch']} {facts['bundle_sha256'][:12]}")
    return f"{facts['user'] if facts.get('user') else model}, split {facts['split']}"
