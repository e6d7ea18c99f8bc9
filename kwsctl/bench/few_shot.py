"""The chart that few-shot personalization is about: how well people are heard before and after enrolment.

The global model never heard the people it is tested on: they are held out in folds, six at a time. Outliers
are the fifth of all people whom the global model hears worst.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from kwsctl import bundle
from kwsctl.bench.few_shot_cases import cases_of
from kwsctl.bench.few_shot_options import GLOBAL, FewShotOptions
from kwsctl.bench.few_shot_summary import Case, FewShot, summary
from kwsctl.bench.people import People, gather, surroundings
from kwsctl.bench.remembered import remembered
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.errors import InputError
from kwsctl.learning import stored_negatives
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.train import train
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS

NEGATIVES = 600


def few_shot(store: ClipStore, options: FewShotOptions, home: Path, progress: Progress = silent) -> FewShot:
    """Trains a global model for each fold, enrols everybody, and compares.

    Args:
        store: clips of people who each say the same words several times.
        options: how.
        home: global models are kept in its folder `bench`.
        progress: counts enrolments.

    Returns:
        The table and everything it was made of.

    Raises:
        InputError: too few people, words or clips.
    """
    folds = _folds(store, options)
    words = _words(store, options.keywords)
    cases: list[Case] = []
    some = folds[: options.folds or None]
    total = sum(len(fold) for fold in some) * len(words)
    done = 0
    for number, fold in enumerate(some):
        base, negatives = _global(store, fold, number, options, home)
        alter = surroundings(options.snr_db, options.seed) if options.snr_db is not None else None
        people = gather(store, base, fold, alter=alter)
        for speaker in fold:
            for word in words:
                cases += _remembered(people, negatives, speaker, word, options, words.index(word), home)
                done += 1
                progress(done, total, fold=number + 1)
    return summary(cases)


def _remembered(
    people: People,
    negatives: StoredNegatives,
    speaker: str,
    word: str,
    options: FewShotOptions,
    rank: int,
    home: Path,
) -> list[Case]:
    """Tries one keyword of one person, or takes what a bench that was killed has found."""
    what = dataclasses.replace(options, folds=0, keywords=0, deep_keywords=int(rank < options.deep_keywords))
    found = remembered(
        home / "bench",
        "few-shot-case",
        [people.base.sha256, to_mapping(what), speaker, word],
        lambda: [dataclasses.asdict(c) for c in cases_of(people, negatives, speaker, word, options, rank)],
    )
    return [Case(**one) for one in found]


def _folds(store: ClipStore, options: FewShotOptions) -> list[list[str]]:
    names = sorted({c.speaker for c in store.clips if c.speaker and c.label not in RESERVED_LABELS})
    order = numpy_generator(options.seed, "folds").permutation(len(names))
    drawn = [names[i] for i in order]
    folds = [sorted(drawn[i : i + options.held_out]) for i in range(0, len(drawn), options.held_out)]
    if len(folds) < 2 or len(folds[-1]) < 2:  # the others train the global model, and are impostors
        raise InputError(
            f"{len(names)} speakers make no folds of {options.held_out}.", "Use --set held_out=…"
        )
    return folds


def _words(store: ClipStore, count: int) -> list[str]:
    words = sorted({c.label for c in store.clips} - set(RESERVED_LABELS))
    return words[:: max(1, len(words) // count)][:count]


def _global(
    store: ClipStore, fold: Sequence[str], number: int, options: FewShotOptions, home: Path
) -> tuple[Bundle, StoredNegatives]:
    """Trains a model that has not heard the people of a fold, or takes the one that is there."""
    clips = tuple(dataclasses.replace(c, split="val" if c.speaker in fold else "train") for c in store.clips)
    split = dataclasses.replace(store, clips=clips)
    how = dataclasses.replace(GLOBAL, epochs=options.epochs, exclude_speakers=())
    path = home / "bench" / f"few-shot-{number}-{options.epochs}-{options.seed}.safetensors"
    heard = split.where(split="train")
    words = frozenset(c.label for c in store.clips) - set(RESERVED_LABELS)
    names = {store.clips[i].speaker for i in heard} - {None}
    if not path.is_file() or not _is_of(bundle.load(path), names, words):
        train(split, path, how, seed=options.seed)
    base = bundle.load(path)
    windows = cut(split, heard, {}, words, base.clip_s)
    labels = [store.clips[int(i)].label for i in windows.clip]
    order = numpy_generator(options.seed, "negatives", number).permutation(len(labels))
    chosen = stored_negatives.spread(labels, NEGATIVES, order)
    return base, stored_negatives.collect(store, windows.take(np.array(chosen)), base.features, ())


def _is_of(found: Bundle, speakers: Set[str | None], words: Set[str]) -> bool:
    """Tells whether a global model has heard these people, nobody else, and these words."""
    return set(found.lineage["speakers"]) == speakers and set(found.labels) - set(RESERVED_LABELS) == words
