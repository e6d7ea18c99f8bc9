"""Simulated use of a personal keyword: what adapting to unlabelled audio gives, and what it must not cost."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kwsctl import __version__
from kwsctl.bench import life
from kwsctl.bench.life_exam import Exam
from kwsctl.bench.life_methods import Outcome, outcome
from kwsctl.bench.life_options import ContinualOptions
from kwsctl.bench.life_truth import kind_of, true_labels, turned
from kwsctl.bench.life_world import World, day, noise_of
from kwsctl.bundle import Bundle
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.forked import GOES_ON, chosen_workers, side_by_side
from kwsctl.learning.adapt import Learner
from kwsctl.learning.adapt_options import AdaptOptions
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.learning.enroll import enroll
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_clips import take
from kwsctl.learning.guard import told_right
from kwsctl.learning.known import Known
from kwsctl.learning.pseudo_labels import Labelled
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.votes import Decision
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_text
from kwsctl.threads import one_thread


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
        seed: of the draw.
    """

    scenario: str
    speaker: str
    keyword: str
    labels: Mapping[str, int]
    calls: int
    methods: Mapping[str, Mapping[str, Any]] = field(repr=False)
    seed: int = 0


def continual(
    store: ClipStore,
    base: Bundle,
    negatives: StoredNegatives,
    options: ContinualOptions,
    home: Path,
    progress: Progress = silent,
) -> tuple[Case, ...]:
    """Simulates people, one on each core; what is done is kept, and not done again.

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
    cases: list[Case] = []
    for number in range(options.draws):  # one after the other: what a world knows by heart is large
        draw = dataclasses.replace(options, draws=1, seed=options.seed + number)
        world = World(store, base, negatives, draw)
        cases += _lived(world, home / "bench" / "continual", _part_of(progress, number, options.draws))
    return tuple(cases)


def _part_of(progress: Progress, number: int, draws: int) -> Progress:
    """Counts the work of one draw as its part of all."""

    def told(done: int, total: int | None, /, **facts: str | float) -> None:
        whole = total or 0
        progress(number * whole + done, draws * whole if total else None, **facts)

    return told


def _lived(world: World, place: Path, progress: Progress) -> list[Case]:
    """Simulates the people of one draw."""
    wanted = [(s, n) for n in range(world.options.people) for s in world.options.scenarios]
    lacking = [one for one in wanted if _missing(world, *one, place)]
    if len(lacking) > 1:
        world.prepare()  # once, for all processes
    with one_thread():
        side_by_side(
            lambda n: bool(_kept(world, *lacking[n], place)),
            len(lacking),
            chosen_workers(),
            GOES_ON,
            progress,
        )
    return [_kept(world, *one, place) for one in wanted]


def _missing(world: World, scenario: str, number: int, place: Path) -> list[str]:
    """Names the methods that a case lacks."""
    path = _path(world, scenario, number, place)
    before = json.loads(path.read_text(encoding="utf-8"))["methods"] if path.is_file() else {}
    return [m for m in world.options.methods if m not in before]


def _path(world: World, scenario: str, number: int, place: Path) -> Path:
    """Names the file of a case after all that it depends on."""
    how = dataclasses.asdict(dataclasses.replace(world.options, methods=(), scenarios=()))
    del how["draws"]  # a case is one draw, however many there are
    # What another version of this program did says nothing of this one.
    name = json.dumps([how, world.base.sha256, scenario, number, __version__], sort_keys=True)
    return place / f"{scenario}-{number}-{numpy_generator(0, name).integers(2**40):010x}.json"


def _kept(world: World, scenario: str, number: int, place: Path) -> Case:
    """Takes a case that is there, with the methods it has, and adds those that it lacks."""
    path, missing = _path(world, scenario, number, place), _missing(world, scenario, number, place)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"methods": {}}
    if not missing:
        return Case(**{**kept, "seed": world.options.seed})
    case = _simulated(world, scenario, number, missing, kept["methods"])
    write_text(path, json.dumps(dataclasses.asdict(case), sort_keys=True))
    return case


def _simulated(
    world: World, scenario: str, number: int, methods: Sequence[str], before: Mapping[str, Any]
) -> Case:
    options, store, base = world.options, world.store, world.base
    speaker, keyword, half = world.who(number)
    draw = numpy_generator(options.seed, "life", scenario, number)
    parts = life.cast_of(
        store, speaker, keyword, shots=options.shots, heard=options.heard,
        generator=numpy_generator(options.seed, "clips", number),
    )  # fmt: skip
    known = enrolled(world, parts, keyword, draw)
    noise = noise_of(options, number) if scenario == "both" else (None, None)
    utterances = day(world, scenario, parts, keyword, half, draw)
    stream = life.spoken(store, utterances, draw, noise=noise[0], snr_db=options.snr_db)
    labels: dict[float, Labelled] = {}  # of a segment that is judged again, the last
    learner = Learner(
        known, (known.current, known.threshold), AdaptOptions(seed=options.seed),
        on_label=lambda one, _kept: labels.__setitem__(one.segment.time_s, one),
    )  # fmt: skip
    for piece in stream.pieces():
        learner.hear(piece)
    learner.end()
    gathered, labelled = learner.gathered(), list(labels.values())
    truth = true_labels(gathered, labelled, stream, base.clip_s)
    if scenario == "wrong":
        gathered = turned(gathered, draw)
    test = Exam(world, parts, half, keyword, noise[1], options, number)
    figures = dict(before)
    for method in methods:
        made = outcome(method, known, gathered, truth)
        figures[method] = {**_facts(made), **dataclasses.asdict(test.of(made))}
    figures["loop"] = _of_loop(learner, known, test)
    answer(learner, labelled, stream, options.asked)
    figures["loop-asked"] = _of_loop(learner, known, test)
    counts = Counter(f"{one.decision}/{kind_of(one, stream, base.clip_s)}" for one in labelled)
    calls = sum(said.kind == "keyword" for said in stream.said)
    return Case(scenario, speaker, keyword, dict(counts), calls, figures, options.seed)


def answer(learner: Learner, labelled: Sequence[Labelled], stream: life.Stream, count: int) -> None:
    """Lets the person say what some segments are that were left in doubt, as `kwsctl users review` does.

    Args:
        learner: at the end of the stream; learns from the answers.
        labelled: all segments; asked about are those that are nearest to being calls.
        stream: with its truth.
        count: how many are asked about.
    """
    doubts = sorted((one for one in labelled if one.decision == "abstain"), key=lambda one: -one.nearness)
    learner.begin()  # another run: of the stream before only answers and what was learned are left
    for one in doubts[:count]:
        is_call = kind_of(one, stream, learner.known.base.clip_s) == "keyword"
        side: Decision = "positive" if is_call else "negative"
        learner.recall(dataclasses.replace(one, decision=side, told=True), new=True)
    learner.end()


def _of_loop(learner: Learner, before: Known, test: Exam) -> dict[str, Any]:
    learned = learner.known
    made = Outcome(learned.current, learned.threshold, "", 0, 0, 0.0, _told(before) - _told(learned))
    return {
        "rolled_back": learner.tally.rolled_back,
        "forgotten": made.forgotten,
        **dataclasses.asdict(test.of(made)),
    }


def _told(known: Known) -> float:
    """Gives the share of stored words of many people that the person's model tells right."""
    words = known.negatives.features(known.current.n_frames)
    return told_right(embed(known.current.network, words), list(known.negatives.labels))


def _facts(made: Outcome) -> dict[str, Any]:
    names = ("rolled_back", "bytes", "macs", "drift", "forgotten")
    return {name: getattr(made, name) for name in names}


def enrolled(world: World, parts: life.Cast, keyword: str, draw: np.random.Generator) -> Known:
    """Enrols a person, in a quiet room.

    Args:
        world: who there is.
        parts: the person's clips, by use.
        keyword: what they are to be enrolled with.
        draw: draws the room's own noise.

    Returns:
        What is known of them before any stream.
    """
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
