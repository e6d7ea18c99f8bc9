"""Learns from a stream that nobody labelled: hears, labels, updates, and keeps what the guard lets pass."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.bundle import Bundle
from kwsctl.learning import updating
from kwsctl.learning.adapt_options import AUTO, AdaptOptions
from kwsctl.learning.beginning import Beginning
from kwsctl.learning.crowd import Crowd
from kwsctl.learning.kept import Kept
from kwsctl.learning.known import Gathered, Known, stacked
from kwsctl.learning.pseudo_labels import Labelled, Verifier, Verify, trusted
from kwsctl.learning.segments import Segment, Segmenter
from kwsctl.learning.surroundings import Room, matters
from kwsctl.learning.updating import Decided
from kwsctl.learning.voices import voices
from kwsctl.streaming.ear import Ear, Heard
from kwsctl.streaming.torch_engine import TorchEngine

DOUBTFUL = 64
ROOM_KNOWN = 40  # stretches, of 5 s of sound each: a room that is learned from 12 tells fewer calls
ROOM_GUESSED = 12  # where a stream ends before
LEAD_S = 10.0
ENOUGH_CLIPS = 3
"""With so many enrolled clips in a quiet room the row stays as it is, see `AdaptOptions.method`."""


@dataclass
class Tally:
    """What was counted so far.

    Attributes:
        windows: that were heard.
        segments: per decision.
        kept: segments that are learned from, per decision.
        updates: that were taken.
        rolled_back: that were not.
    """

    windows: int = 0
    segments: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    rolled_back: int = 0


class Learner:
    """Adapts one keyword of one person to what it hears; nothing is written to the disk here.

    Attributes:
        known: the person, with the model as it is now.
        kept: segments that are learned from.
        room: the stream without anybody speaking.
        tally: counts.
        ear: hears the stream.

    Args:
        known: the person before.
        first: the model as it was enrolled, and its threshold, for the votes and the guard.
        options: how.
        on_label: told every segment.
        on_update: told every update, taken or not.
        block_frames: feature frames that are heard at a time. Gate and room follow blocks: ones of twice the
            length cost half, and told fewer calls in quiet rooms.
        verify: vote of a verification model, see `Verifier`.
    """

    def __init__(
        self,
        known: Known,
        first: tuple[Bundle, float],
        options: AdaptOptions,
        *,
        on_label: Callable[[Labelled, bool], None] = lambda _one, _kept: None,
        on_update: Callable[[Decided], None] = lambda _: None,
        block_frames: int = 64,
        verify: Verify | None = None,
    ) -> None:
        self._verify = verify
        self.known, self._first, self._options = known, first, options
        self._unlearned = first
        self._on_label, self._on_update = on_label, on_update
        self.kept = Kept(options.most, options.votes.alike)
        self.room = Room()
        self.tally = Tally()
        self._block_frames = block_frames
        self.ear = Ear(TorchEngine(known.current), block_frames=block_frames)
        self._crowd = Crowd()
        self._doubtful: deque[Segment] = deque(maxlen=DOUBTFUL)
        self._digests: set[str] = set()
        self._fresh = 0
        self._room_used = False
        self.begin()

    def begin(self, from_s: float = 0.0) -> int:
        """Begins another stream.

        Args:
            from_s: what lies before this, in s, was heard by an earlier run.

        Returns:
            How many samples to leave out at the beginning: a little less, to hear what led there.
        """
        self._from_s = from_s
        rate_hz = self.ear.engine.features.sample_rate_hz
        before = max(0, round((from_s - LEAD_S) * rate_hz))
        skipped = self.ear.reset(before)
        self._segmenter = Segmenter(self.ear, self.known.keyword)
        self._doubtful.clear()
        waits = self._options.use_room and not self._room_used
        self._beginning = Beginning(rate_hz, before, self._block_frames) if waits else None
        self._verifier = self._judge()
        return skipped

    @property
    def waiting_s(self) -> float:
        """How much of the stream is judged when the room is known, in s."""
        return 0.0 if self._beginning is None else self._beginning.seconds

    @property
    def pending(self) -> bool:
        """Whether something was not judged yet, or there are calls that no update was tried with."""
        return self._fresh > 0 or self.waiting_s > 0

    def skip(self, digests: Iterable[str]) -> None:
        """Names segments that were learned from before, and are not to be again."""
        self._digests.update(digests)

    def recall(self, labelled: Labelled, *, new: bool = False) -> None:
        """Takes a segment up again that was kept before.

        Args:
            labelled: by an earlier run, or by the person.
            new: whether no update has learned from it yet.
        """
        self.kept.add(labelled)
        self._fresh += new

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Takes the next samples [S]; updates when there is enough to learn from."""
        if self._beginning is not None:
            self._beginning.keep(samples)
        for heard in self.ear.each(samples):
            self.tally.windows += len(heard.logits)
            self._listen_to_room(heard)
            for segment in self._segmenter.push(heard):
                if self._beginning is None:
                    self._label(segment)
                self._crowd.push(segment)
        if self._beginning is not None and len(self.room.chunks) >= ROOM_KNOWN:
            self._learn_room()
        if self._fresh >= self._options.every:
            self.update()

    def end(self) -> None:
        """Ends a stream: labels what was waiting, and tries updates while there is anything new."""
        if self._beginning is not None:
            if len(self.room.chunks) >= ROOM_GUESSED:
                self._learn_room()
            else:
                self._hear_anew(self._beginning)
        for segment in self._segmenter.flush():
            self._label(segment)
        while self._fresh:  # an update may settle more of what was in doubt
            self.update()

    def gathered(self) -> Gathered:
        """Gives what the stream gave so far, without what neither the person nor the others speak for."""
        known = self.known
        positives = stacked([one.segment.power for one in self.kept.positives], known)
        rows = trusted(known.current, known.keyword, known.replay, positives)
        told = {i for i, one in enumerate(self.kept.positives) if one.told}
        rows = sorted({*rows, *told})
        return Gathered(
            positives[rows],
            stacked([one.segment.power for one in self.kept.negatives], known),
            self.room.recorded() if self._options.use_room else None,
            stacked(list(self._crowd.power), known),
        )

    def update(self, *, tune_room: float = 0.0) -> Decided:
        """Tries an update, and takes it if the guard has no objection.

        Args:
            tune_room: how far the trunk goes to learn the room first.

        Returns:
            What the guard said.
        """
        self._fresh = 0
        gathered = self.gathered()
        options = self._options
        proposal = updating.propose(
            self.known,
            gathered,
            self.method_for(gathered),
            options.precision,
            options.quantization,
            tune_room=tune_room,
        )
        decided = updating.decide(self.known, gathered, proposal, options.tolerances, self._first[0])
        if not options.guarded:
            decided = dataclasses.replace(decided, reason="")
        self.tally.rolled_back += bool(decided.reason)
        self.tally.updates += not decided.reason
        self.known = updating.after(self.known, decided)
        if not decided.reason:
            self.ear.retune(TorchEngine(self.known.current))
            if proposal.tuned:
                self._first = self.known.current, self.known.threshold
            if not self.kept.positives:  # only the room was learned
                self._unlearned = self.known.current, self.known.threshold
        self._verifier = self._judge()
        self._on_update(decided)
        if not decided.reason:
            self._reconsider()
        return decided

    def method_for(self, gathered: Gathered) -> str:
        """Gives how an update is made.

        Args:
            gathered: what it is made from.

        Returns:
            An adapter of enrolment, a file in `learning/forward/`, or `threshold`.
        """
        if self._options.method != AUTO:
            return self._options.method
        if self.known.tuned or self._room_is_loud():
            return "head"
        # In quiet, a row without a call of the stream would learn once more from the clips it was made of.
        learned_enough = len(self.known.replay) >= ENOUGH_CLIPS or not len(gathered.positives)
        return "threshold" if learned_enough else "head"

    def _judge(self) -> Verifier:
        known, room = self.known, self.room.recorded() if self._options.use_room else None
        self._crowd.judge_by(known.current, known.keyword)
        voice, own, stranger = voices(known, room)
        is_loud = self._room_is_loud()
        votes = self._options.votes
        if is_loud or known.tuned:
            votes = dataclasses.replace(votes, joint=votes.joint_loud)
        return Verifier(
            known.current,
            known.keyword,
            known.threshold,
            voice=voice,
            own=own,
            stranger=stranger,
            enrolled=self._unlearned if known.current is not self._unlearned[0] else None,
            votes=votes,
            crowd=self._crowd,
            loud=is_loud,
            fuse=known.only,
            seed=self._options.seed,
            verify=self._verify,
        )

    def _room_is_loud(self) -> bool:
        room = self.room.recorded() if self._options.use_room else None
        return room is not None and matters(room, self.known.replay)

    def _listen_to_room(self, heard: Heard) -> None:
        last = heard.first + len(heard.logits)
        power = self.ear.power_between(heard.first * self.ear.stride, last * self.ear.stride)
        if power is not None and power.shape[1]:
            self.room.push(torch.from_numpy(power))

    def _label(self, segment: Segment) -> None:
        if segment.time_s <= self._from_s or segment.digest in self._digests:
            return
        labelled = self._verifier.judge(segment)
        if labelled.decision == "abstain":
            self._doubtful.append(segment)
        self._take(labelled)

    def _learn_room(self) -> None:
        """Lets the trunk learn a loud room before anything that was heard there is judged."""
        self._room_used = True
        ways = updating.WAYS_INTO_A_ROOM if self._options.tune_room and self._room_is_loud() else (0.0,)
        for way in ways:
            decided = self.update(tune_room=way)
            if not decided.reason or not decided.proposal.tuned:
                break
        if self._beginning is not None:
            self._hear_anew(self._beginning)

    def _hear_anew(self, beginning: Beginning) -> None:
        """Hears and judges what came before the room was known, by the model as it is now."""
        engine = TorchEngine(self.known.current)
        self.ear, self._segmenter, segments = beginning.heard_by(engine, self.known.keyword)
        self._beginning = None
        self._crowd.clear()
        for segment in segments:
            self._crowd.push(segment)
        for segment in segments:
            self._label(segment)

    def _reconsider(self) -> None:
        """Lets the model that has learned judge what was in doubt before; only calls are taken from it."""
        waiting, self._doubtful = list(self._doubtful), deque(maxlen=DOUBTFUL)
        for segment in waiting:
            labelled = self._verifier.again(segment)
            # Where it is a negative now, it may be that the model has learned the wrong thing.
            if labelled.decision != "positive":
                self._doubtful.append(labelled.segment)
                continue
            self.tally.segments["abstain"] -= 1
            self._take(labelled)

    def _take(self, labelled: Labelled) -> None:
        kept = labelled.decision != "abstain" and self.kept.add(labelled)
        self.tally.segments[labelled.decision] += 1
        if kept:
            self._digests.add(labelled.segment.digest)
            self.tally.kept[labelled.decision] += 1
            self._fresh += labelled.decision == "positive"
        self._on_label(labelled, kept)
