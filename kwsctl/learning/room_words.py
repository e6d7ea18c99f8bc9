"""The same words in a room and in quiet, and what a network makes of them: for learning the room from."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import torch
from torch import Tensor, nn

from kwsctl.bundle import LOW_RANK_DOWN, Delta
from kwsctl.learning.adapters.interpolated import thin
from kwsctl.learning.frozen import Frozen
from kwsctl.learning.known import Known
from kwsctl.learning.surroundings import in_room

QUIET_SHARE = 1 / 3
RANK = 8


class Says(Frozen):
    """What a network makes of words, and of voices if it tells them."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to embeddings [B, E], with those of the voice [B, E + S]."""
        network = cast(Any, self.network)
        return torch.cat(network.both(x), 1) if hasattr(network, "both") else cast(Tensor, network.embed(x))


def others_of(known: Known) -> Tensor:
    """Gives the stored negatives that a room is learned from, [N, F, T'] mel power: half of them."""
    return known.others[::2]


def pairs(known: Known, room: Tensor, own: int, rows: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Gives words in quiet, and the same words as they sound in the room, a third of them in quiet again.

    Args:
        known: the person.
        room: [M, F, C] mel power of stretches of it.
        own: how many clips of the person.
        rows: [N] of stored negatives, see `others_of`.
        draw: draws clips, places of the window, stretches and levels.

    Returns:
        Mel power [own + N, F, T] twice, the person's clips first.
    """
    n_frames = known.current.n_frames
    mine = torch.randint(len(known.replay), (own,), generator=draw)
    first = int(torch.randint(known.others.shape[2] - n_frames + 1, (1,), generator=draw))
    words = torch.cat([known.replay[mine], others_of(known)[rows]])
    quiet = words[:, :, first : first + n_frames]
    stays = torch.rand(len(quiet), generator=draw) < QUIET_SHARE
    return quiet, torch.where(stays[:, None, None], quiet, in_room(quiet, room, draw))


def away(said: Tensor, target: Tensor) -> Tensor:
    """Gives how far embeddings [B, E] are from others, as a share of the length of those, [B]."""
    return (said - target).square().sum(1) / target.square().sum(1).mean()


def part_way(change: Delta, share: float) -> Delta:
    """Gives a change of weights that goes only a share of the way."""
    going = {
        name: part if name.endswith(LOW_RANK_DOWN) else share * part for name, part in change.changes.items()
    }
    return dataclasses.replace(change, changes=going)


def change_of(known: Known, network: nn.Module) -> Delta:
    """Gives what a network that has learned a room changed, in thin matrices of sixteen bits.

    Args:
        known: the person, with the model before.
        network: the model after.

    Returns:
        The change of the trunk.
    """
    found: dict[str, Tensor] = {}
    for name, after in network.state_dict().items():
        if not torch.equal(after, known.current.weights[name]):
            found |= thin(name, (after - known.current.weights[name]).detach(), RANK)
    return Delta(known.current.sha256, found, made_by={"method": "room"})
