"""Labels segments of a stream nobody labelled, by votes that must agree; where they do not, it abstains.

The keyword's score has two limits with a drop zone between them, as in self-learning keyword spotting (Rusci
et al. 2024, arXiv 2408.12481, section III); the voice is compared with the enrolled one, which what is
learned here never changes; the windows around and mild variations of the segment must say the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Bundle
from kwsctl.features.augmentation import augment, middle
from kwsctl.learning.adapters._enrolment import MILD, embed, margins
from kwsctl.learning.crowd import Crowd
from kwsctl.learning.enrolment_material import voice_of
from kwsctl.learning.enrolment_trials import margins_of
from kwsctl.learning.segments import Segment
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.learning.voices import USUAL_OWN
from kwsctl.learning.votes import Decision, Votes
from kwsctl.seeding import torch_generator

Verify = Callable[[Tensor], float]
VARIATIONS = 6


@dataclass(frozen=True, eq=False)
class Labelled:
    """A segment and what was thought of it.

    Attributes:
        segment: the window.
        decision: what it is taken for.
        reason: the vote that decided.
        votes: what each vote said, as JSON-able values.
        again: whether it was in doubt when it was heard, and an update settled it.
        told: whether the person said what it is.
    """

    segment: Segment
    decision: Decision
    reason: str
    votes: Mapping[str, float] = field(repr=False)
    again: bool = False
    told: bool = False

    @property
    def nearness(self) -> float:
        """How near it is to being a call; by keyword and voice together where voices are told apart."""
        return self.votes.get("joint", self.votes["keyword"])


class Verifier:
    """Judges segments for one keyword of one person.

    Args:
        bundle: the person's model now.
        keyword: one of its labels.
        threshold: of the margin.
        voice: [S] the person's voice; None where the model tells none apart: that vote is then left out.
        own: cosine to it that the person's enrolled clips have.
        stranger: cosine to it that few strangers reach.
        enrolled: the model before any pseudo-label, and its threshold; None leaves that vote out.
        crowd: the other segments of the stream; None leaves votes out that compare with them.
        loud: whether the room is.
        fuse: whether the threshold counts the voice, too.
        votes: limits.
        seed: of the variations.
        verify: by how much mel power [F, T'] is above the threshold of a verification model, if there is one.
            What is learned here changes neither that model nor what it compares with.
    """

    def __init__(
        self,
        bundle: Bundle,
        keyword: str,
        threshold: float,
        *,
        voice: Tensor | None,
        own: float = 1.0,
        stranger: float = 0.0,
        enrolled: tuple[Bundle, float] | None = None,
        crowd: Crowd | None = None,
        loud: bool = False,
        fuse: bool = False,
        votes: Votes | None = None,
        seed: int = 0,
        verify: Verify | None = None,
    ) -> None:
        self.bundle, self.keyword, self.threshold = bundle, keyword, threshold
        self.voice, self.own, self.stranger = voice, own, stranger
        self.crowd, self.loud, self.fuse = crowd, loud, fuse and voice is not None
        self.enrolled, self.votes, self.seed = enrolled, votes or Votes(), seed
        self.verify = verify

    def judge(self, segment: Segment) -> Labelled:
        """Lets the votes decide; the cheap ones first.

        Args:
            segment: of a stream.

        Returns:
            The label, or abstention, with the reason.
        """
        limits, above = self.votes, segment.margin - self.threshold
        if self.fuse:
            above += VOICE_WEIGHT * (self._cosine(segment) - VOICE_OFFSET)
        said: dict[str, float] = {"keyword": round(above, 3)}
        if self.loud:
            self._compare(segment, said)
        if above < limits.low:
            return self._negative(segment, above, said)
        reason = self._objection(segment, above, said)
        if not reason:
            return Labelled(segment, "positive", "all votes agree", said)
        if self._stands_far_out(segment, above, said):
            return Labelled(segment, "positive", "it stands far out, in the person's voice", said)
        self._hear_voice(segment, above, said)
        return Labelled(segment, "abstain", reason, said)

    def _objection(self, segment: Segment, above: float, said: dict[str, float]) -> str:
        limits = self.votes
        if above < limits.high:
            return "drop zone of the keyword score"
        agreeing = sum(value - self.threshold >= limits.low for value in segment.around)
        said["agreeing"] = agreeing
        if self.enrolled is not None and self._by_enrolled(segment, said) < limits.enrolled:
            return "the model before any pseudo-label disagrees"
        if agreeing < limits.agreeing:
            return "windows around it disagree"
        if said.get("stands_out", np.inf) < limits.outstanding:
            return "it hardly stands out of what else is heard in the room"
        reason = self._voice_objects(segment, above, said) or self._verification_objects(segment, said)
        if reason:
            return reason
        said["consistent"] = self._consistency(segment)
        wanted = limits.consistent_loud if self.loud else limits.consistent
        return "variations of it disagree" if said["consistent"] < wanted else ""

    def _stands_far_out(self, segment: Segment, above: float, said: dict[str, float]) -> bool:
        """Tells a call that a weak model scores low: nothing else in the stream comes near it."""
        limits = self.votes
        if self.loud or self.voice is None or not limits.far_low <= above < limits.far_high:
            return False
        self._hear_voice(segment, above, said)
        self._compare(segment, said)
        out = said.get("stands_out", -np.inf)
        if out < limits.far_out or said["voice"] < self._near(limits.far_voice):
            return False
        if self.enrolled is not None and self._by_enrolled(segment, said) < limits.far_low:
            return False
        return not self._verification_objects(segment, said)

    def _compare(self, segment: Segment, said: dict[str, float]) -> None:
        """Tells by how much it stands out of the stream, once enough of that was heard."""
        out = None if self.crowd is None else self.crowd.stands_out(segment.margin)
        if out is not None:
            said["stands_out"] = round(out, 3)

    def again(self, segment: Segment) -> Labelled:
        """Judges a segment that was in doubt before the model learned.

        The windows around it are gone; their margins are taken to have moved as its own has.

        Args:
            segment: as it was heard.

        Returns:
            The label by the model as it is now.
        """
        features = middle(segment.power[None], self.bundle.n_frames)
        margin = float(margins_of(self.bundle, self.keyword, features)[0])
        around = tuple(value + margin - segment.margin for value in segment.around)
        now = dataclasses.replace(segment, margin=margin, around=around)
        return dataclasses.replace(self.judge(now), again=True)

    def _negative(self, segment: Segment, above: float, said: dict[str, float]) -> Labelled:
        """Lets the voice object to negatives that score rather high: they may be calls that were missed."""
        if above >= self.votes.low - self.votes.doubtful and self.voice is not None:
            self._hear_voice(segment, above, said)
            if said["voice"] >= self._near(self.votes.voice):
                return Labelled(segment, "abstain", "the person's voice, and not far enough below", said)
        if said.get("stands_out", -np.inf) > self.votes.plain:
            return Labelled(segment, "abstain", "it stands out of what else is heard in the room", said)
        return Labelled(segment, "negative", "keyword score", said)

    def _near(self, share: float) -> float:
        """Gives the cosine of a voice that has gone a share of the way from a stranger to the person."""
        return self.stranger + share * max(0.0, self.own - self.stranger)

    def _cosine(self, segment: Segment) -> float:
        features = middle(segment.power[None], self.bundle.n_frames)
        return round(float(voice_of(self.bundle.network, features)[0] @ cast(Tensor, self.voice)), 3)

    def _hear_voice(self, segment: Segment, above: float, said: dict[str, float]) -> None:
        if self.voice is None or "voice" in said:
            return
        said["voice"] = self._cosine(segment)
        # How alike a person's clips are in quiet says nothing of a call in noise.
        usual = USUAL_OWN if self.loud else self.own
        said["joint"] = round(above + VOICE_WEIGHT * (said["voice"] - usual), 3)

    def _voice_objects(self, segment: Segment, above: float, said: dict[str, float]) -> str:
        if self.voice is None:
            return ""
        self._hear_voice(segment, above, said)
        # In noise no voice is much like the enrolled one: it counts beside the margin, and a call has to
        # stand out instead. Where too little was heard to tell, the voice must be near all the same.
        if "stands_out" not in said and said["voice"] < self._near(self.votes.voice):
            return "another voice"
        return "" if said["joint"] >= self.votes.joint else "keyword and voice are both doubtful"

    def _verification_objects(self, segment: Segment, said: dict[str, float]) -> str:
        if self.verify is None:
            return ""
        said["verification"] = round(self.verify(segment.power), 3)
        return "" if said["verification"] > 0 else "the verification model hears somebody else"

    def _by_enrolled(self, segment: Segment, said: dict[str, float]) -> float:
        """Asks the model before any pseudo-label, so that one wrong label does not lead to the next."""
        if "enrolled" in said:
            return said["enrolled"]
        bundle, threshold = cast("tuple[Bundle, float]", self.enrolled)
        features = middle(segment.power[None], bundle.n_frames)
        margin = float(margins_of(bundle, self.keyword, features)[0])
        said["enrolled"] = round(margin - threshold, 3)
        return said["enrolled"]

    def _consistency(self, segment: Segment) -> float:
        """Gives the share of mild variations that stay above the upper limit."""
        power = segment.power[None].repeat(VARIATIONS, 1, 1)
        draw = torch_generator(self.seed, "variations", segment.digest)
        varied = augment(power, None, self.bundle.n_frames, MILD, draw)
        network = self.bundle.network
        logits = cast(nn.Linear, network.head)(embed(network, varied))
        found = margins(self.bundle, self.keyword, logits) - self.threshold
        return round(float((found >= self.votes.high).float().mean()), 3)


def trusted(
    bundle: Bundle, keyword: str, anchors: Tensor, power: Tensor, *, worst: float = 0.35
) -> list[int]:
    """Drops pseudo-positives that the others do not speak for.

    As in co-teaching (Han et al. 2018, arXiv 1804.06872, algorithm 1) each half judges the other: with the
    enrolled clips, by likeness to its mean. What slipped through the votes resembles neither.

    Args:
        bundle: gives embeddings.
        keyword: not needed to compare, but names the case in messages.
        anchors: [K, F, T'] mel power of the enrolled clips, which are beyond doubt.
        power: [P, F, T'] mel power of pseudo-positives.
        worst: cosine below the middle of all from which one is dropped.

    Returns:
        Which to keep.
    """
    if len(power) < 2:
        return list(range(len(power)))
    network = bundle.network
    sure = fn.normalize(embed(network, middle(anchors, bundle.n_frames)), dim=1)
    found = fn.normalize(embed(network, middle(power, bundle.n_frames)), dim=1)
    likeness = torch.empty(len(found))
    for half in (0, 1):
        judges = torch.cat([sure, found[1 - half :: 2]])
        likeness[half::2] = found[half::2] @ fn.normalize(judges.mean(0), dim=0)
    limit = float(likeness.median()) - worst
    return [i for i, value in enumerate(likeness.tolist()) if value >= limit]
