"""Enrols words that the encoder has never heard, by people it has never heard, and tries to break them.

False alarms are of two kinds that must not be mixed: another word (by the same person, or by others), and
the word itself said by somebody else, which only the policy `only` has to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kwsctl import registry
from kwsctl.bench.people import People, too_few_clips
from kwsctl.bench.trials import Figures, Trials, figures
from kwsctl.errors import InputError
from kwsctl.learning.adapters._enrolment import Enrolment, direction, embed, margins
from kwsctl.learning.enrolment_material import in_both_rooms, voice_of
from kwsctl.learning.enrolment_trials import ADAPTERS
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.voice_fusion import fused
from kwsctl.progress import Progress, silent

STRANGERS = 200  # clips of other words by other people that each enrolment is tried on


@dataclass(frozen=True)
class NewWords:
    """What the bench prints.

    Attributes:
        method: adapter.
        shots: clips enrolled.
        people: how many.
        words: how many.
        figures: by kind of trial.
    """

    method: str
    shots: int
    people: int
    words: int
    figures: Mapping[str, Figures]


@dataclass(frozen=True, eq=False)
class Rows:
    """Clips of one enrolment, as rows of `People`.

    Attributes:
        speaker: who enrols.
        word: what.
        enrolled: clips that are given.
        own: other clips of the word by the same person.
        wrong_same: other words by the same person.
        wrong_other: other words by others.
        impostor: the word by others.
    """

    speaker: str
    word: str
    enrolled: NDArray[np.int64]
    own: NDArray[np.int64]
    wrong_same: NDArray[np.int64]
    wrong_other: NDArray[np.int64]
    impostor: NDArray[np.int64]


KINDS: Mapping[str, tuple[str, str]] = {
    "wrong word, same person": ("own", "wrong_same"),
    "wrong word, other people": ("own", "wrong_other"),
    "wrong word, same person, with voice": ("own_fused", "wrong_fused"),
    "impostor, word only": ("own", "impostor"),
    "impostor, with voice": ("own_fused", "impostor_fused"),
}
"""Groups of clips that are told apart, by kind of trial."""


def new_words(
    people: People,
    negatives: StoredNegatives,
    *,
    words: Sequence[str],
    shots: int = 3,
    method: str = "head",
    seed: int = 0,
    progress: Progress = silent,
) -> NewWords:
    """Enrols each word by each person and tries it on all other clips.

    Args:
        people: whom the encoder has never heard.
        negatives: stored ones, of yet other people.
        words: which it has never heard either.
        shots: clips to enrol.
        method: adapter that changes nothing but the head.
        seed: of the order of clips.
        progress: counts enrolments.

    Returns:
        Figures by kind of trial.

    Raises:
        InputError: nobody has enough clips, or a method that changes more than the head.
    """
    chosen = enrolments(people, words, shots=shots, seed=seed)
    if not chosen:
        raise too_few_clips(words, shots)
    trials = try_all(people, negatives, chosen, method=method, seed=seed, progress=progress)
    found = {kind: figures(trials, *groups) for kind, groups in KINDS.items()}
    return NewWords(method, shots, len(set(people.speakers)), len(words), found)


def enrolments(
    people: People, words: Sequence[str], *, shots: int, seed: int = 0, wrong: int | None = None
) -> list[Rows]:
    """Chooses the clips of each word by each person.

    Args:
        people: who.
        words: what.
        shots: clips to enrol; whoever has no more of a word than that does not enrol it.
        seed: of the order of clips.
        wrong: about how many clips of other words, both by the same person and by others; by default all by
            the same person and about `STRANGERS` by others.

    Returns:
        One for each person and word.
    """
    found = []
    for speaker in sorted(set(people.speakers)):
        for word in words:
            clips = people.clips(speaker, word, seed)
            if len(clips) > shots:
                rows = Rows(
                    speaker,
                    word,
                    enrolled=clips[:shots],
                    own=clips[shots:],
                    wrong_same=_thinned(people.others(speaker, word), wrong),
                    wrong_other=_thinned(people.strangers(speaker, word), wrong or STRANGERS),
                    impostor=people.impostors(speaker, word),
                )
                found.append(rows)
    return found


def try_all(
    people: People,
    negatives: StoredNegatives,
    chosen: Sequence[Rows],
    *,
    method: str = "head",
    seed: int = 0,
    progress: Progress = silent,
) -> list[Trials]:
    """Enrols, and scores what is to be told apart, by word alone and by word and voice (`_fused`).

    Args:
        people: whose clips.
        negatives: stored ones.
        chosen: the enrolments.
        method: adapter that changes nothing but the head.
        seed: of the adapter.
        progress: counts enrolments.

    Returns:
        Scores of each enrolment.
    """
    voices = voice_of(people.base.model(), people.features)
    fixed = negatives.features(people.base.n_frames)
    network = people.base.model().requires_grad_(False)
    embedded = embed(network, fixed)
    trials = []
    for number, rows in enumerate(chosen):
        power = torch.stack([people.takes[i].power for i in rows.enrolled])
        _, *in_room = heard = in_both_rooms(fixed, power, seed)
        task = Enrolment(people.base, rows.word, power, torch.cat(heard), seed)
        task.__dict__["network"] = network
        task.__dict__["negative_embeddings"] = torch.cat([embedded, *(embed(network, f) for f in in_room)])
        trials.append(_try(task, people, voices, rows, method))
        progress(number + 1, len(chosen))
    return trials


def _try(task: Enrolment, people: People, voices: torch.Tensor, rows: Rows, method: str) -> Trials:
    adapter = registry.load(ADAPTERS, method)
    delta = adapter.learn(task)
    if not all(name.startswith("head.") for name in delta.changes):  # embeddings are those of the base
        raise InputError(f"The method {method!r} changes more than the head.", "Use head or prototype.")
    personal = task.base.with_delta(delta)
    head = cast(nn.Linear, personal.model().head)
    voice = direction(voices[rows.enrolled])
    scores: dict[str, NDArray[np.float64]] = {}
    for group, fused_group in (
        ("own", "own_fused"),
        ("wrong_same", "wrong_fused"),
        ("wrong_other", "wrong_other_fused"),
        ("impostor", "impostor_fused"),
    ):
        clips = getattr(rows, group)
        logits = head(people.embeddings[clips])
        scores[group] = margins(personal, task.keyword, logits).detach().double().numpy()
        scores[fused_group] = fused(scores[group], (voices[clips] @ voice).double().numpy())
    return Trials(rows.speaker, scores)


def _thinned(rows: NDArray[np.int64], about: int | None) -> NDArray[np.int64]:
    return rows[:: max(1, len(rows) // about)] if about else rows
