"""What a person's voice sounds like in a room, and what few strangers reach there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kwsctl.features.augmentation import middle
from kwsctl.learning.adapters._enrolment import direction
from kwsctl.learning.enrolment_material import voice_of
from kwsctl.learning.known import Known
from kwsctl.learning.surroundings import in_room
from kwsctl.seeding import torch_generator

USUAL_OWN = 0.85  # cosine of a person's clips to their voice, where one clip cannot tell


def voices(known: Known, room: Tensor | None) -> tuple[Tensor | None, float, float]:
    """Gives the person's voice as it sounds in the room, and what it and few strangers reach there.

    Only enrolled clips make it: what is learned from a stream never changes whom it listens to.

    Args:
        known: the person.
        room: stretches of it.

    Returns:
        Direction [S], the mean cosine of the clips to it, each left out in turn, and the cosine that one in
        twenty strangers reaches; None, 1 and 0 where the model tells no voices apart.
    """
    network = known.current.network
    if known.voice is None or not hasattr(network, "both"):
        return None, 1.0, 0.0
    clips, others = known.replay, known.others[::2]
    if room is not None:
        draw = torch_generator(known.seed, "voice in the room")
        clips, others = in_room(clips.repeat(2, 1, 1), room, draw), in_room(others, room, draw)
    n_frames = known.current.n_frames
    mine = voice_of(network, middle(clips, n_frames))
    template = direction(torch.cat([mine, known.voice[None]]))
    n_clips = len(known.replay)
    left_out = [
        float(
            mine[i]
            @ direction(torch.cat([mine[[j for j in range(len(mine)) if j % n_clips != i % n_clips]]]))
        )
        for i in range(len(mine))
        if n_clips > 1
    ]
    own = float(np.mean(left_out)) if left_out else USUAL_OWN
    strangers = (voice_of(network, middle(others, n_frames)) @ template).numpy()
    return template, own, float(np.quantile(strangers, 0.95))
