"""Simulated use of a personal keyword: what adapting to unlabelled audio gives, and what it must not cost."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kwsctl.bench import life, life_test
from kwsctl.bench.life_methods import Outcome, outcome
from kwsctl.bundle import Bundle
from kwsctl.data import noises
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.logmel import mel_power
from kwsctl.learning.adapt import AdaptOptions, Learner
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enrolment_clips import take
from kwsctl.learning.enrolment_trials import EnrollOptions
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_text
from kwsctl.types import RESERVED_LABELS

METHODS = (
    "none", "threshold", "prototypes", "statistics", "tent", "head", "head-without-room", "bias", "full",
    "full-unguarded", "forward", "oracle-head", "oracle-full",
)  # fmt: skip
NOISE_S = 60.0
NEAR_S = 0.6


@dataclass(frozen=True)
class ContinualOptions:
    """How to simulate.

    Attributes:
        people: how many, each with a keyword of their own.
        shots: clips that are enrolled, in a quiet room.
        heard: other clips of the keyword in the stream; all that are left are the test.
        repeats: how often each of these is said in the stream, at other levels and places.
        own: the person's other words in the stream.
        others: words of other people in the stream.
        impostors: calls of the keyword by other people in the stream.
        hours: of other people in the test.
        scenarios: `speaker` (a quiet room), `both` (a new room, too: noise at `snr_db`), `television` (words
            like the keyword all the time), `impostor` (somebody else says the keyword all day), `wrong`
            (30 % of the labels are turned round).
        snr_db: level of the speech over the noise.
        methods: see `kwsctl.bench.life_methods.outcome`.
        seed: of everything random.
    """

    people: int = 4
    shots: int = 1
    heard: int = 4
    repeats: int = 3
    own: int = 40
    others: int = 120
    impostors: int = 4
    hours: float = 2.0
    scenarios: tuple[str, ...] = ("speaker", "both")
    snr_db: float = 0.0
    methods: tuple[str, ...] = METHODS
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """One person in one scenario.

    Attributes:
        scenario: which.
        speaker: the person.
        keyword: what they enrolled.
        labels: how many segments of each truth were taken for what, such as `positive/keyword`.
        calls: of the keyword in the stream.
        methods: figures of each method by name, as JSON-able values.
    """

    scenario: str
    speaker: str
    keyword: str
    labels: Mapping[str, int]
    calls: int
    methods: Mapping[str, Mapping[str, Any]] = field(repr=False)


def continual(
    store: ClipStore,
    base: Bundle,
    negatives: StoredNegatives,
    options: ContinualOptions,
    home: Path,
    progress: Progress = silent,
) -> tuple[Case, ...]:
    """Simulates people one by one; what is done is kept, and not done again.

    Args:
        store: clips of people who each say the same words several times.
        base: an encoder that has heard none of them.
        negatives: of other people.
        options: how.
        home: cases are kept in its folder `bench`.
        progress: counts cases.

    Returns:
        The cases.

    Raises:
        InputError: too few people.
    """
    world = _World(store, base, negatives, options)
    cases = []
    wanted = [(s, n) for n in range(options.people) for s in options.scenarios]
    for done, (scenario, number) in enumerate(wanted):
        cases.append(_kept(world, scenario, number, home / "bench" / "continual"))
        progress(done + 1, len(wanted), scenario=scenario)
    return tuple(cases)


def _kept(world: _World, scenario: str, number: int, place: Path) -> Case:
    """Takes a case that is there, with the methods it has, and adds those that it lacks."""
    how = dataclasses.asdict(dataclasses.replace(world.options, methods=(), scenarios=()))
    name = json.dumps([how, world.base.sha256, scenario, number], sort_keys=True)
    path = place / f"{scenario}-{number}-{numpy_generator(0, name).integers(2**40):010x}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["methods"] if path.is_file() else {}
    missing = [m for m in world.options.methods if m not in before]
    if not missing:
        return Case(**json.loads(path.read_text(encoding="utf-8")))
    case = _simulated(world, scenario, number, missing, before)
    write_text(path, json.dumps(dataclasses.asdict(case), sort_keys=True))
    return case


class _World:
    """Who there is, and hours of other people, whose features are made once."""

    def __init__(
        self, store: ClipStore, base: Bundle, negatives: StoredNegatives, options: ContinualOptions
    ) -> None:
        self.store, self.base, self.negatives, self.options = store, base, negatives, options
        self.speakers = sorted(
            {c.speaker for c in store.clips if c.speaker and c.label not in RESERVED_LABELS}
        )
        self.words = sorted({c.label for c in store.clips} - set(RESERVED_LABELS))
        if len(self.speakers) < max(4, 2 * options.people // 2):
            raise InputError(f"{len(self.speakers)} speakers are too few.", "Use fewer --set people=….")

    def who(self, number: int) -> tuple[str, str, int]:
        """Gives a person, their keyword, and the half of all people they belong to."""
        place = number * len(self.speakers) // self.options.people
        word = self.words[
            int(numpy_generator(self.options.seed, "keyword", number).integers(len(self.words)))
        ]
        return self.speakers[place], word, place % 2

    @functools.cache  # noqa: B019  # one world a run
    def others(self, half: int) -> life_test.Heard:
        """Gives hours of one half of the people, every word of theirs."""
        draw = numpy_generator(self.options.seed, "others", half)
        rows = draw.permutation(life.rows(self.store, self.speakers[half::2], lambda _: True))
        pause_s = max(0.1, self.options.hours * 3600 / len(rows) - 1.0)
        utterances = [(int(row), "other") for row in rows]
        stream = life.spoken(self.store, utterances, draw, gap_s=(0.5 * pause_s, 1.5 * pause_s))
        return life_test.heard(stream, self.base)

    @functools.cache  # noqa: B019  # one world a run
    def quiet_frames(self, half: int) -> Tensor:
        """Gives what the streaming head is given for these hours, by the trunk of the base."""
        return life_test.pooled(self.base, self.others(half).power, None)


def _simulated(
    world: _World, scenario: str, number: int, methods: Sequence[str], before: Mapping[str, Any]
) -> Case:
    options, store, base = world.options, world.store, world.base
    speaker, keyword, half = world.who(number)
    draw = numpy_generator(options.seed, "life", scenario, number)
    parts = life.cast_of(
        store, speaker, keyword, shots=options.shots, heard=options.heard,
        generator=numpy_generator(options.seed, "clips", number),
    )  # fmt: skip
    known = _enrolled(world, parts, keyword, draw)
    noise = _noise(options, number) if scenario == "both" else (None, None)
    utterances = _day(world, scenario, parts, keyword, half, draw)
    stream = life.spoken(store, utterances, draw, noise=noise[0], snr_db=options.snr_db)
    labelled: list[Labelled] = []
    learner = Learner(
        known, (known.current, known.threshold), AdaptOptions(seed=options.seed),
        on_label=lambda one, _kept: labelled.append(one),
    )  # fmt: skip
    for piece in stream.pieces():
        learner.hear(piece)
    learner.end()
    gathered = learner.gathered()
    truth = _truth(gathered, labelled, stream, base.clip_s)
    if scenario == "wrong":
        gathered = _turned(gathered, draw)
    test = _Test(world, parts, half, keyword, noise[1], options, number)
    figures = dict(before)
    for method in methods:
        made = outcome(method, known, gathered, truth)
        figures[method] = {**_facts(made), **dataclasses.asdict(test.of(made))}
    learned = learner.known
    figures["loop"] = {
        "rolled_back": learner.tally.rolled_back,
        **dataclasses.asdict(test.of(Outcome(learned.current, learned.threshold, "", 0, 0.0, 0.0))),
    }
    counts = Counter(f"{one.decision}/{kind_of(one, stream, base.clip_s)}" for one in labelled)
    calls = sum(said.kind == "keyword" for said in stream.said)
    return Case(scenario, speaker, keyword, dict(counts), calls, figures)


def _facts(made: Outcome) -> dict[str, Any]:
    names = ("rolled_back", "bytes", "drift", "forgotten")
    return {name: getattr(made, name) for name in names}


class _Test:
    """The test of one person in one scenario; what the base's trunk hears is computed once."""

    def __init__(
        self, world: _World, parts: life.Cast, half: int, keyword: str, noise: life.Samples | None,
        options: ContinualOptions, number: int,
    ) -> None:  # fmt: skip
        draw = numpy_generator(options.seed, "test", number)
        utterances = [(int(i), "keyword") for i in parts.tested for _ in range(2)]
        utterances += [(int(i), "own") for i in parts.own_tested[: options.own]]
        mixed = [utterances[i] for i in draw.permutation(len(utterances))]
        self._mine = life_test.heard(life.spoken(world.store, mixed, draw), world.base)
        self._world, self._half, self._keyword = world, half, keyword
        self._noise = None if noise is None else _power_of(noise, world.base, options.snr_db)
        others = world.others(1 - half)
        names = {row for row in range(len(world.store.clips)) if world.store.clips[row].label == keyword}
        self._others_said = [
            dataclasses.replace(said, kind="impostor") if said.clip in names else said for said in others.said
        ]
        self._frames: dict[tuple[int, ...], tuple[Bundle, Tensor, Tensor]] = {}

    def of(self, made: Outcome) -> life_test.Tested:
        """Tests a model."""
        bundle = made.bundle
        trunk = tuple(id(w) for name, w in bundle.weights.items() if not name.startswith("head."))
        others = self._world.others(1 - self._half)
        if trunk not in self._frames:
            mine = life_test.pooled(bundle, self._mine.power, self._noise)
            is_base = trunk == tuple(
                id(w) for name, w in self._world.base.weights.items() if not name.startswith("head.")
            )
            if is_base and self._noise is None:
                rest = self._world.quiet_frames(1 - self._half)
            else:
                rest = life_test.pooled(bundle, others.power, self._noise)
            self._frames[trunk] = bundle, mine, rest
        _, mine, rest = self._frames[trunk]
        return life_test.tested(
            life_test.scores(bundle, self._keyword, mine, self._mine.seconds),
            self._mine.said,
            life_test.scores(bundle, self._keyword, rest, others.seconds),
            self._others_said,
            float(torch.sigmoid(torch.tensor(made.threshold, dtype=torch.float64))),
        )


def _enrolled(world: _World, parts: life.Cast, keyword: str, draw: np.random.Generator) -> Known:
    takes = []
    for row in parts.enrolled:
        samples = life.leveled(as_float(world.store.audio(int(row))))
        samples = samples + life.surroundings(len(samples), draw, None, 0.0)
        takes.append(take(samples, world.base, Path(str(row)), str(row)))
    how = EnrollOptions(method="head", seed=world.options.seed)
    found = enroll(world.base, keyword, takes, world.negatives, how)
    margin = float(np.log(found.threshold / (1 - found.threshold)))
    current = world.base.with_delta(found.delta)
    power = torch.stack([one.power for one in takes])
    return Known(
        world.base, current, keyword, margin, power, found.voice, False, how.budget, world.negatives,
        world.options.seed,
    )  # fmt: skip


def _noise(options: ContinualOptions, number: int) -> tuple[life.Samples, life.Samples]:
    """Makes the noise of a person's room: one stretch for the stream, another for the test."""
    kinds = sorted(noises.KINDS)
    draw = numpy_generator(options.seed, "room", number)
    made = noises.KINDS[kinds[number % len(kinds)]](draw, round(NOISE_S * noises.RATE_HZ))
    return made[: len(made) // 2], made[len(made) // 2 :]


def _power_of(noise: life.Samples, base: Bundle, snr_db: float) -> Tensor:
    factor = life.LEVEL / float(np.sqrt(np.mean(np.square(noise)))) * 10 ** (-snr_db / 20)
    return mel_power(torch.from_numpy((factor * noise).astype(np.float32))[None], base.features)[0]


def _day(
    world: _World, scenario: str, parts: life.Cast, keyword: str, half: int, draw: np.random.Generator
) -> list[tuple[int, str]]:
    """Shuffles what is said in a stream."""
    options, store = world.options, world.store
    speaker = store.clips[int(parts.heard[0])].speaker
    group = [s for s in world.speakers[half::2] if s != speaker]
    impostors = draw.permutation(life.rows(store, group, lambda label: label == keyword))
    others = draw.permutation(life.rows(store, group, lambda label: label != keyword))
    n_impostors = options.others if scenario == "impostor" else options.impostors
    if scenario == "television":
        others = _like(world, keyword, others)
    said = [(int(row), "keyword") for row in parts.heard for _ in range(options.repeats)]
    said += [(int(row), "own") for row in parts.own[: options.own]]
    said += [(int(row), "impostor") for row in np.resize(impostors, n_impostors)]
    said += [(int(row), "other") for row in others[: options.others]]
    if scenario == "impostor":
        said = [one for one in said if one[1] != "other"]
    return [said[i] for i in draw.permutation(len(said))]


def _like(world: _World, keyword: str, others: Any) -> Any:
    """Puts the words first whose letters are most like the keyword's, those of the television."""
    import difflib

    near = {w: difflib.SequenceMatcher(None, w, keyword).ratio() for w in world.words}
    return np.array(sorted(others, key=lambda row: -near[world.store.clips[int(row)].label]))


def kind_of(one: Labelled, stream: life.Stream, clip_s: float) -> str:
    """Tells what a segment is, by the truth: what is said in the middle of its window."""
    middle_s = one.segment.time_s - clip_s / 2
    near = [said for said in stream.said if abs((said.start_s + said.end_s) / 2 - middle_s) < NEAR_S]
    if any(said.kind == "keyword" for said in near):
        return "keyword"
    return near[0].kind if near else "nothing"


def _truth(gathered: Gathered, labelled: Sequence[Labelled], stream: life.Stream, clip_s: float) -> Gathered:
    """Gives the same segments with true labels."""
    kinds = [kind_of(one, stream, clip_s) for one in labelled]
    sides = [
        [
            one.segment.power
            for one, kind in zip(labelled, kinds, strict=True)
            if (kind == "keyword") == wanted
        ]
        for wanted in (True, False)
    ]
    positives, negatives = (torch.stack(side) if side else gathered.positives[:0] for side in sides)
    return dataclasses.replace(gathered, positives=positives, negatives=negatives)


def _turned(gathered: Gathered, draw: np.random.Generator) -> Gathered:
    """Turns 30 % of the labels of the positives round, with as many negatives."""
    count = round(0.3 * len(gathered.positives))
    if not count or len(gathered.negatives) <= count:
        return gathered
    wrong = draw.permutation(len(gathered.positives))[:count]
    taken = draw.permutation(len(gathered.negatives))[:count]
    keep = np.setdiff1d(np.arange(len(gathered.positives)), wrong)
    left = np.setdiff1d(np.arange(len(gathered.negatives)), taken)
    return dataclasses.replace(
        gathered,
        positives=torch.cat([gathered.positives[keep], gathered.negatives[taken]]),
        negatives=torch.cat([gathered.negatives[left], gathered.positives[wrong]]),
    )
