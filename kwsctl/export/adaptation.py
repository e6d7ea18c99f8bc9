"""Lets a person's keyword learn from unlabelled audio on an exported package, by inference only.

It needs no torch. The backbone is frozen, so what changes is one row of the head and its threshold. `forward`
moves the row to the mean of the surest calls (T3A, Iwasawa 2021), or takes steps with the package's own
`head_step.onnx`, whichever tells calls from the rest best on what it was not given. The votes are those of
`votes.py`; a canary decides with the tolerances of `learning/canary.py`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.export.adapt_options import PackageAdaptOptions, chosen, logit, without
from kwsctl.export.enrolment import peaks
from kwsctl.export.hearing import APART_S, Hearing, Segment, Segmenter, aligned
from kwsctl.export.negatives import read_negatives
from kwsctl.export.personal import Part, path_of, write_part
from kwsctl.export.rows import Material, prototype, stepped
from kwsctl.export.runtime import Runtime
from kwsctl.export.scores import Head, sigmoid
from kwsctl.export.votes import Judge, Labelled, voice_of
from kwsctl.learning.budget import far_of, share_above, threshold_for
from kwsctl.learning.canary import RARER, CanaryFigures, height_of, objection
from kwsctl.learning.promise import to_expect
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.personal.adapted import Adapted
from kwsctl.progress import Progress, silent
from kwsctl.streaming.sources import Source

Floats = NDArray[np.float32]
Row = Callable[[Material, Floats], Head]
HELD_BACK, ENOUGH_HEARD = 3, 30  # as in learning/updating.py, which needs torch


class PackageAdaptation:
    """One run of adapting one keyword of one person on a package.

    Args:
        runtime: the opened package.
        part: what the person has in it.
        keyword: what to adapt; None if the person has only one.
        options: how.
        key: seals what is the person's.
        on_label: told every segment.

    Raises:
        InputError: no such keyword, or one without clips to compare with.
        BundleError: the package holds nothing to compare with.
    """

    def __init__(
        self,
        runtime: Runtime,
        part: Part,
        keyword: str | None,
        options: PackageAdaptOptions,
        key: Any = None,
        on_label: Callable[[Labelled], None] = lambda _: None,
    ) -> None:
        self._runtime, self._part, self._options, self._key = runtime, part, options, key
        self._on_label = on_label
        self.keyword = chosen(part, keyword)
        known = part.keywords[self.keyword]
        self._budget = float(known["far"]) if known["fa_per_hour"] is None else far_of(known["fa_per_hour"])
        others = read_negatives(runtime.package)
        fit = others.fit[[label != self.keyword for label in others.fit_labels]]
        held = others.held_out[:, [label != self.keyword for label in others.held_out_labels]]
        clips = part.centroids[self.keyword].astype(np.float32)[:, None]
        none = np.zeros((0, 0), np.float32)
        self._given = Material(part.head, self.keyword, clips, fit, held[:, ::2], held[:, :0], None, none)
        self._canary_others = held[:, 1::2]
        self._voice, self._stranger = voice_of(part, others.voices)
        row = prototype(dataclasses.replace(self._given, head=without(part.head, self.keyword)), clips)
        self._enrolled = row, threshold_for(peaks(row, self.keyword, held), self._budget)
        self.threshold = logit(float(known["threshold"]))
        self._learned = {facts["stream"]: list[float]() for facts in part.updates}
        for facts in part.updates:
            self._learned[facts["stream"]] += facts["times_s"]
        self._new_times: list[float] = []
        self._positives: list[Labelled] = []
        self._negatives: list[Labelled] = []
        self._fresh = 0
        self._counts = {"positive": 0, "negative": 0, "abstain": 0}
        self._reasons: dict[str, int] = {}
        self._taken = 0
        self._canary: list[CanaryFigures] = []
        self._first: CanaryFigures | None = None

    def run(
        self, sources: Iterable[Source], *, max_hours: float = math.inf, progress: Progress = silent
    ) -> Adapted:
        """Hears streams to their ends.

        Args:
            sources: streams at the rate of the package.
            max_hours: stop after so much audio.
            progress: counts seconds.

        Returns:
            What came of it; the package has what was learned.
        """
        began, seconds, windows, stopped = time.process_time(), 0.0, 0, False
        for source in sources:
            hearing, segmenter = Hearing(self._runtime), Segmenter()
            try:
                for samples in source.pieces:
                    if seconds + hearing.seconds >= 3600 * max_hours:
                        break
                    for window in hearing.push(samples):
                        self._heard(segmenter.push(window, self._margin(window)), source)
                    total = None if source.seconds is None else round(source.seconds)
                    progress(round(hearing.seconds), total, calls=str(self._counts["positive"]))
            except KeyboardInterrupt:
                stopped = True
            for window in hearing.flush():
                self._heard(segmenter.push(window, self._margin(window)), source)
            for segment in segmenter.flush():
                self._heard(segment, source)
            if self._fresh:
                self._update(source)
            seconds, windows = seconds + hearing.seconds, windows + hearing.windows
            if stopped or seconds >= 3600 * max_hours:
                break
        return self._told(seconds, windows, time.process_time() - began, stopped)

    def _margin(self, window: Any) -> float:
        if window.embedding is None:
            return -math.inf
        return float(self._part.head.margins(window.embedding[None], self.keyword)[0])

    def _heard(self, segment: Segment | None, source: Source) -> None:
        if segment is None or self._is_known(segment, source):
            return
        segment = aligned(segment, self._runtime, lambda found: self._part.head.margins(found, self.keyword))
        only = self.keyword in self._part.only
        judge = Judge(
            self._runtime, self.keyword, self._part.head, self.threshold, self._enrolled, self._voice,
            self._stranger, only, self._options.votes,
        )  # fmt: skip
        labelled = judge.judge(segment)
        self._on_label(labelled)
        self._counts[labelled.decision] += 1
        if labelled.decision != "abstain":
            self._new_times.append(segment.window.time_s)
        if labelled.decision == "positive":
            self._positives.append(labelled)
            self._fresh += 1
        elif labelled.decision == "negative":
            self._negatives.append(labelled)
        if self._fresh >= self._options.every:
            self._update(source)

    def _is_known(self, segment: Segment, source: Source) -> bool:
        """Tells whether an update learned from this place of this recording; the model's peak may move."""
        learned = self._learned.get(source.identity, ()) if source.identity else ()
        return any(abs(segment.window.time_s - time_s) < APART_S for time_s in learned)

    def _update(self, source: Source) -> None:
        """Tries an update, and writes it if the canary has no objection."""
        self._fresh = 0
        head = self._proposed()
        threshold = self._threshold_of(head)
        before = self._figures(self._part.head, self.threshold)
        after = self._figures(head, threshold)
        self._first = self._first or before
        tolerances, learned = self._options.tolerances, head is not self._part.head
        reason = objection(before, after, self._budget, tolerances, self._first, learned=learned)
        self._canary = [self._canary[0] if self._canary else before, *self._canary[1:]]
        if reason:
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
            return
        self._canary = [self._canary[0], after]
        self._taken += 1
        facts = {
            "keyword": self.keyword, "method": self._options.method, "stream": source.identity or source.name,
            "positives": len(self._positives), "negatives": len(self._negatives),
            "threshold_before": float(self._part.keywords[self.keyword]["threshold"]),
            "canary": {"before": dataclasses.asdict(before), "after": dataclasses.asdict(after)},
            "times_s": self._new_times,
        }  # fmt: skip
        self._new_times = []
        self.threshold = threshold
        score = float(sigmoid(np.array([threshold]))[0])
        known = {**self._part.keywords[self.keyword], "threshold": score}
        self._part = dataclasses.replace(
            self._part,
            head=head,
            keywords={**self._part.keywords, self.keyword: known},
            updates=(*self._part.updates, facts),
        )
        self._given = dataclasses.replace(self._given, head=head)
        write_part(self._runtime.package, self._part, self._key)

    def _proposed(self) -> Head:
        """The row that tells calls from the rest best on every third, which no row was given."""
        if self._options.method == "threshold":
            return self._part.head
        fit = [one.views for i, one in enumerate(self._positives) if i % HELD_BACK != HELD_BACK - 1]
        enrolled = np.repeat(self._given.clips, fit[0].shape[0] if fit else 1, axis=1)
        clips = np.concatenate([enrolled, np.stack(fit)]) if fit else enrolled
        heard = [one.views[0] for i, one in enumerate(self._negatives) if i % HELD_BACK != HELD_BACK - 1]
        negatives = (
            np.concatenate([self._given.negatives, np.array(heard)]) if heard else self._given.negatives
        )
        material = dataclasses.replace(self._given, negatives=negatives.astype(np.float32))

        def by_steps(given: Material, clips: Floats) -> Head:
            return stepped(self._runtime, given, clips)

        ways: list[Row] = [by_steps] if self._options.method == "head" else [prototype, by_steps]
        heads = [way(material, clips) for way in ways]
        return min(heads if self._options.method == "head" else [self._part.head, *heads], key=self._loss)

    def _loss(self, head: Head) -> float:
        """Logistic loss on what no row was fitted to, calls and others weighing alike."""
        limit = self._threshold_of(head)
        calls = head.margins(self._canary_calls(), self.keyword) - limit
        others = peaks(head, self.keyword, self._canary_others) - limit
        return float(np.logaddexp(0, -calls).mean() + np.logaddexp(0, others).mean())

    def _canary_calls(self) -> Floats:
        held = [one.views[0] for one in self._positives[HELD_BACK - 1 :: HELD_BACK]]
        return np.concatenate([self._given.clips[:, 0], *(view[None] for view in held)])

    def _threshold_of(self, head: Head) -> float:
        """Chooses the margin for the budget, as far above it as enrolment found necessary."""
        asked = threshold_for(peaks(head, self.keyword, self._given.held_out), self._budget)
        before = threshold_for(peaks(self._part.head, self.keyword, self._given.held_out), self._budget)
        above = self.threshold - before
        # A threshold that counts the voice is not on the scale of the word alone, but moves with it.
        wanted = [asked + (above if self.keyword in self._part.only else max(0.0, above))]
        heard = [one.views[0] for one in self._negatives[HELD_BACK - 1 :: HELD_BACK]]
        if len(heard) >= ENOUGH_HEARD:
            wanted.append(threshold_for(head.margins(np.stack(heard), self.keyword), self._budget))
        return max(wanted)

    def _figures(self, head: Head, threshold: float) -> CanaryFigures:
        own = head.margins(self._canary_calls(), self.keyword)
        others = peaks(head, self.keyword, self._canary_others)
        # Where the threshold counts the voice, word alone is compared with word alone.
        only = self.keyword in self._part.only
        limit = threshold - (VOICE_WEIGHT * (1.0 - VOICE_OFFSET) if only else 0.0)
        fair = threshold_for(others, self._budget)
        strict = threshold_for(others, self._budget / RARER)
        return CanaryFigures(
            calls=float((own >= fair).mean()),
            heard=to_expect(own, limit),
            expected=to_expect(own, strict),
            false_alarms=share_above(others, limit),
            global_task=1.0,  # no other row changes, and the backbone is frozen
            drift=0.0,
            height=height_of(limit, own, fair),
        )

    def _told(self, seconds: float, windows: int, took_s: float, stopped: bool) -> Adapted:
        figures: list[Mapping[str, float]] = [dataclasses.asdict(one) for one in self._canary]
        return Adapted(
            user=self._part.user,
            keyword=self.keyword,
            method=self._options.method,
            windows=windows,
            positives=self._counts["positive"],
            negatives=self._counts["negative"],
            abstained=self._counts["abstain"],
            updates=self._taken,
            rolled_back=dict(self._reasons),
            canary_before=figures[0] if figures else {},
            canary_after=figures[-1] if len(figures) > 1 else {},
            threshold=float(self._part.keywords[self.keyword]["threshold"]),
            seconds=round(seconds, 3),
            skipped=0.0,
            ledger=path_of(self._runtime.package, self._part.user),
            real_time_factor=round(took_s / seconds, 5) if seconds else 0.0,
            asked=0,
            stopped=stopped,
        )
