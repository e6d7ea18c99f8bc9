"""The chart that few-shot personalization is about: how well people are heard before and after enrolment.

The global model never heard the people it is tested on: they are held out in folds, six at a time. Outliers
are the fifth of all people whom the global model hears worst.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl import bundle, registry
from kwsctl.bench.people import People, gather, surroundings
from kwsctl.bench.remembered import remembered
from kwsctl.bundle import Bundle, Delta
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.errors import InputError
from kwsctl.evaluation import intervals, metrics
from kwsctl.learning import stored_negatives
from kwsctl.learning.adapters._enrolment import Enrolment, embed, margins
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enrolment_cost import cost_of
from kwsctl.learning.enrolment_trials import ADAPTERS, EnrollOptions
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import RESERVED_LABELS

FAR = 0.01
TEST_CLIPS = 5
NEGATIVES = 600
OUTLIER_SHARE = 0.2
STRANGERS = 200
UNCONSTRAINED = "full"
GLOBAL = TrainOptions(arch="tcresnet", network={"dropout": 0.2}, epochs=30, keep="last", learning_rate=6e-3)


@dataclass(frozen=True)
class FewShotOptions:
    """How to measure.

    Attributes:
        held_out: people in a fold.
        folds: how many of these to test; 0 for all.
        keywords: how many, spread over the labels.
        shots: clips to enrol.
        methods: files in `learning/adapters/` that change the head alone, tried with every number of clips.
        deep_methods: files that change the network, and take longer; and `auto`, as `kwsctl enroll` chooses.
        deep_shots: clips to enrol with these.
        deep_keywords: keywords to try these with.
        memory_budget: bytes that the methods among these may take that can be cut to a budget.
        snr_db: put every person into surroundings of their own, with noise so far below the speech;
            None leaves the clips as they are.
        epochs: of the global models.
        seed: of everything random.
    """

    held_out: int = 6
    folds: int = 0
    keywords: int = 10
    shots: tuple[int, ...] = (1, 3, 5)
    methods: tuple[str, ...] = ("prototype", "head", "user_embedding")
    deep_methods: tuple[str, ...] = ("bias", "lora", "full", "auto")
    deep_shots: int = 5
    deep_keywords: int = 3
    memory_budget: int = 256 * 1024
    snr_db: float | None = None
    epochs: int = GLOBAL.epochs
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """One keyword of one person, enrolled in one way.

    Attributes:
        speaker: the person.
        keyword: the word.
        method: adapter, or `global` before enrolment.
        shots: clips enrolled.
        detected: share of the test clips above the threshold that 1 % of the wrong words pass.
        impostors: share of other people's clips of the keyword above it.
        strangers: share of other people's other words above the threshold of the global model.
        tests: how many test clips.
        bytes: size of the change.
        training_bytes: of activations, gradients and optimizer, as the meter shows; 0 where only a row of the
            head is fitted.
    """

    speaker: str
    keyword: str
    method: str
    shots: int
    detected: float
    impostors: float
    strangers: float
    tests: int
    bytes: int
    training_bytes: int = 0


@dataclass(frozen=True)
class Row:
    """One method and number of clips.

    Attributes:
        method: adapter, or `global`.
        shots: clips enrolled.
        outliers: detection rate of the outliers, with its interval over people.
        others: of all others.
        everybody: of everybody.
        worst: of the person heard worst.
        worst_change: largest loss of a person, in the detection rate; positive if everybody gained.
        impostors: share of other people's clips of the keyword that pass.
        strangers: share of other people's other words that pass.
        keywords: how many each person enrolled.
        tests: test clips.
        bytes: size of a change, mean.
        training_bytes: the most that an enrolment took for activations, gradients and optimizer.
        beside_full: detection rate less that of `full`, on the same keywords; None where that was not tried.
    """

    method: str
    shots: int
    outliers: tuple[float, float, float]
    others: tuple[float, float, float]
    everybody: tuple[float, float, float]
    worst: float
    worst_change: float
    impostors: float
    strangers: float
    keywords: int
    tests: int
    bytes: int
    training_bytes: int
    beside_full: tuple[float, float, float] | None


@dataclass(frozen=True)
class FewShot:
    """What the bench prints.

    Attributes:
        rows: the table.
        outliers: who they are.
        people: how many.
        cases: one by one.
    """

    rows: tuple[Row, ...]
    outliers: tuple[str, ...]
    people: int
    cases: tuple[Case, ...]


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
        lambda: [dataclasses.asdict(c) for c in _cases(people, negatives, speaker, word, options, rank)],
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


def _cases(
    people: People, negatives: StoredNegatives, speaker: str, word: str, options: FewShotOptions, rank: int
) -> list[Case]:
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
        task = Enrolment(
            people.base,
            word,
            torch.stack([people.takes[i].power for i in given[:shots]]),
            features,
            options.seed,
            memory_budget=options.memory_budget,
        )
        if first is not None:
            for name in ("network", "negative_embeddings"):
                task.__dict__[name] = getattr(first, name)
        first = first or task
        deep = shots == options.deep_shots and rank < options.deep_keywords
        for method in (*options.methods, *(options.deep_methods if deep else ())):
            if method == "auto":
                takes = [people.takes[i] for i in given[:shots]]
                how = EnrollOptions(far=FAR, seed=options.seed)
                delta = enroll(people.base, word, takes, negatives, how).delta
            else:
                delta = registry.load(ADAPTERS, method).learn(task)
            taken = _training_bytes(task, method, delta)
            personal = people.base.with_delta(delta)
            size = sum(t.numel() * t.element_size() for t in delta.changes.values())
            head_only = all(name.startswith("head.") for name in delta.changes)
            score = trial.by_head(personal) if head_only else trial.by_network(personal)
            case = trial.case(personal, method, shots, size, score)
            found.append(dataclasses.replace(case, training_bytes=taken))
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


def summary(cases: Sequence[Case]) -> FewShot:
    """Works out the table.

    Args:
        cases: one by one.

    Returns:
        One row for each method and number of clips; before enrolment, on the same keywords, as `global`.
    """
    names = sorted({case.speaker for case in cases})
    before = {n: _mean([c for c in cases if c.speaker == n and c.method == "global"]) for n in names}
    n_outliers = max(2, round(OUTLIER_SHARE * len(names)))  # of one person there is no interval
    outliers = tuple(sorted(sorted(names, key=lambda n: before[n])[:n_outliers]))
    kinds = list(dict.fromkeys((c.method, c.shots) for c in cases))
    rows = [_row([c for c in cases if (c.method, c.shots) == kind], cases, outliers) for kind in kinds]
    return FewShot(tuple(rows), outliers, len(names), tuple(cases))


def _row(chosen: Sequence[Case], cases: Sequence[Case], outliers: Sequence[str]) -> Row:
    first = chosen[0]
    keywords = {c.keyword for c in chosen}
    before = [c for c in cases if c.method == "global" and c.keyword in keywords]
    names = sorted({c.speaker for c in chosen})
    of = {n: _mean([c for c in chosen if c.speaker == n]) for n in names}
    was = {n: _mean([c for c in before if c.speaker == n]) for n in names}
    return Row(
        first.method,
        first.shots,
        _rate(chosen, [n for n in names if n in outliers]),
        _rate(chosen, [n for n in names if n not in outliers]),
        _rate(chosen, names),
        min(of.values()),
        min(of[n] - was[n] for n in names),
        float(np.mean([c.impostors for c in chosen])),
        float(np.mean([c.strangers for c in chosen])),
        len(keywords),
        sum(c.tests for c in chosen),
        round(np.mean([c.bytes for c in chosen])),
        max(c.training_bytes for c in chosen),
        _beside(chosen, [c for c in cases if c.method == UNCONSTRAINED and c.shots == first.shots]),
    )


def _beside(chosen: Sequence[Case], full: Sequence[Case]) -> tuple[float, float, float] | None:
    """Mean difference to unconstrained tuning, with its interval over people."""
    best = {(c.speaker, c.keyword): c.detected for c in full}
    pairs = [(c, best[c.speaker, c.keyword]) for c in chosen if (c.speaker, c.keyword) in best]
    if not pairs or chosen[0].method == UNCONSTRAINED:
        return None
    differences = [c.detected - other for c, other in pairs]
    found = intervals.bootstrap(
        differences, [c.speaker for c, _ in pairs], numpy_generator(0, "few shot"), resamples=1000
    )
    return float(np.mean(differences)), found.low, found.high


def _mean(cases: Sequence[Case]) -> float:
    return float(np.mean([c.detected for c in cases]))


def _rate(cases: Sequence[Case], names: Sequence[str]) -> tuple[float, float, float]:
    """Mean detection rate of some people, with its interval over them."""
    chosen = [c for c in cases if c.speaker in names]
    values = [c.detected for c in chosen]
    found = intervals.bootstrap(
        values, [c.speaker for c in chosen], numpy_generator(0, "few shot"), resamples=1000
    )
    return float(np.mean(values)), found.low, found.high
