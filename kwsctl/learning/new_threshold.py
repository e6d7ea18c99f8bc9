"""Chooses a person's threshold anew, after an update or instead of one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.features.augmentation import augment, middle
from kwsctl.learning.adapters._enrolment import MILD
from kwsctl.learning.budget import share_above, share_of_rearranged, threshold_for
from kwsctl.learning.canary import RARER
from kwsctl.learning.crowd import ENOUGH
from kwsctl.learning.enrolment_material import passing, voice_of
from kwsctl.learning.enrolment_trials import margins_of, peaks
from kwsctl.learning.known import Gathered, Known
from kwsctl.learning.surroundings import in_room, matters
from kwsctl.learning.voice_fusion import fused
from kwsctl.seeding import torch_generator

ENOUGH_HEARD = 30
ROOM_COPIES = 3
TOWARDS_CALLS = 0.55
OUTSTANDING = 1.4
"""Standard deviations above the mean of what a loud room's stream held, which a threshold there is, too."""
AT_MOST_TOWARDS_CALLS = 0.775
"""A stream may hold many calls: then its mean is no place to count from."""
FEWER_REARRANGED = 0.5
"""Share of what may pass of rearranged clips that an update never asks to be fewer."""
HELD_BACK = 3  # every third segment of the stream is for thresholds and the canary, and not fitted to


def threshold_of(
    known: Known, bundle: Bundle, gathered: Gathered, *, rarer: float = RARER, tuned: bool = False
) -> float:
    """Chooses the margin that keeps to the budget on all that no row is fitted to.

    That is the highest of three: for stored negatives as they are and in the room, for rearranged clips, and
    for what the stream held that is no call; of the first two as many may pass as do now, within bounds.
    Where the trunk has learned a room, neither the tail of the few stored negatives nor rearranged clips tell
    how far out other words lie there: the threshold is then a way from the stored negatives' limit to the
    calls, and stands out of all that the stream held.

    Args:
        known: the person.
        bundle: the model proposed.
        gathered: from the stream.
        rarer: how much rarer than the budget false alarms may always be.
        tuned: whether the model's trunk has learned a room.

    Returns:
        The margin.
    """
    room = gathered.room
    stored = held_out(known, "threshold", known.others[1::4], room, bundle.n_frames)
    if tuned and not known.is_trained:
        limit = _limit(known, bundle, stored, known.budget)
        usual = float(np.median(_margins(known, bundle, calls_of(known, gathered))))
        wanted = [limit + TOWARDS_CALLS * (usual - limit)]
        if len(gathered.unlabelled) >= ENOUGH:
            heard = _margins(known, bundle, middle(gathered.unlabelled, bundle.n_frames))
            out = float(heard.mean() + OUTSTANDING * heard.std())
            wanted.append(min(out, limit + AT_MOST_TOWARDS_CALLS * (usual - limit)))
    else:
        wanted = [_rare_enough(known, bundle, stored, gathered, rarer), _limit_of_rearranged(known, bundle)]
    told = gathered.negatives[HELD_BACK - 1 :: HELD_BACK]
    if len(told) >= ENOUGH_HEARD:
        found = _margins(known, bundle, middle(told, bundle.n_frames))
        wanted.append(threshold_for(found, known.budget))
    return max(wanted)


def _rare_enough(known: Known, bundle: Bundle, stored: Tensor, gathered: Gathered, rarer: float) -> float:
    """Gives the margin that as few stored negatives reach as may, or one that is as far from them as now.

    How far out one word in thousands is, few hundred cannot tell. What is guessed of that brings a threshold
    no nearer to the calls than it is: as far from the margin at which the budget is kept to the usual clip.
    Pseudo-positives are left out there, for a row that was fitted to some lifts others like them.
    """
    limit = _limit(known, bundle, stored, _allowed(known, stored, gathered.room, rarer))
    calls = _clips(known, gathered.room)

    def reach(of: Bundle) -> tuple[float, float]:
        kept = _limit(known, of, stored, known.budget)
        return kept, float(np.median(_margins(known, of, calls))) - kept

    (now, way), (kept, new_way) = reach(known.current), reach(bundle)
    if known.threshold < now or way <= 0:
        return limit
    return max(kept, min(limit, kept + (known.threshold - now) / way * new_way))


def _limit_of_rearranged(known: Known, bundle: Bundle) -> float:
    """Gives the margin that as many rearranged clips reach as reach the threshold now, or half that may.

    How a few clips are cut into pieces is drawn, and with it how far out the outermost lie. An update draws
    anew, so a share that is the same for all would move the threshold of a model that stays as it is.
    """
    may = share_of_rearranged(known.budget, is_known=known.is_trained)
    if may >= 1:
        return -np.inf
    mixed = held_out(known, "rearranged", known.mixed[1::2], None, bundle.n_frames)
    now = share_above(_peaks(known, known.current, mixed), known.threshold)
    return threshold_for(_peaks(known, bundle, mixed), max(now, FEWER_REARRANGED * may))


def _allowed(known: Known, stored: Tensor, room: Tensor | None, rarer: float) -> float:
    """Gives the share of stored negatives that may pass: as many as now, not fewer than are rare anyway.

    An update is for hearing more calls, not for spending what is left of the budget. Hardly any word
    passes in a loud room, calls neither: there as many may as do in quiet.
    """
    found = _peaks(known, known.current, stored)
    is_loud = room is not None and matters(room, known.replay)
    places = np.split(found, 2) if is_loud else [found]
    now = max(share_above(margins, known.threshold) for margins in places)
    return min(known.budget, max(now, known.budget / rarer))


def calls_of(known: Known, gathered: Gathered) -> Tensor:
    """Gives features of the person's calls that no update learns from.

    Args:
        known: the person.
        gathered: from the stream.

    Returns:
        [P, F, T]: enrolled clips mildly varied, as they are and in the room, and held-back pseudo-positives.
    """
    calls = _clips(known, gathered.room)
    held = gathered.positives[HELD_BACK - 1 :: HELD_BACK]
    return torch.cat([calls, middle(held, known.current.n_frames)]) if len(held) else calls


def _clips(known: Known, room: Tensor | None) -> Tensor:
    """Gives the enrolled clips mildly varied, as they are and in the room."""

    def varied() -> Tensor:
        draw = torch_generator(known.seed, "canary")
        replay = known.replay
        if room is not None:
            replay = torch.cat([replay, in_room(replay.repeat(3, 1, 1), room, draw)])
        return augment(replay, None, known.current.n_frames, MILD, draw)

    return known.once("canary calls", room, varied)


def held_out(known: Known, name: str, power: Tensor, room: Tensor | None, n_frames: int) -> Tensor:
    """Gives features at several places of the window, as they are and in the room.

    Args:
        known: the person; remembers them.
        name: of what they are for.
        power: [N, F, T'] mel power.
        room: stretches of it; None for none.
        n_frames: T.

    Returns:
        [P N, F, T], see `enrolment_material.passing`.
    """

    def make() -> Tensor:
        both = power
        if room is not None:
            both = torch.cat([power, in_room(power, room, torch_generator(known.seed, "room", name))])
        return passing(middle(both, n_frames))

    return known.once(name, room, make)


def _limit(known: Known, bundle: Bundle, features: Tensor, budget: float) -> float:
    return threshold_for(_peaks(known, bundle, features), budget)


def _peaks(known: Known, bundle: Bundle, features: Tensor) -> NDArray[np.float64]:
    """Gives the highest margin of each word on its way through the window, with the voice if that counts."""
    found = peaks(bundle, known.keyword, known.embedded(bundle, features))
    if known.only and known.voice is not None:
        centred = features[2 * len(found) : 3 * len(found)]
        found = fused(found, (voice_of(bundle.network, centred) @ known.voice).double().numpy())
    return found


def _margins(known: Known, bundle: Bundle, features: Tensor) -> NDArray[np.float64]:
    found = margins_of(bundle, known.keyword, features)
    if known.only and known.voice is not None:
        found = fused(found, (voice_of(bundle.network, features) @ known.voice).double().numpy())
    return found
