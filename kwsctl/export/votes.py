"""Lets votes decide what a segment is that nobody labelled, on an exported package; needs no torch.

The votes and their limits are those of `learning/pseudo_labels.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kwsctl.export.hearing import Segment
from kwsctl.export.personal import Part
from kwsctl.export.runtime import Runtime
from kwsctl.export.scores import Head
from kwsctl.export.takes import VARIATIONS, shifted
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.learning.votes import Decision, Votes

Floats = NDArray[np.float32]
USUAL_OWN = 0.85  # cosine of a person's clips to their voice
STRANGERS = 0.95


@dataclass(frozen=True, eq=False)
class Labelled:
    """A segment and what was thought of it.

    Attributes:
        segment: the window.
        decision: what it is taken for.
        reason: the vote that decided.
        views: [V, E] embeddings of the window, as it is and mildly varied; as it is only for a negative.
    """

    segment: Segment
    decision: Decision
    reason: str
    views: Floats = field(repr=False)


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges segments for one keyword of one person.

    Attributes:
        runtime: the opened package.
        keyword: a label of the head.
        head: the person's, now.
        threshold: of the margin.
        enrolled: the row that the enrolled clips alone give, and its threshold.
        voice: [S] the person's voice; None leaves that vote out.
        stranger: cosine to it that few strangers reach.
        fuse: whether the threshold counts the voice, too.
        limits: of the votes.
    """

    runtime: Runtime
    keyword: str
    head: Head
    threshold: float
    enrolled: tuple[Head, float]
    voice: Floats | None
    stranger: float
    fuse: bool
    limits: Votes

    def judge(self, segment: Segment) -> Labelled:
        """Lets the votes decide.

        Args:
            segment: of a stream.

        Returns:
            The label, or abstention, with the reason.
        """
        window = segment.window
        views = np.stack([shifted(window.wide), *(shifted(window.wide, *one) for one in VARIATIONS)])
        outputs = self.runtime.outputs(views)
        embeddings = outputs[0]
        cosine = None if self.voice is None else float(outputs[1][0] @ self.voice)
        above = segment.margin - self.threshold
        if self.fuse and cosine is not None:
            above += VOICE_WEIGHT * (cosine - VOICE_OFFSET)
        decision, reason = self._decided(segment, above, embeddings, cosine)
        return Labelled(segment, decision, reason, embeddings if decision == "positive" else embeddings[:1])

    def _decided(
        self, segment: Segment, above: float, embeddings: Floats, cosine: float | None
    ) -> tuple[Decision, str]:
        limits = self.limits
        if above < limits.low:
            near = above >= limits.low - limits.doubtful
            if near and cosine is not None and cosine >= self._needed:
                return "abstain", "the person's voice, and not far enough below"
            return "negative", "keyword score"
        if above < limits.high:
            return "abstain", "drop zone of the keyword score"
        head, threshold = self.enrolled
        if float(head.margins(embeddings[:1], self.keyword)[0]) - threshold < limits.enrolled:
            return "abstain", "the enrolled clips alone disagree"
        shift = above - (segment.margin - self.threshold)
        if sum(value + shift - self.threshold >= limits.low for value in segment.around) < limits.agreeing:
            return "abstain", "windows around it disagree"
        if cosine is not None and cosine < self._needed:
            return "abstain", "another voice"
        if cosine is not None and above + VOICE_WEIGHT * (cosine - USUAL_OWN) < limits.joint:
            return "abstain", "keyword and voice are both doubtful"
        varied = self.head.margins(embeddings[1:], self.keyword) + shift - self.threshold
        if float((varied >= limits.high).mean()) < limits.consistent:
            return "abstain", "variations of it disagree"
        return "positive", "all votes agree"

    @property
    def _needed(self) -> float:
        """The cosine from which a voice is the person's."""
        return self.stranger + self.limits.voice * max(0.0, USUAL_OWN - self.stranger)


def voice_of(part: Part, others: Floats) -> tuple[Floats | None, float]:
    """Gives the person's voice, and the cosine to it that one in twenty strangers reaches.

    Args:
        part: of the person.
        others: [M, S] voices of others; empty where the model tells none apart.

    Returns:
        The direction [S], None where the model tells none apart; and the cosine.
    """
    if part.voice is None or not others.size:
        return None, 0.0
    lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-12)
    return part.voice, float(np.quantile(others @ part.voice / lengths, STRANGERS))
