"""A simulated week: a person's calls among other words and other people, in a room with a fan, day by day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kwsctl.audio import files
from kwsctl.bench import life
from kwsctl.data import noises
from kwsctl.data.prepare import prepared
from kwsctl.demo.people import CALLS_A_DAY, DAYS, Outlier, in_turn, strangers
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_text

NAMES = (
    "1-monday",
    "2-tuesday",
    "3-wednesday",
    "4-thursday",
    "5-friday",
    "6-saturday",
    "7-sunday",
    "8-monday",
)
WORDS_A_DAY = 14
SNR_DB = 10.0
MATCH_S = 0.75
"""An event this close to a call, before it or after its end, in s, counts as that call."""


@dataclass(frozen=True)
class Heard:
    """What listening to a day gave, held against what was said.

    Attributes:
        calls: that were said.
        detected: of these.
        false: events at other times.
        seconds: of audio.
    """

    calls: int
    detected: int
    false: int
    seconds: float


def record(corpus: Path, home: Path, found: Outlier, out: Path, progress: Progress = silent) -> Path:
    """Plays a week, and the Monday after it, into files.

    Args:
        corpus: the manifest.
        home: where its decoded clips lie.
        found: whose week it is.
        out: folder to write; the Monday after the week goes beside it.
        progress: counts days.

    Returns:
        `out`.
    """
    store = prepared(corpus, home)
    row = {clip.path.resolve(): i for i, clip in enumerate(store.clips)}
    crowd = strangers(corpus, found)
    for day, name in enumerate(NAMES):
        draw = numpy_generator(0, "demo", name)
        first = min(day, DAYS - 1) * CALLS_A_DAY
        calls = found.week[first : first + CALLS_A_DAY] if day < DAYS else _unheard(store.clips, found)
        chosen = draw.choice(len(crowd), WORDS_A_DAY // 2, replace=False)
        others = [crowd[i].path for i in chosen]
        own = draw.permutation(len(found.others))[: WORDS_A_DAY // 2]
        others += [found.others[i] for i in own]
        said = [(row[path.resolve()], kind) for path, kind in in_turn(calls, others)]
        noise = noises.fan(draw, 5 * life.RATE_HZ)
        stream = life.spoken(store, said, draw, noise=np.asarray(noise, np.float32), snr_db=SNR_DB)
        place = out if day < DAYS else out.parent
        files.write(place / f"{name}.flac", stream.samples, life.RATE_HZ)
        truth = [[one.start_s, one.end_s] for one in stream.said if one.kind == "keyword"]
        write_text(
            out.parent / f"{name}.json", json.dumps({"calls": truth, "seconds": stream.seconds}) + "\n"
        )
        progress(day + 1, len(NAMES))
    return out


def compare(times_s: list[float], truth: Path) -> Heard:
    """Holds events against what was said.

    Args:
        times_s: of the events, in s.
        truth: the JSON file beside the recording.

    Returns:
        The counts.
    """
    facts = json.loads(truth.read_text(encoding="utf-8"))
    left, detected = sorted(times_s), 0
    for start, end in facts["calls"]:
        near = [t for t in left if start - MATCH_S <= t <= end + MATCH_S]
        detected += bool(near)
        left = [t for t in left if t not in near]
    return Heard(len(facts["calls"]), detected, len(left), facts["seconds"])


def _unheard(clips: tuple[object, ...], found: Outlier) -> list[Path]:
    """Lists calls of the person that were neither enrolled nor said in the week: the day after is a test."""
    used = {path.resolve() for path in (*found.enrolled, *found.week)}
    return [
        clip.path  # type: ignore[attr-defined]
        for clip in clips
        if (clip.speaker, clip.label) == (found.speaker, found.keyword)  # type: ignore[attr-defined]
        and clip.path.resolve() not in used  # type: ignore[attr-defined]
    ]
