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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.learning.adapt import Learner
from kwsctl.learning.adapt_options import AdaptOptions
from kwsctl.learning.pseudo_labels import Labelled, Verify
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.updating import Decided
from kwsctl.personal import folder, ledger, profile, review
from kwsctl.personal.adapted import Adapted
from kwsctl.personal.doubts import Doubts
from kwsctl.personal.encryption import Key
from kwsctl.personal.enrolment import as_features
from kwsctl.personal.heard_before import POSITION, HeardBefore
from kwsctl.personal.learned import answered, chosen, first_of, known_of, recalled
from kwsctl.personal.person import Profile
from kwsctl.progress import Progress, silent
from kwsctl.streaming.sources import Source

FLUSH_S = 30.0
"""Ledger lines are written so often, in s of the stream."""
ALL_HEARD_S = 0.5


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
        verify: vote of a verification model, see `kwsctl.learning.pseudo_labels.Verifier`.

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
        verify: Verify | None = None,
    ) -> None:
        self._home, self._user, self._key, self._options = home, user, key, options
        self._profile = profile.load(home, user, key)
        self.keyword = chosen(self._profile, keyword)
        self._place = HeardBefore(home, user, key)
        known = known_of(self._profile, base, self.keyword, negatives, options.seed)
        first = first_of(self._profile, base, self.keyword)
        self._lines: list[tuple[str, Mapping[str, Any]]] = []
        self._learned: list[Labelled] = []
        self._reasons: dict[str, int] = {}
        self._canary: list[Mapping[str, float]] = []
        self._abstained = self._positives = self._negatives = 0
        self._stream, self._skip_to_s, self._left_out = "", 0.0, 0
        self._comes_once = False
        self._told_s = self._flushed_s = 0.0
        self._place.complete(self._profile)
        self._answered = {name for facts in self._profile.updates for name in facts.get("answered", ())}
        self._doubts = Doubts(options.ask)
        self.learner = Learner(
            known, first, options, on_label=self._labelled, on_update=self._decided, verify=verify
        )
        self.learner.skip(self._profile.digests)
        for labelled, number in recalled(self._profile, self.keyword):
            self.learner.recall(
                labelled, new=number.startswith(review.ASKED) and number not in self._answered
            )

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
        began, rate_hz = time.process_time(), self.learner.ear.engine.features.sample_rate_hz
        heard_s = skipped_s = 0.0
        stopped = False
        try:
            for source in sources:
                before_s = self._begin(source)
                skipped_s += before_s
                if source.seconds is not None and before_s > source.seconds - ALL_HEARD_S:
                    continue
                for samples in _bounded(source, rate_hz, 3600 * max_hours - heard_s, self._left_out):
                    self._doubts.listen(samples, self.learner.ear.samples, rate_hz)
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
            if self._comes_once:  # nobody can hear it again, so what was heard is judged now
                self.learner.end()
        self._flush()
        for doubt in self._doubts.asked(self.keyword):
            review.ask(self._home, self._user, doubt, self._key)
        return self._told(heard_s, skipped_s, time.process_time() - began, stopped)

    def _begin(self, source: Source) -> float:
        """Begins a stream where an earlier run left off; gives how much of it was heard before, in s."""
        self._stream, self._comes_once = source.identity or source.name, not source.identity
        self._skip_to_s = self._told_s = self._flushed_s = self._place.heard_s(source.identity)
        self._left_out = self.learner.begin(self._skip_to_s)
        return min(self._skip_to_s, source.seconds or 0.0)

    def _labelled(self, labelled: Labelled, kept: bool) -> None:
        self._abstained += (labelled.decision == "abstain") - labelled.again
        self._doubts.consider(labelled, self._stream, self.learner.ear.engine.bundle)
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
            **({"again": True} if labelled.again else {}),
        }
        self._lines.append(("segment", facts))

    def _decided(self, decided: Decided) -> None:
        """Writes an update: first the link, in one step, then the line that says why."""
        figures = {"before": dataclasses.asdict(decided.before), "after": dataclasses.asdict(decided.after)}
        number = len(self._profile.updates) + 1
        facts = {
            "keyword": self.keyword,
            "method": decided.proposal.method,
            "precision": self._options.precision,
            "stream": self._stream,
            "positives": self.learner.tally.kept["positive"],
            "negatives": self.learner.tally.kept["negative"],
            "answered": answered(self._profile),
            "environment": self._options.environment,
            "room": decided.proposal.tuned and not self.learner.kept.positives,
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
        heard_s = ear.samples / ear.engine.features.sample_rate_hz
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
        waiting_s = self.learner.waiting_s
        return {
            **({"kept until the room is known": f"{waiting_s:.0f} s"} if waiting_s else {}),
            "calls": str(self._positives),
            "updates": str(tally.updates),
            "rolled back": str(tally.rolled_back),
        }

    def _told(self, heard_s: float, skipped_s: float, took_s: float, stopped: bool) -> Adapted:
        tally = self.learner.tally
        return Adapted(
            user=self._user,
            keyword=self.keyword,
            method=self.learner.method_for(self.learner.gathered()),
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
            asked=len(review.queue(self._home, self._user, self._key)),
            stopped=stopped,
        )


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
