"""One keyword of one person: enrolled in every way, and tried on clips that were not enrolled."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl import registry
from kwsctl.bench.few_shot_options import FewShotOptions
from kwsctl.bench.few_shot_summary import Case
from kwsctl.bench.people import People
from kwsctl.bundle import Bundle, Delta
from kwsctl.evaluation import metrics
from kwsctl.learning.adapters._enrolment import Enrolment, embed, margins
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_cost import cost_of
from kwsctl.learning.enrolment_material import in_both_rooms
from kwsctl.learning.enrolment_trials import ADAPTERS
from kwsctl.learning.stored_negatives import StoredNegatives

FAR = 0.01
TEST_CLIPS = 5
STRANGERS = 200


def cases_of(
    people: People, negatives: StoredNegatives, speaker: str, word: str, options: FewShotOptions, rank: int
) -> list[Case]:
    """Enrols a keyword with every number of clips and every method.

    Args:
        people: whose clips, and the global model that never heard them.
        negatives: stored ones, of other people.
        speaker: who enrols.
        word: what.
        options: how.
        rank: place of the word among those that are tried; the first ones are tried with slow methods, too.

    Returns:
        A case for the global model, and one for each method and number of clips.
    """
    clips = people.clips(speaker, word, options.seed)
    tests, given = clips[-TEST_CLIPS:], clips[:-TEST_CLIPS]
    trial = _Trial(people, speaker, word, tests)
    found = [trial.case(people.base, "global", 0, 0, trial.by_base())]
    others = [i for i, label in enumerate(negatives.labels) if label != word]
    features = negatives.features(people.base.n_frames, others)
    first: Enrolment | None = None
    for shots in options.shots:
        if shots > len(given):
            continue
        power = torch.stack([people.takes[i].power for i in given[:shots]])
        heard = in_both_rooms(features, power, options.seed)
        task = Enrolment(
            people.base,
            word,
            power,
            torch.cat(heard),
            options.seed,
            memory_budget=options.memory_budget,
        )
        if first is not None:
            task.__dict__["network"] = first.network
            if len(heard) == 1 and len(first.negatives) == len(task.negatives):  # the same ones
                task.__dict__["negative_embeddings"] = first.negative_embeddings
        first = first or task
        deep = shots == options.deep_shots and rank < options.deep_keywords
        for method in (*options.methods, *(options.deep_methods if deep else ())):
            began = time.perf_counter()
            if method == "auto":
                takes = [people.takes[i] for i in given[:shots]]
                how = EnrollOptions(far=FAR, seed=options.seed)
                delta = enroll(people.base, word, takes, negatives, how).delta
            else:
                delta = registry.load(ADAPTERS, method).learn(task)
            seconds = time.perf_counter() - began
            taken = _training_bytes(task, method, delta)
            personal = people.base.with_delta(delta)
            size = sum(t.numel() * t.element_size() for t in delta.changes.values())
            head_only = all(name.startswith("head.") for name in delta.changes)
            score = trial.by_head(personal) if head_only else trial.by_network(personal)
            case = trial.case(personal, method, shots, size, score)
            found.append(dataclasses.replace(case, training_bytes=taken, seconds=seconds))
    return found


def _training_bytes(task: Enrolment, method: str, delta: Delta) -> int:
    """Gives what the meter shows for an enrolment: of the pieces and layers that it chose."""
    if told := delta.made_by.get("training_bytes"):
        return int(told)
    if method in registry.names(ADAPTERS) and hasattr(registry.load(ADAPTERS, method), "tuning"):
        return cost_of(method, task).training_bytes
    return 0


Score = Callable[[NDArray[np.int64]], NDArray[np.float64]]


class _Trial:
    """Tests one keyword of one person."""

    def __init__(self, people: People, speaker: str, word: str, tests: NDArray[np.int64]) -> None:
        self.people, self.speaker, self.word, self.tests = people, speaker, word, tests
        self.wrong = people.others(speaker, word)
        strangers = people.strangers(speaker, word)
        self.strangers = strangers[:: max(1, len(strangers) // STRANGERS)]
        self.impostors = people.impostors(speaker, word)

    def by_base(self) -> Score:
        """Scores by the global model."""
        return self.by_head(self.people.base)

    def by_head(self, personal: Bundle) -> Score:
        """Scores by a model that differs in the head alone, on embeddings of the base."""
        head = personal.model().get_submodule("head")
        return lambda rows: (
            margins(personal, self.word, head(self.people.embeddings[rows])).detach().double().numpy()
        )

    def by_network(self, personal: Bundle) -> Score:
        """Scores by a model that differs anywhere."""
        network = personal.model()
        head = network.get_submodule("head")
        return lambda rows: (
            margins(personal, self.word, head(embed(network, self.people.features[rows])))
            .detach()
            .double()
            .numpy()
        )

    def case(self, personal: Bundle, method: str, shots: int, size: int, score: Score) -> Case:
        """Measures where 1 % of the wrong words pass, the person's own and those of strangers alike."""
        wrong = np.concatenate([score(self.wrong), strange := score(self.strangers)])
        own = score(self.tests)
        at = metrics.detection_rate_at_far(own, wrong, FAR)
        return Case(
            self.speaker,
            self.word,
            method,
            shots,
            at.detection_rate,
            float((score(self.impostors) >= at.threshold).mean()),
            float((strange >= at.threshold).mean()),
            len(own),
            size,
        )
