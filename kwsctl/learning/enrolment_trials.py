"""Lets adapters learn one keyword, and judges them by what they were not given."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl import registry
from kwsctl.bundle import Bundle, Delta
from kwsctl.errors import InputError
from kwsctl.features.logmel import POWER_FLOOR, compress
from kwsctl.learning.adapters._enrolment import BATCH, Enrolment, direction, embed, margins
from kwsctl.learning.budget import far_of, limit_of_rearranged, threshold_for
from kwsctl.learning.enrolment_clips import Take
from kwsctl.learning.piece_orders import REARRANGED
from kwsctl.learning.precision import FULL, Quantization, bits_of
from kwsctl.learning.promise import Promise, promise
from kwsctl.learning.rearranging import rearranged
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.surroundings import as_beside, beside
from kwsctl.learning.voice_fusion import fused
from kwsctl.seeding import numpy_generator, torch_generator

ADAPTERS = "kwsctl.learning.adapters"
DEEP_PARTS = 3  # learning takes a second: clips are left out some at a time
PLACES = (-24, -12, 0, 12, 24)  # frames: a device hears a word again and again while it passes
Policy = Literal["biased", "only"]


@dataclass(frozen=True)
class EnrollOptions:
    """How to enrol.

    Attributes:
        method: file in `learning/adapters/`, or `auto`.
        policy: `biased`: others who say the keyword are neutral; `only`: they are refused.
        far: budget of false alarms as a share of words that are not the keyword.
        fa_per_hour: budget in an hour of speech without a pause, in the place of `far`.
        seed: of everything random.
        precision: of methods that tune the network, such as `w8a8g8`.
        memory_budget: bytes for activations, gradients and optimizer; with `auto`, decides what is tuned.
        quantization: how numbers are put on grids, where there is a precision.
    """

    method: str = "auto"
    policy: Policy = "biased"
    far: float = 0.005
    fa_per_hour: float | None = None
    seed: int = 0
    precision: str = FULL
    memory_budget: int | None = None
    quantization: Quantization = field(default_factory=Quantization)

    def __post_init__(self) -> None:
        bits_of(self.precision)
        if self.policy not in ("biased", "only"):
            raise InputError(f"There is no policy {self.policy!r}.", "Use biased or only.")
        if not 0 < self.budget < 1:
            raise InputError(
                f"A budget of {self.budget:g} is no share of words.", "Give one between 0 and 1."
            )

    @property
    def budget(self) -> float:
        """Share of words that may be taken for the keyword."""
        return self.far if self.fa_per_hour is None else far_of(self.fa_per_hour)


class Adapter(Protocol):
    """A file in `learning/adapters/`."""

    def learn(self, task: Enrolment) -> Delta:
        """Makes the change of one keyword."""


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that one enrolment is judged by.

    Attributes:
        task: what the adapter is given; its negatives are half of the stored ones, and rearranged clips.
        held_out: [N, F, T] features of the other half: as they are and, if the clips were recorded in a room
            that can be heard, in that room.
        rearranged: [R, F, T] rearranged clips that no adapter was given.
        is_known: whether the base was trained to hear the keyword.
        voices: [N] cosines to the person's of the voices of each of `held_out`; None without voices.
        voice: [S] the person's voice.
        own_voices: [K] cosines of each clip's voice to the mean of the others.
    """

    task: Enrolment
    held_out: Sequence[Tensor]
    rearranged: Tensor
    is_known: bool
    voices: Sequence[NDArray[np.float64]] | None
    voice: Tensor | None
    own_voices: NDArray[np.float64] | None

    @functools.cached_property
    def held_out_embeddings(self) -> Sequence[Tensor]:
        """[P N, E] embeddings by the base of each of the held-out negatives as they pass."""
        return [embed(self.task.network, passing(features)) for features in self.held_out]

    @functools.cached_property
    def rearranged_embeddings(self) -> Tensor:
        """[P R, E] embeddings by the base of the rearranged clips as they pass."""
        return embed(self.task.network, passing(self.rearranged))


@dataclass(frozen=True, eq=False)
class Trial:
    """One adapter's answer and how it does on what it was not given.

    Attributes:
        method: the adapter.
        delta: what it gave.
        threshold: margin for the budget.
        left_out: [K] margins of the clips, each by a model without it (and others, where learning is slow);
            empty for a single clip.
        negatives: [N] margins of the held-out stored negatives, of those in two rooms the higher one.
        expected: what the person may expect.
    """

    method: str
    delta: Delta
    threshold: float
    left_out: NDArray[np.float64]
    negatives: NDArray[np.float64]
    expected: Promise


def knows(base: Bundle, keyword: str, taught: Collection[str] = ()) -> bool:
    """Tells whether a network was trained to hear a keyword: those of encoders are rows that people added.

    Args:
        base: the bundle.
        keyword: a label of it, or a new word.
        taught: labels that enrolment added.

    Returns:
        Whether it was.
    """
    return keyword in base.labels and keyword not in taught and not hasattr(base.model(), "both")


def gathered(
    base: Bundle,
    keyword: str,
    takes: Sequence[Take],
    negatives: StoredNegatives,
    options: EnrollOptions,
    taught: Collection[str] = (),
) -> Material:
    """Gathers what one enrolment learns from, and what it is judged by.

    Args:
        base: the bundle.
        keyword: what is enrolled.
        takes: the person's clips.
        negatives: of other people.
        options: how.
        taught: labels of the base that enrolment added.

    Returns:
        Half of the negatives for the adapter, half to judge it; rearranged clips are learned from for a new
        keyword only, and judge all. Clips from a loud room are compared with negatives in that room, too.
    """
    others = [i for i, label in enumerate(negatives.labels) if label != keyword]
    fit_rows, held_rows = others[::2], others[1::2]
    power = torch.stack([t.power for t in takes])
    stored, held_out = (
        in_both_rooms(negatives.features(base.n_frames, rows), power, options.seed)
        for rows in (fit_rows, held_rows)
    )
    powers, spans = [t.power for t in takes], [t.speech_frames for t in takes]
    draw = numpy_generator(options.seed, "rearranged")
    mixed = compress(rearranged(powers, spans, base.n_frames, 2 * REARRANGED, draw))
    # What a known keyword sounds like, the base knows: pieces of it as negatives would take that away.
    is_known = knows(base, keyword, taught)
    task = Enrolment(
        base,
        keyword,
        power,
        torch.cat(stored if is_known else [*stored, mixed[::2]]),
        options.seed,
        options.precision,
        options.memory_budget,
        options.quantization,
    )
    voice = voices = own = None
    if hasattr(task.network, "both"):
        mine = voice_of(task.network, task.positives)
        voice = direction(mine)
        voices = [(voice_of(task.network, features) @ voice).double().numpy() for features in held_out]
        own = np.array(
            [float(mine[i] @ direction(torch.cat([mine[:i], mine[i + 1 :]]))) for i in range(len(mine))]
            if len(mine) > 1
            else []
        )
    return Material(task, held_out, mixed[1::2], is_known, voices, voice, own)


def in_both_rooms(features: Tensor, power: Tensor, seed: int) -> list[Tensor]:
    """Lets negatives sound as they are and, where it can be heard, in the room of a person's clips.

    Args:
        features: [N, F, T] of negatives.
        power: [K, F, T'] mel power of the clips.
        seed: of the draws.

    Returns:
        One or two tensors [N, F, T].
    """
    room = beside(power)
    if room is None:
        return [features]
    return [features, as_beside(features, power, room, torch_generator(seed, "room of the clips"))]


def tried(name: str, material: Material, options: EnrollOptions) -> Trial:
    """Lets one adapter learn, and judges it by what it was not given.

    Args:
        name: file in `learning/adapters/`.
        material: see `gathered`.
        options: policy and budget.

    Returns:
        Its change, threshold and promise.
    """
    task = material.task
    adapter = cast(Adapter, registry.load(ADAPTERS, name))
    delta = adapter.learn(task)
    personal = task.base.with_delta(delta)
    in_head = all(name.startswith("head.") for name in delta.changes)
    network = personal.model()

    def peak(features: Tensor, known: Tensor) -> NDArray[np.float64]:
        embeddings = known if in_head else embed(network, passing(features))
        return peaks(personal, network, task.keyword, embeddings)

    stored = list(map(peak, material.held_out, material.held_out_embeddings))
    mixed = peak(material.rearranged, material.rearranged_embeddings)
    left_out = _left_out(adapter, task, len(task.power) if in_head else DEEP_PARTS)
    if options.policy == "only" and material.voices is not None and material.own_voices is not None:
        stored = list(map(fused, stored, material.voices))
        mixed = fused(mixed, np.full(len(mixed), material.own_voices.mean() if len(left_out) else 1.0))
        left_out = fused(left_out, material.own_voices)
    negatives = np.max(stored, axis=0)
    threshold = max(
        threshold_for(negatives, options.budget),
        limit_of_rearranged(mixed, options.budget, is_known=material.is_known),
    )
    expected = promise(left_out, threshold, numpy_generator(options.seed, "promise"))
    return Trial(name, delta, threshold, left_out, negatives, expected)


def _left_out(adapter: Adapter, task: Enrolment, parts: int) -> NDArray[np.float64]:
    """Gives the [K] margins of the clips, each by a model that learned without its part of them."""
    n_clips = len(task.power)
    found = np.zeros(n_clips if n_clips > 1 else 0)
    for part in range(min(parts, len(found))):
        asked = list(range(part, n_clips, parts))
        personal = task.base.with_delta(adapter.learn(task.without(asked)))
        found[asked] = margins_of(personal, task.keyword, task.positives[asked])
    return found


def passing(features: Tensor) -> Tensor:
    """Lets words pass through the window as they do in a stream.

    Args:
        features: [N, F, T].

    Returns:
        [P N, F, T]: all of them at each of the P places in turn, silence around them.
    """
    n_frames, reach = features.shape[2], max(PLACES)
    padded = nn.functional.pad(features, (reach, reach), value=float(np.log(POWER_FLOOR)))
    return torch.cat([padded[:, :, reach + at : reach + at + n_frames] for at in PLACES])


def peaks(bundle: Bundle, network: nn.Module, keyword: str, embeddings: Tensor) -> NDArray[np.float64]:
    """Gives the highest margin of each word on its way through the window.

    Args:
        bundle: the person's.
        network: the bundle's, whose head is asked.
        keyword: one of its labels.
        embeddings: [P N, E] of `passing` words.

    Returns:
        [N] margins.
    """
    found = margins(bundle, keyword, cast(nn.Linear, network.head)(embeddings).detach())
    return found.view(len(PLACES), -1).amax(0).double().numpy()


def margins_of(bundle: Bundle, keyword: str, features: Tensor) -> NDArray[np.float64]:
    """Gives the [N] margins of a keyword for features [N, F, T], see `adapters._enrolment.margins`."""
    network = bundle.model()
    logits = cast(nn.Linear, network.head)(embed(network, features)).detach()
    return margins(bundle, keyword, logits).double().numpy()


def voice_of(network: nn.Module, features: Tensor) -> Tensor:
    """Runs the speaker embedding over [N, F, T] in batches and gives [N, S], without gradients."""
    with torch.no_grad():
        return torch.cat([cast(Any, network).speaker(part) for part in torch.split(features, BATCH)])
