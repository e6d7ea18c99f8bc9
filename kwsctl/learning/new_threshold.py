"""Chooses a person's threshold anew, after an update or instead of one."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor, nn

from kwsctl.bundle import Bundle
from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters._enrolment import embed, margins
from kwsctl.learning.budget import threshold_for
from kwsctl.learning.canary import RARER
from kwsctl.learning.enrolment_trials import REARRANGED_EASE, passing, peaks, voice_of
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.promise import USUAL_SPREAD
from kwsctl.learning.surroundings import in_room
from kwsctl.learning.voice_fusion import fused
from kwsctl.seeding import torch_generator

ENOUGH_HEARD = 30
ENOUGH_CALLS = 6  # that the stream gave: fewer say little about how a person's calls vary
ROOM_COPIES = 3
NEARLY_ALL = 0.998  # of calls such as those that are known
HELD_BACK = 3  # every third segment of the stream is for thresholds and the canary, and not fitted to


def threshold_of(known: Known, bundle: Bundle, gathered: Gathered) -> float:
    """Chooses the margin that keeps to the budget on all that no row is fitted to.

    That is the highest of three: for stored negatives as they are and in the room, for rearranged clips, and
    for what the stream held that is no call. Where the calls that were heard lie far above it, it rises until
    a few of such calls would be missed or false alarms are much rarer than they may be: what no call needs is
    not given to false alarms.

    Args:
        known: the person.
        bundle: the model proposed.
        gathered: from the stream.

    Returns:
        The margin.
    """
    room = gathered.room
    stored = held_out(known, "threshold", known.others[1::4], room, bundle.n_frames)
    mixed = held_out(known, "rearranged", known.mixed[1::2], None, bundle.n_frames)
    wanted = [_limit(known, bundle, stored, known.budget)]
    if len(gathered.positives) >= ENOUGH_CALLS:
        rare = _limit(known, bundle, stored, known.budget / RARER)
        wanted.append(min(rare, _needed(known, bundle, gathered)))
    wanted.append(_limit(known, bundle, mixed, min(1.0, REARRANGED_EASE * known.budget)))
    heard = gathered.negatives[HELD_BACK - 1 :: HELD_BACK]
    if len(heard) >= ENOUGH_HEARD:
        found = _margins(known, bundle, middle(heard, bundle.n_frames))
        wanted.append(threshold_for(found, known.budget))
    return max(wanted)


def _needed(known: Known, bundle: Bundle, gathered: Gathered) -> float:
    """Gives the margin that `NEARLY_ALL` calls such as those that are known would reach."""
    room, n_frames = gathered.room, bundle.n_frames
    draw = torch_generator(known.seed, "calls for the threshold")
    enrolled = known.once(
        "calls for the threshold",
        room,
        lambda: middle(
            known.replay
            if room is None
            else torch.cat([known.replay, in_room(known.replay.repeat(ROOM_COPIES, 1, 1), room, draw)]),
            n_frames,
        ),
    )
    found = _margins(known, bundle, torch.cat([enrolled, middle(gathered.positives, n_frames)]))

    def missed(margin: float) -> float:
        return float(norm.cdf((margin - found) / USUAL_SPREAD).mean()) - (1 - NEARLY_ALL)

    reach = 8 * USUAL_SPREAD
    return float(brentq(missed, found.min() - reach, found.max() + reach))


def held_out(known: Known, name: str, power: Tensor, room: Tensor | None, n_frames: int) -> Tensor:
    """Gives features at several places of the window, as they are and in the room.

    Args:
        known: the person; remembers them.
        name: of what they are for.
        power: [N, F, T'] mel power.
        room: stretches of it; None for none.
        n_frames: T.

    Returns:
        [P N, F, T], see `enrolment_trials.passing`.
    """

    def make() -> Tensor:
        both = power
        if room is not None:
            both = torch.cat([power, in_room(power, room, torch_generator(known.seed, "room", name))])
        return passing(middle(both, n_frames))

    return known.once(name, room, make)


def _limit(known: Known, bundle: Bundle, features: Tensor, budget: float) -> float:
    network = Bundle.model(bundle)
    found = peaks(bundle, network, known.keyword, known.embedded(bundle, features))
    if known.only and known.voice is not None:
        centred = features[2 * len(found) : 3 * len(found)]
        found = fused(found, (voice_of(network, centred) @ known.voice).double().numpy())
    return threshold_for(found, budget)


def _margins(known: Known, bundle: Bundle, features: Tensor) -> NDArray[np.float64]:
    network = Bundle.model(bundle)
    logits = cast(nn.Linear, network.head)(embed(network, features)).detach()
    found = margins(bundle, known.keyword, logits).double().numpy()
    if known.only and known.voice is not None:
        found = fused(found, (voice_of(network, features) @ known.voice).double().numpy())
    return cast("NDArray[np.float64]", found)
