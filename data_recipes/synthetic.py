"""Speaks a corpus for any wake phrase: the embedded default of `kwsctl train`, which needs no data.

Four engines (`kwsctl.data.voices`), about 150 synthetic speakers with stable names, each in one
split. Clips are dry; noise and rooms are mixed in while training. Everything is fixed by the options:
the same options give the same clips, and a larger corpus reuses what a smaller one has spoken.

Synthetic speech is a start, not evidence: trained on it alone, models reached 56.7 % where recorded
speech gave 97.4 % (Lin et al. 2020).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kwsctl import storage
from kwsctl.audio import files
from kwsctl.data import manifest, noises, script, speaking
from kwsctl.data.phrases import label_of
from kwsctl.data.script import Amount
from kwsctl.data.sources import Source
from kwsctl.data.speaking import Spoken
from kwsctl.data.voices._utterance import Speaker
from kwsctl.errors import ExtensionError, InputError
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.types import BACKGROUND, Clip

SOURCES: tuple[Source, ...] = ()
SUMMARY = "synthetic voices say any wake phrase, words that sound like it, and other speech; needs no data"
LICENCE = (
    "Synthetic speech, not evidence about real people. Voices: Kokoro-82M (Apache-2.0), hibari (Apache-2.0), "
    "SVOX Pico (Apache-2.0); espeak-ng is a GPL-3.0-or-later program whose output is free to use"
)
CITATION = (
    "Kokoro-82M, hexgrad 2025; hibari, M. Williams 2025; SVOX Pico, SVOX AG 2008-2009, by py-nanotts; "
    "espeak-ng, J. Duddington, R. H. Dunn and contributors"
)

_SLOW_CPU_S = 0.3  # engines that cost more for a clip say less, and no running speech
_NOISE_S = 30.0
_NOISE_SHARE = 0.5  # minutes of noise for a minute of running speech
_BABBLE_TALKERS = 6


@dataclass(frozen=True)
class Options:
    """What is spoken.

    Attributes:
        phrase: the wake phrase, English words.
        phrases: several keywords instead of one.
        size: `demo` for two minutes of work on two cores, `full` for about five.
        seed: of everything that is drawn.
        engines: names of engines; none means all that can speak here.
        speakers: at most this many of each engine; None for all.
        takes: clips of each keyword by each speaker; None as `size` says.
        negatives: clips of other phrases, words and sentences by each speaker; None as `size` says.
        background_min: minutes of running speech in `train` and in `val`, twice that in `test`, and half
            as much noise; None as `size` says.
    """

    phrase: str = "hey snapdragon"
    phrases: tuple[str, ...] = ()
    size: Literal["demo", "full"] = "demo"
    seed: int = 0
    engines: tuple[str, ...] = ()
    speakers: int | None = None
    takes: int | None = None
    negatives: int | None = None
    background_min: float | None = None

    def __post_init__(self) -> None:
        least = {"speakers": script.MIN_SPEAKERS, "takes": 1, "negatives": 0, "background_min": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and not bound <= value:
                raise InputError(f"The option {name} is {value}.", f"Give {bound} or more.")


@dataclass(frozen=True)
class _Size:
    quick: Amount
    slow: Amount
    background_min: float


_SIZES = {
    "demo": _Size(quick=Amount(6, 8, 6, 3), slow=Amount(1, 1, 0, 0), background_min=10),
    "full": _Size(quick=Amount(12, 16, 10, 6), slow=Amount(2, 2, 1, 0), background_min=20),
}


def clips(root: Path, options: Options | None = None) -> Iterator[Clip]:
    """Lists what `obtain` has spoken into a folder.

    Args:
        root: the folder.
        options: as given to `obtain`.

    Yields:
        Clips; those labelled `_background_` last about half a minute each.

    Raises:
        InputError: nothing has been spoken there with these options.
    """
    index = _index(root, options or Options())
    if not index.is_file():
        raise InputError(
            f"Nothing has been spoken into {root} with these options.", "Type: kwsctl data prepare synthetic"
        )
    yield from manifest.read(index)


def facts(root: Path, options: Options | None = None) -> dict[str, Any]:
    """Gives what `obtain` recorded: engines with their licences, those missing and why, what was rejected.

    Args:
        root: the folder.
        options: as given to `obtain`.

    Returns:
        What was recorded, in a form that JSON knows.
    """
    content = _index(root, options or Options()).with_suffix(".json").read_text(encoding="utf-8")
    recorded: dict[str, Any] = json.loads(content)
    return recorded


def obtain(root: Path, options: Options | None = None, progress: Progress = silent) -> Path:
    """Speaks what is not in the folder yet; a killed run goes on where it was.

    Args:
        root: the folder, may be shared by corpora of many phrases.
        options: what to speak.
        progress: counts clips.

    Returns:
        `root`.

    Raises:
        InputError: a phrase that cannot be spoken.
        ExtensionError: an unknown engine, or none that can speak here.
    """
    options = options or Options()
    phrases = tuple(dict.fromkeys(map(label_of, options.phrases or (options.phrase,))))
    missing = speaking.missing(options.engines)
    engines = [name for name, reason in missing.items() if not reason]
    if not engines:
        raise ExtensionError("No voice can speak here.", " ".join(missing.values()))
    splits = _splits(engines, options)
    quick = [name for name in engines if not _is_slow(name)]
    minutes = (
        _SIZES[options.size].background_min if options.background_min is None else options.background_min
    )
    lines = script.write(
        splits,
        {name: _amount(name, options, len(phrases)) for name in engines},
        phrases,
        background_min=minutes,
        talkers=quick or engines,
        seed=options.seed,
    )
    spoken = speaking.speak([line.utterance for line in lines], root / "cache", progress=progress)
    kept = [
        Clip(said.path, line.label, line.utterance.speaker.id, line.split)
        for line, said in zip(lines, spoken, strict=True)
        if not said.rejected
    ]
    kept += _noise(root / "cache" / "noise", kept, minutes * _NOISE_SHARE, options.seed)
    index = _index(root, options)
    record = json.dumps(_record(options, phrases, missing, spoken, kept), indent=2, sort_keys=True)
    storage.write_text(index.with_suffix(".json"), record + "\n")
    manifest.write(index, kept)
    return root


def _index(root: Path, options: Options) -> Path:
    """Names the manifest of one corpus in the folder."""
    resolved = json.dumps(dataclasses.asdict(options), sort_keys=True)
    return root / f"corpus-{hashlib.sha256(resolved.encode()).hexdigest()[:12]}.csv"


def _splits(engines: Sequence[str], options: Options) -> dict[Speaker, str]:
    splits: dict[Speaker, str] = {}
    for name in engines:
        splits |= script.cast(speaking.speakers(name)[: options.speakers], options.seed)
    return splits


def _is_slow(engine: str) -> bool:
    return speaking.engine(engine).CPU_S_PER_CLIP > _SLOW_CPU_S


def _amount(engine: str, options: Options, n_phrases: int) -> Amount:
    """Clips per speaker; more than two keywords share what two would get, but each is said once."""
    size = _SIZES[options.size]
    amount = size.slow if _is_slow(engine) else size.quick
    if n_phrases > 2:
        keyword, confusable = (max(1, 2 * n // n_phrases) for n in (amount.keyword, amount.confusable))
        amount = dataclasses.replace(amount, keyword=keyword, confusable=confusable)
    if options.takes is not None:
        amount = dataclasses.replace(amount, keyword=options.takes)
    if options.negatives is not None:
        confusable, word = -(-options.negatives // 2), options.negatives // 4
        amount = Amount(amount.keyword, confusable, word, options.negatives - confusable - word)
    return amount


def _noise(folder: Path, spoken: Sequence[Clip], minutes: float, seed: int) -> list[Clip]:
    """Makes half-minute noises that are not there yet, each kind in turn in each split."""
    kinds = ("babble", *noises.KINDS)
    made: list[Clip] = []
    for split in ("train", "val", "test"):
        talkers = [clip.path for clip in spoken if clip.split == split and clip.label == BACKGROUND]
        for i in range(round(minutes * (2 if split == "test" else 1) * 60 / _NOISE_S)):
            kind = kinds[i % len(kinds)]
            generator = numpy_generator(seed, "noise", split, i)
            chosen = generator.permutation(len(talkers))[:_BABBLE_TALKERS]
            paths = [talkers[k] for k in chosen] if kind == "babble" else []
            if kind == "babble" and not paths:
                continue
            heard = hashlib.sha256("".join(path.name for path in paths).encode()).hexdigest()[:8]
            path = folder / f"{kind}-{split}-{i:03d}-{seed}-{heard}.flac"
            if not path.is_file():
                make = _babble(paths) if paths else noises.KINDS[kind]
                samples = make(generator, round(_NOISE_S * noises.RATE_HZ))
                level = np.float32(10 ** (generator.uniform(-24, -4) / 20))
                files.write(path, samples * level, noises.RATE_HZ)
            made.append(Clip(path, BACKGROUND, None, split))
    return made


def _babble(paths: Sequence[Path]) -> Callable[[np.random.Generator, int], noises.Samples]:
    return functools.partial(noises.babble, talkers=[files.read(path) for path in paths])


def _record(
    options: Options,
    phrases: Sequence[str],
    missing: dict[str, str],
    spoken: Sequence[Spoken],
    kept: Sequence[Clip],
) -> dict[str, Any]:
    said = Counter(one.utterance.speaker.engine for one in spoken if not one.rejected)
    rejected = Counter(f"{one.utterance.speaker.engine}: {one.rejected}" for one in spoken if one.rejected)
    return {
        "synthetic": True,
        "phrases": list(phrases),
        "options": dataclasses.asdict(options),
        "clips": len(kept),
        "speakers": len({clip.speaker for clip in kept} - {None}),
        "engines": {
            name: {"clips": said[name], "licence": speaking.engine(name).LICENCE}
            for name, reason in missing.items()
            if not reason
        },
        "missing": {name: reason for name, reason in missing.items() if reason},
        "rejected": dict(rejected),
        "licence": LICENCE,
    }
