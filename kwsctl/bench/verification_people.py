"""The clips of `kwsctl bench verification`: participants, people who took no part, and further impostors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bench.people import gather
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.errors import InputError
from kwsctl.features.augmentation import middle
from kwsctl.federated.verification import Cast, Heard
from kwsctl.learning.rendering import Renderings
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator
from kwsctl.storage import write_bytes
from kwsctl.verification import statistics

WORDS_TO_LEARN = 0.7
CLIPS = {"train": 25, "warm_up": 10, "test": 40}


@dataclass(frozen=True, eq=False)
class Spoken:
    """Single clips as the trunk hears them.

    Attributes:
        statistics: [N, S].
        words: [N] what is said.
        speakers: [N] by whom.
        channels: C of each block of the trunk.
    """

    statistics: Tensor
    words: NDArray[np.str_]
    speakers: NDArray[np.str_]
    channels: tuple[int, ...]


def spoken(store: ClipStore, encoder: Bundle, progress: Progress = silent) -> Spoken:
    """Reads the words of a store.

    Args:
        store: clips of people.
        encoder: its trunk hears them.
        progress: counts clips.

    Returns:
        Their statistics.
    """
    people = gather(store, encoder, (), progress)
    power = torch.stack([take.power for take in people.takes])
    found = [
        statistics.of_features(encoder, middle(part, encoder.n_frames)) for part in torch.split(power, 512)
    ]
    return Spoken(torch.cat(found), people.words, people.speakers, statistics.channels_of(encoder))


def kept(
    folder: Path, store: ClipStore, encoder: Bundle, make: Callable[[ClipStore, Bundle], Spoken]
) -> Spoken:
    """Takes statistics that were computed before, or computes and keeps them.

    Args:
        folder: where they are kept.
        store: clips.
        encoder: its trunk hears them.
        make: `spoken` or `readers`.

    Returns:
        The statistics.
    """
    known = json.dumps([[c.sha256, c.id, c.label, c.speaker] for c in store.clips], default=str)
    digest = hashlib.sha256((known + encoder.sha256).encode()).hexdigest()[:16]
    path = folder / f"{make.__name__}-{digest}.safetensors"
    if path.is_file():
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["kwsctl"])
            found = file.get_tensor("statistics").clone()
        return Spoken(found, np.array(facts["words"]), np.array(facts["speakers"]), tuple(facts["channels"]))
    made = make(store, encoder)
    write(path, made)
    return made


def write(path: Path, made: Spoken) -> None:
    """Keeps statistics in a file."""
    facts = {
        "words": made.words.tolist(),
        "speakers": made.speakers.tolist(),
        "channels": list(made.channels),
    }
    content = safetensors.torch.save({"statistics": made.statistics}, {"kwsctl": json.dumps(facts)})
    write_bytes(path, content)


def readers(store: ClipStore, encoder: Bundle, progress: Progress = silent) -> Spoken:
    """Reads running speech of a store window by window; what is said is not known.

    Args:
        store: clips with speakers.
        encoder: its trunk hears them.
        progress: counts windows.

    Returns:
        The statistics of every second window: windows overlap by half.
    """
    rows = np.array([i for i in store.where() if store.clips[i].speaker])
    windows = cut(store, rows, {}, frozenset(), encoder.clip_s)
    windows = windows.take(np.arange(0, len(windows.clip), 2))
    rendered = Renderings(store, windows, encoder.features)
    try:
        rendered.update(0, progress)
        found = torch.cat(
            [
                statistics.of_features(encoder, middle(rendered.batch(part), encoder.n_frames))
                for part in torch.split(torch.arange(len(windows.clip)), 512)
            ]
        )
    finally:
        rendered.close()
    speakers = np.array([store.clips[i].speaker or "" for i in windows.clip])
    return Spoken(found, np.full(len(speakers), ""), speakers, statistics.channels_of(encoder))


def folds(people: Spoken, held_out: int, seed: int) -> list[tuple[str, ...]]:
    """Splits speakers into groups, each of which takes no part once.

    Args:
        people: at least three speakers.
        held_out: speakers in a group.
        seed: of who is in which.

    Returns:
        The groups.

    Raises:
        InputError: nobody, or fewer than two, would take part.
    """
    names = numpy_generator(seed, "folds").permutation(np.unique(people.speakers))
    if len(names) - held_out < 2 or held_out < 1:
        raise InputError(f"{held_out} of {len(names)} speakers cannot be left out.", "Use fewer.")
    count = len(names) // held_out
    return [tuple(part.tolist()) for part in np.array_split(names, count)]


def joined_words(people: Spoken, unseen: Sequence[str], count: int, seed: int) -> Cast:
    """Makes clips of several words that one person says, of other words for learning than for testing.

    Args:
        people: single clips.
        unseen: who takes no part.
        count: words in a clip.
        seed: of the words and of what is joined.

    Returns:
        Clips of each speaker for each purpose.
    """
    words = numpy_generator(seed, "words").permutation(np.unique(people.words))
    limit = round(WORDS_TO_LEARN * len(words))
    known, new = words[:limit], words[limit:]
    names = [name for name in np.unique(people.speakers) if name not in unseen]

    def made(purpose: str, chosen: Sequence[str], allowed: NDArray[np.str_], clips: int) -> Heard:
        draw = numpy_generator(seed, purpose)
        parts = [_joined(people, name, allowed, count, clips, draw) for name in chosen]
        return Heard(torch.cat(parts), np.repeat(np.array(chosen), [len(p) for p in parts]))

    return Cast(
        train=made("train", names, known, CLIPS["train"]),
        warm_up=made("warm-up", names, known, CLIPS["warm_up"]),
        test=made("test", names, new, CLIPS["test"]),
        unseen=made("unseen", list(unseen), new, CLIPS["test"]),
    )


def one_word(people: Spoken, unseen: Sequence[str], word: str, seed: int) -> tuple[Cast, Heard]:
    """Makes clips of one word, and clips of other words as further trials.

    Args:
        people: single clips.
        unseen: who takes no part.
        word: the keyword.
        seed: of what is for what.

    Returns:
        Half of a person's clips of the word to learn from, a quarter for the warm-up, the rest as test; and
        clips of other words by everybody, of which each counts as an impostor's for all others.
    """
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], "warm_up": [], "test": [], "unseen": []}
    for name in np.unique(people.speakers):
        own = np.flatnonzero((people.speakers == name) & (people.words == word))
        own = numpy_generator(seed, "takes", str(name), word).permutation(own)
        if name in unseen:
            parts["unseen"].append(own)
            continue
        half, rest = len(own) // 2, len(own) - len(own) // 4
        parts["train"].append(own[:half])
        parts["warm_up"].append(own[half:rest])
        parts["test"].append(own[rest:])
    heard = {name: _rows(people, np.concatenate(rows)) for name, rows in parts.items()}
    others = np.flatnonzero(people.words != word)
    chosen = numpy_generator(seed, "other words", word).permutation(others)[:600]
    return Cast(heard["train"], heard["warm_up"], heard["test"], heard["unseen"]), _rows(people, chosen)


def _rows(people: Spoken, rows: NDArray[np.int64]) -> Heard:
    return Heard(people.statistics[torch.from_numpy(rows)], people.speakers[rows])


def _joined(
    people: Spoken, name: str, allowed: NDArray[np.str_], count: int, clips: int, draw: np.random.Generator
) -> Tensor:
    """Joins clips of different words by one person, [clips, S]."""
    own = np.flatnonzero((people.speakers == name) & np.isin(people.words, allowed))
    by_word = [own[people.words[own] == word] for word in np.unique(people.words[own])]
    chosen = [
        [int(draw.choice(by_word[k])) for k in draw.permutation(len(by_word))[:count]] for _ in range(clips)
    ]
    return statistics.pooled(people.statistics[torch.tensor(chosen)], people.channels)


def pieces(people: Spoken, count: int, seed: int, most: int = 4) -> Heard:
    """Joins windows of running speech by one person, at most so many clips of each."""
    draw, parts, names = numpy_generator(seed, "pieces"), [], []
    for name in np.unique(people.speakers):
        own = draw.permutation(np.flatnonzero(people.speakers == name))
        groups = [own[i : i + count] for i in range(0, len(own) - count + 1, count)][:most]
        if groups:
            rows = torch.from_numpy(np.stack(groups))
            parts.append(statistics.pooled(people.statistics[rows], people.channels))
            names += [str(name)] * len(groups)
    return Heard(torch.cat(parts), np.array(names))
