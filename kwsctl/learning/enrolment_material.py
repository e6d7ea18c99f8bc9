"""Gathers what one keyword of one person is learned from, and what judges it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kwsctl.bundle import Bundle
from kwsctl.features.logmel import POWER_FLOOR, compress
from kwsctl.learning.adapters._enrolment import BATCH, Enrolment, direction, embed
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_clips import Take
from kwsctl.learning.piece_orders import REARRANGED
from kwsctl.learning.rearranging import rearranged
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.learning.surroundings import as_beside, beside
from kwsctl.seeding import numpy_generator, torch_generator

PLACES = (-24, -12, 0, 12, 24)  # frames: a device hears a word again and again while it passes


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


def voice_of(network: nn.Module, features: Tensor) -> Tensor:
    """Runs the speaker embedding over [N, F, T] in batches and gives [N, S], without gradients."""
    with torch.no_grad():
        return torch.cat([cast(Any, network).speaker(part) for part in torch.split(features, BATCH)])
