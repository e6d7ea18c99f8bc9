"""People who say many words made of tones, and small models that have heard some of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from kwsctl import architecture
from kwsctl.audio import files
from kwsctl.bundle import Bundle, Task
from kwsctl.data.decoding import as_float
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.features.logmel import logmel
from kwsctl.learning.encoder import Trainee
from kwsctl.learning.enrolment_clips import Take, take
from kwsctl.learning.objectives import softmax
from kwsctl.learning.stored_negatives import StoredNegatives, collect
from kwsctl.types import RESERVED_LABELS, Clip, FeatureSpec

RATE_HZ = 16_000
STEPS_HZ = (300.0, 420.0, 600.0, 850.0, 1200.0, 1700.0, 2400.0, 3400.0)
SPEC = FeatureSpec()
EPOCHS = 8


def say(word: str, speaker: int, take: int = 0, seconds: float = 1.0) -> np.ndarray:
    """Speaks a word such as `031`, whose digits are tones, in the voice of a speaker, with a little noise.

    A voice is a pitch, a pace, and how strong the overtone is.
    """
    draw = np.random.default_rng([speaker, take, *map(ord, word)])
    time_s = np.arange(round((0.15 + 0.008 * (speaker % 5)) * RATE_HZ)) / RATE_HZ
    fade = np.sin(np.pi * np.arange(len(time_s)) / len(time_s)) ** 0.5
    pitch, overtone = 0.96 + 0.025 * (speaker % 4), 0.3 * (speaker % 3)
    hz = [STEPS_HZ[int(digit)] * pitch * draw.uniform(0.98, 1.02) for digit in word]
    tones = [(np.sin(2 * np.pi * f * time_s) + overtone * np.sin(4 * np.pi * f * time_s)) * fade for f in hz]
    spoken = np.concatenate(tones)
    wave = 0.005 * draw.normal(size=round(seconds * RATE_HZ))
    first = int(draw.integers(0, len(wave) - len(spoken)))
    wave[first : first + len(spoken)] += 0.3 * spoken
    return wave.astype(np.float32)


def as_store(clips: Iterable[Clip], samples: Iterable[np.ndarray]) -> ClipStore:
    """Makes a store in memory."""
    waves = [np.round(32767 * wave).astype(np.int16) for wave in samples]
    offsets = np.cumsum([0, *map(len, waves)]).astype(np.int64)
    return ClipStore(tuple(clips), (), RATE_HZ, np.concatenate(waves), offsets, Path("/store"))


def crowd(
    words: Sequence[str], speakers: Sequence[int], takes: int, split: str = "train", first_take: int = 0
) -> ClipStore:
    """Everybody says every word."""
    said = [(w, s, first_take + t) for s in speakers for w in words for t in range(takes)]
    clips = [Clip(Path(f"/clips/{w}-{s}-{t}.wav"), w, f"s{s}", split) for w, s, t in said]
    return as_store(clips, (say(*one) for one in said))


def joined(*stores: ClipStore) -> ClipStore:
    """Puts stores together."""
    clips = tuple(clip for store in stores for clip in store.clips)
    samples = np.concatenate([store.samples for store in stores])
    offsets = np.cumsum([0, *(n for store in stores for n in np.diff(store.offsets))]).astype(np.int64)
    return ClipStore(clips, (), RATE_HZ, samples, offsets, Path("/store"))


def spoken_to(word: str, speaker: int, count: int, base: Bundle, first_take: int = 100) -> list[Take]:
    """Gives clips of a person as an enrolment has them."""
    paths = [Path(f"{word}-{speaker}-{n}.wav") for n in range(count)]
    return [take(say(word, speaker, first_take + n), base, p, p.name) for n, p in enumerate(paths)]


def features(store: ClipStore) -> Tensor:
    """[N, F, T] of clips of one second."""
    return logmel(torch.from_numpy(np.stack([as_float(store.audio(i)) for i in range(len(store))])), SPEC)


def write(folder: Path, word: str, speaker: int, count: int, first_take: int = 100) -> list[Path]:
    """Records clips of a person as files."""
    paths = [folder / f"{word}-{speaker}-{n}.wav" for n in range(count)]
    for n, path in enumerate(paths):
        files.write(path, say(word, speaker, first_take + n), RATE_HZ)
    return paths


WORDS = ("012", "345", "670", "246", "135", "701", "567", "023", "416", "572", "364", "145")
"""What models and negatives know; `NEW_WORDS` are never among it."""
NEW_WORDS = ("257", "063", "147")
LEXICON = (*WORDS, *(f"{a}{(a + b) % 8}{(a + c) % 8}" for a in range(8) for b, c in ((1, 4), (3, 6), (5, 3))))
"""What encoders have heard, but for `NEW_WORDS`."""
OTHERS, PEOPLE = tuple(range(8)), (20, 21, 22, 23, 24, 25)


@functools.cache
def negatives() -> StoredNegatives:
    """Stored negatives: many words by others than `PEOPLE`."""
    store = crowd(WORDS, OTHERS, 2)
    windows = cut(store, store.where(), {}, frozenset(WORDS), 1.0)
    return collect(store, windows, SPEC, ("tones, CC0",))


@functools.cache
def encoder() -> Bundle:
    """A duet without labels that tells words of tones apart, also those it has not heard, and voices."""
    return _trained("duet", {"width": 0.4, "embedding": 24, "speaker": 16}, (), "wake")


@functools.cache
def keyword_model() -> Bundle:
    """A TC-ResNet with three keywords and a class for all other words."""
    return _trained("tcresnet", {"width": 0.4, "dropout": 0.0}, (*WORDS[:3], "_unknown_"), "keywords")


@functools.cache
def wake_model() -> Bundle:
    """A TC-ResNet with one wake word."""
    return _trained("tcresnet", {"width": 0.4, "dropout": 0.0}, WORDS[:1], "wake")


def _trained(arch: str, config: dict[str, object], labels: tuple[str, ...], task: Task) -> Bundle:
    if labels:
        store = crowd(WORDS, OTHERS, 4)
    else:
        store = crowd([word for word in LEXICON if word not in NEW_WORDS], OTHERS, 2)
    x, said = features(store), [clip.label for clip in store.clips]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = architecture.build(arch, config, len(labels), SPEC.mel_bins)
        network.get_buffer("standardize.mean").copy_(x.mean((0, 2)))
        network.get_buffer("standardize.std").copy_(x.std((0, 2)))
        _learn(network, x, said, [clip.speaker or "" for clip in store.clips], labels, task)
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    thresholds = {label: 0.5 for label in labels if label not in RESERVED_LABELS}
    return Bundle(arch, config, SPEC, labels, task, 1.0, weights, thresholds, {"speakers": []})


def _learn(
    network: torch.nn.Module,
    x: Tensor,
    said: Sequence[str],
    speakers: Sequence[str],
    labels: Sequence[str],
    task: Task,
) -> None:
    """A few plain epochs: enough for tones."""
    trainee = Trainee(network, len(set(said)), len(set(speakers)))
    word = torch.tensor([sorted(set(said)).index(w) for w in said])
    who = torch.tensor([sorted(set(speakers)).index(s) for s in speakers])
    other = len(labels) - 1
    target = torch.tensor([labels.index(w) if w in labels else other for w in said])
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=6e-3)
    trainee.train()
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = 6e-3 * (1 - epoch / EPOCHS)
        for rows in torch.randperm(len(x)).split(48):
            if not labels:
                found, voice = trainee(x[rows])
                value = softmax.loss(found, word[rows], trainee.words, trainee.scale)[0]
                value = value + softmax.loss(voice, who[rows], trainee.voices, trainee.scale)[0]
            elif task == "keywords":
                value = fn.cross_entropy(network(x[rows]), target[rows])
            else:
                wanted = torch.tensor([[float(said[i] == labels[0])] for i in rows])
                value = fn.binary_cross_entropy_with_logits(network(x[rows]), wanted)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
