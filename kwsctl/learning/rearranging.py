"""Makes negatives out of a person's own clips: the same voice, room and sounds, but not the word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kwsctl.learning.piece_orders import piece_orders
from kwsctl.types import POWER_FLOOR


def rearranged(
    power: Sequence[Tensor],
    speech: Sequence[tuple[int, int]],
    n_frames: int,
    count: int,
    draw: np.random.Generator,
) -> Tensor:
    """Cuts the speech of clips into pieces and puts them together in another order.

    Thresholds are set with it where nobody else has recorded the keyword (Kim et al. 2019, arXiv 1910.05171,
    section 3.2).

    Args:
        power: [F, T'] mel power of each clip.
        speech: first frame of the speech in each, and the one after its last.
        n_frames: T of the result.
        count: N.
        draw: draws cuts and orders.

    Returns:
        [N, F, T] mel power with the speech in the middle.
    """
    loudness_db = [10 * torch.log10(clip.sum(0) + POWER_FLOOR).numpy() for clip in power]
    made: list[Tensor] = []
    for which, spans in piece_orders(loudness_db, speech, count, draw):
        mixed = torch.cat([power[which][:, a:b] for a, b in spans], 1)
        start = (mixed.shape[1] - n_frames) // 2
        made.append(mixed[:, start : start + n_frames])
    return torch.stack(made)
