"""What the ledger says was heard before, so that nothing is heard, told or learned twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kwsctl.personal import ledger
from kwsctl.personal.encryption import Key
from kwsctl.personal.person import Profile

POSITION = "heard"
Named = tuple[str, float, bool, str]


@dataclass
class HeardBefore:
    """Places and segments of the ledger, without what was undone.

    Attributes:
        home: the home folder.
        user: whose ledger.
        key: opens it if it is encrypted.
        until_s: how far each stream was heard, in s.
        segments: stream and time of each, whether it was judged again, and what it was taken for.
        links: links of updates that the ledger tells of.
    """

    home: Path
    user: str
    key: Key | None
    until_s: dict[str, float] = field(default_factory=dict)
    segments: set[Named] = field(default_factory=set)
    links: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        before: dict[int, tuple[dict[str, float], set[Named]]] = {}
        for entry in ledger.read(self.home, self.user, self.key):
            facts = entry.facts
            if entry.event == POSITION:
                self.until_s[facts["stream"]] = max(facts["until_s"], self.until_s.get(facts["stream"], 0.0))
            elif entry.event == "segment":
                self.segments.add(_named(facts))
            elif entry.event == "update" and "link" in facts:
                self.links.add(facts["link"])
                before.setdefault(facts["link"], (dict(self.until_s), set(self.segments)))
            elif entry.event == "undo" and facts["link"] in before:
                self.links.discard(facts["link"])
                self.until_s, self.segments = before.pop(facts["link"])

    def complete(self, person: Profile) -> None:
        """Adds the line of an update whose process was killed between the link and the ledger."""
        last = person.updates[-1] if person.updates else None
        if last is not None and last["link"] not in self.links:
            ledger.append(self.home, self.user, "update", {**last, "decision": "taken"}, self.key)

    def heard_s(self, identity: str) -> float:
        """Gives how far a stream was heard; 0 for streams that come only once."""
        return self.until_s.get(identity, 0.0) if identity else 0.0

    def is_new(self, event: str, facts: Mapping[str, Any]) -> bool:
        """Tells whether the ledger lacks a line, and remembers it."""
        if event != "segment":
            return True
        named = _named(facts)
        known = named in self.segments and len(facts["stream"]) == 64  # streams of one time have no identity
        self.segments.add(named)
        return not known


def _named(facts: Mapping[str, Any]) -> Named:
    return facts["stream"], facts["time_s"], facts.get("again", False), facts["decision"]
