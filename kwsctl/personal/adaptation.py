"""Lets a person's profile learn from streams: what was heard, what became of it, and where to go on.

The link of the profile holds the model and all segments it was learned from; it is written in one step. The
ledger holds why. Both say which segments were seen, so that a process that is killed at any moment leaves the
state before an update or the one after it, and a stream that is heard twice adds nothing twice.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError, ProfileError
from kwsctl.learning.adapt import AdaptOptions, Learner
from kwsctl.learning.budget import far_of
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.segments import Segment
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.updating import Decided, Known
from kwsctl.personal import folder, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.personal.enrolment import as_features, as_power
from kwsctl.personal.person import Keyword, Profile
from kwsctl.progress import Progress, silent
from kwsctl.streaming.sources import Source

FLUSH_S = 30.0
"""Ledger lines are written so often, in s of the stream."""
ALL_HEARD_S = 0.5
POSITION = "heard"
DEFAULT_BUDGET = 0.005


@dataclass(frozen=True)
class Adapted:
    """What `kwsctl adapt` tells.

    Attributes:
        user: whose model.
        keyword: what was adapted.
        method: how.
        windows: windows that were heard.
        positives: segments taken for the person's calls and learned from.
        negatives: segments taken for something else and learned from.
        abstained: segments that the votes did not agree on.
        updates: updates that were taken.
        rolled_back: updates that the guard refused, with the reasons.
        canary_before: figures of the guard before the first update; empty if there was none.
        canary_after: figures after the last update that was taken.
        threshold: score from which the keyword counts now.
        seconds: of audio that was heard.
        skipped: streams, or parts of them in s, that were heard before.
        ledger: the file with every line.
        real_time_factor: time that it took for a second of audio.
        stopped: whether it was told to stop before the end.
    """

    user: str
    keyword: str
    method: str
    windows: int
    positives: int
    negatives: int
    abstained: int
    updates: int
    rolled_back: Mapping[str, int]
    canary_before: Mapping[str, float]
    canary_after: Mapping[str, float]
    threshold: float
    seconds: float
    skipped: float
    ledger: Path
    real_time_factor: float
    stopped: bool


class Adaptation:
    """One run of adapting one keyword of one person.

    Args:
        home: the home folder.
        user: the name.
        key: opens and seals the profile if it is encrypted.
        base: the bundle that the profile was made on.
        negatives: of other people.
        keyword: what to adapt; None if the person has only one.
        options: how.

    Raises:
        InputError: no such user or keyword, or a profile without enrolled features.
        ProfileError: encrypted without a key, or on another base.
    """

    def __init__(
        self,
        home: Path,
        user: str,
        key: Key | None,
        base: Bundle,
        negatives: StoredNegatives,
        *,
        keyword: str | None,
        options: AdaptOptions,
    ) -> None:
        self._home, self._user, self._key, self._options = home, user, key, options
        self._profile = profile.load(home, user, key)
        self.keyword = _chosen(self._profile, keyword)
        self._place = _Place(home, user, key)
        known = known_of(self._profile, base, self.keyword, negatives, options.seed)
        first = _first(self._profile, base, self.keyword)
        self._lines: list[tuple[str, Mapping[str, Any]]] = []
        self._learned: list[Labelled] = []
        self._reasons: dict[str, int] = {}
        self._canary: list[Mapping[str, float]] = []
        self._abstained = self._positives = self._negatives = 0
        self._stream, self._skip_to_s, self._left_out = "", 0.0, 0
        self._told_s = self._flushed_s = 0.0
        self._place.complete(self._profile)
        self.learner = Learner(known, first, options, on_label=self._labelled, on_update=self._decided)
        self.learner.skip(self._profile.digests)
        for labelled in _recalled(self._profile, self.keyword):
            self.learner.recall(labelled)

    def run(
        self, sources: Iterable[Source], *, max_hours: float = math.inf, progress: Progress = silent
    ) -> Adapted:
        """Hears streams to their ends, or until it is interrupted.

        Args:
            sources: streams.
            max_hours: stop after so much audio.
            progress: counts seconds, with what was accepted so far.

        Returns:
            What came of it.
        """
        began, rate_hz = time.perf_counter(), self.learner.ear.bundle.features.sample_rate_hz
        heard_s = skipped_s = 0.0
        stopped = False
        try:
            for source in sources:
                before_s = self._begin(source)
                skipped_s += before_s
                if source.seconds is not None and before_s > source.seconds - ALL_HEARD_S:
                    continue
                for samples in _bounded(source, rate_hz, 3600 * max_hours - heard_s, self._left_out):
                    self.learner.hear(samples)
                    heard_s += len(samples) / rate_hz
                    self._flush(at_least_s=FLUSH_S)
                    progress(round(heard_s), _total(source), **self._so_far())
                self.learner.end()
                self._flush()
                if heard_s >= 3600 * max_hours:
                    break
        except KeyboardInterrupt:
            stopped = True
        self._flush()
        return self._told(heard_s, skipped_s, time.perf_counter() - began, stopped)

    def _begin(self, source: Source) -> float:
        """Begins a stream where an earlier run left off; gives how much of it was heard before, in s."""
        self._stream = source.identity or source.name
        self._skip_to_s = self._told_s = self._flushed_s = self._place.heard_s(source.identity)
        self._left_out = self.learner.begin(self._skip_to_s)
        return min(self._skip_to_s, source.seconds or 0.0)

    def _labelled(self, labelled: Labelled, kept: bool) -> None:
        self._abstained += labelled.decision == "abstain"
        self._positives += kept and labelled.decision == "positive"
        self._negatives += kept and labelled.decision == "negative"
        if kept:
            self._learned.append(labelled)
        facts = {
            "stream": self._stream,
            "time_s": round(labelled.segment.time_s, 3),
            "keyword": self.keyword,
            "decision": labelled.decision,
            "reason": labelled.reason,
            "kept": kept,
            "votes": dict(labelled.votes),
            "segment": labelled.segment.digest,
        }
        self._lines.append(("segment", facts))

    def _decided(self, decided: Decided) -> None:
        """Writes an update: first the link, in one step, then the line that says why."""
        figures = {"before": dataclasses.asdict(decided.before), "after": dataclasses.asdict(decided.after)}
        number = len(self._profile.updates) + 1
        facts = {
            "keyword": self.keyword,
            "method": self._options.method,
            "stream": self._stream,
            "positives": self.learner.tally.kept["positive"],
            "negatives": self.learner.tally.kept["negative"],
            "environment": self._options.environment,
            "canary": figures,
            "threshold_before": self._profile.keywords[self.keyword].threshold,
            "deltas_before": len(self._profile.deltas),
        }
        self._canary = [
            self._canary[0] if self._canary else figures["before"],
            self._canary[-1] if self._canary else {},
        ]
        if decided.reason:
            self._reasons[decided.reason] = self._reasons.get(decided.reason, 0) + 1
            self._lines.append(("update", {**facts, "decision": "rolled back", "reason": decided.reason}))
            return
        self._canary[-1] = figures["after"]
        facts = {**facts, "number": number, "link": self._profile.links + 1}
        self._profile = self._updated(decided, facts)
        link = profile.save(self._home, self._profile, self._key)
        self._profile = dataclasses.replace(self._profile, links=int(link.stem))
        self._lines.append(("update", {**facts, "decision": "taken"}))
        self._learned = []

    def _updated(self, decided: Decided, facts: Mapping[str, Any]) -> Profile:
        """Gives the profile after an update, with the segments that are new in it."""
        before, proposal = self._profile, decided.proposal
        threshold = 1 / (1 + math.exp(-proposal.threshold))
        keyword = dataclasses.replace(before.keywords[self.keyword], threshold=threshold)
        new = {}
        for decision in ("positive", "negative"):
            power = [one.segment.power for one in self._learned if one.decision == decision]
            if power:
                new[f"{self.keyword}/{decision}/{facts['number']}"] = as_features(torch.stack(power))
        return dataclasses.replace(
            before,
            keywords={**before.keywords, self.keyword: keyword},
            deltas=before.deltas if proposal.delta is None else (*before.deltas, proposal.delta),
            heard={**before.heard, **new},
            digests=(*before.digests, *(one.segment.digest for one in self._learned)),
            updates=(*before.updates, facts),
        )

    def _flush(self, at_least_s: float = 0.0) -> None:
        """Writes what the ledger does not have yet, and how far the stream was heard."""
        ear = self.learner.ear
        heard_s = ear.samples / ear.bundle.features.sample_rate_hz
        if not self._stream or heard_s - self._flushed_s < at_least_s:
            return
        new = [line for line in self._lines if self._place.is_new(*line)]
        # Calls that no update has been tried with are heard again by the next run.
        if heard_s > self._told_s and not self.learner.pending:
            self._told_s = heard_s
            new.append((POSITION, {"stream": self._stream, "until_s": round(heard_s, 3)}))
        ledger.extend(self._home, self._user, new, self._key)
        self._lines, self._flushed_s = [], heard_s

    def _so_far(self) -> dict[str, str | float]:
        tally = self.learner.tally
        return {
            "calls": str(self._positives),
            "updates": str(tally.updates),
            "rolled back": str(tally.rolled_back),
        }

    def _told(self, heard_s: float, skipped_s: float, took_s: float, stopped: bool) -> Adapted:
        tally = self.learner.tally
        return Adapted(
            user=self._user,
            keyword=self.keyword,
            method=self._options.method,
            windows=tally.windows,
            positives=self._positives,
            negatives=self._negatives,
            abstained=self._abstained,
            updates=tally.updates,
            rolled_back=dict(self._reasons),
            canary_before=self._canary[0] if self._canary else {},
            canary_after=self._canary[-1] if self._canary else {},
            threshold=self._profile.keywords[self.keyword].threshold,
            seconds=round(heard_s, 3),
            skipped=round(skipped_s, 3),
            ledger=folder.existing(self._home, self._user) / ledger.NAME,
            real_time_factor=round(took_s / heard_s, 5) if heard_s else 0.0,
            stopped=stopped,
        )


@dataclass
class _Place:
    """What the ledger says was heard before, without what was undone."""

    home: Path
    user: str
    key: Key | None
    until_s: dict[str, float] = field(default_factory=dict)
    segments: set[tuple[str, float]] = field(default_factory=set)
    links: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        before: dict[int, tuple[dict[str, float], set[tuple[str, float]]]] = {}
        for entry in ledger.read(self.home, self.user, self.key):
            facts = entry.facts
            if entry.event == POSITION:
                self.until_s[facts["stream"]] = max(facts["until_s"], self.until_s.get(facts["stream"], 0.0))
            elif entry.event == "segment":
                self.segments.add((facts["stream"], facts["time_s"]))
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
        named = facts["stream"], facts["time_s"]
        known = named in self.segments and len(facts["stream"]) == 64  # streams of one time have no identity
        self.segments.add(named)
        return not known


def known_of(person: Profile, base: Bundle, keyword: str, negatives: StoredNegatives, seed: int) -> Known:
    """Gives what learning needs to know of a person.

    Args:
        person: the profile.
        base: the bundle it was made on.
        keyword: one of its keywords.
        negatives: of other people.
        seed: of everything random.

    Returns:
        The person as the profile has them.

    Raises:
        ProfileError: the profile was made on another bundle.
    """
    about = person.keywords[keyword]
    return Known(
        base=base,
        current=profile.apply(person, base),
        keyword=keyword,
        threshold=_margin(about.threshold),
        replay=as_power(person.replay[keyword]),
        voice=person.voice,
        only=about.policy == "only",
        budget=_budget(about),
        negatives=negatives,
        seed=seed,
    )


def _first(person: Profile, base: Bundle, keyword: str) -> tuple[Bundle, float]:
    """Gives the model and the threshold as they were enrolled, before any adaptation of the keyword."""
    facts = [update for update in person.updates if update["keyword"] == keyword]
    deltas, threshold = person.deltas, person.keywords[keyword].threshold
    if facts:
        deltas, threshold = deltas[: facts[0]["deltas_before"]], facts[0]["threshold_before"]
    return profile.apply(dataclasses.replace(person, deltas=deltas), base), _margin(threshold)


def _recalled(person: Profile, keyword: str) -> Iterator[Labelled]:
    """Gives the segments that were learned from before, as far as the profile tells of them."""
    for name, features in person.heard.items():
        word, decision, _number = name.rsplit("/", 2)
        if word == keyword:
            for one in as_power(features):
                segment = Segment(0, 0.0, 0.0, (), one)
                yield Labelled(segment, "positive" if decision == "positive" else "negative", "earlier", {})


def _chosen(person: Profile, keyword: str | None) -> str:
    known = sorted(person.keywords)
    if keyword is None and len(known) == 1:
        keyword = known[0]
    if keyword not in known:
        asked = "No keyword is given" if keyword is None else f"There is no keyword {keyword!r}"
        raise InputError(f"{asked}.", f"{person.user} has {', '.join(known)}: give one with --keyword.")
    if keyword not in person.replay:
        raise ProfileError(
            f"The profile of {person.user!r} keeps no features of {keyword!r} to learn from again.",
            f"Enroll it again: kwsctl enroll CLIP… --user {person.user} --keyword {keyword!r}",
        )
    return keyword


def _budget(keyword: Keyword) -> float:
    if keyword.fa_per_hour is not None:
        return far_of(keyword.fa_per_hour)
    return keyword.far if keyword.far is not None else DEFAULT_BUDGET


def _margin(score: float) -> float:
    inside = min(max(score, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))


def _bounded(source: Source, rate_hz: int, most_s: float, leave_out: int) -> Iterator[NDArray[np.float32]]:
    """Gives the pieces of a source without some samples at the beginning, and not more than so much."""
    left = math.inf if math.isinf(most_s) else round(most_s * rate_hz)
    for samples in source.pieces:
        if left <= 0:
            return
        dropped = min(leave_out, len(samples))
        leave_out -= dropped
        part = samples[dropped:]
        part = part if len(part) <= left else part[: int(left)]
        left -= len(part)
        yield part


def _total(source: Source) -> int | None:
    return None if source.seconds is None else round(source.seconds)
