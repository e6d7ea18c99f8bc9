"""Makes negatives out of a person's own clips: the same voice, room and sounds, but not the word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PIECES = (3, 4, 5)
SHORTEST_FRAMES = 5


def rearranged(
    power: Sequence[Tensor],
    speech: Sequence[tuple[int, int]],
    n_frames: int,
    count: int,
    draw: np.random.Generator,
) -> Tensor:
    """Cuts the speech of clips into pieces and puts them together in another order.

    After Kim et al. 2019, arXiv 1910.05171, section 3.2, who set thresholds with it where nobody else has
    recorded the keyword.

    Args:
        power: [F, T'] mel power of each clip.
        speech: first frame of the speech in each, and the one after its last.
        n_frames: T of the result.
        count: N.
        draw: draws cuts and orders.

    Returns:
        [N, F, T] mel power with the speech in the middle.
    """
    made: list[Tensor] = []
    while len(made) < count:
        which = int(draw.integers(len(power)))
        first, last = speech[which]
        whole = power[which]
        n_pieces = min(int(draw.choice(PIECES)), (last - first) // SHORTEST_FRAMES)
        if n_pieces < 2:  # one piece has no other order
            n_pieces, first, last = 2, 0, whole.shape[1]
        even = np.linspace(first, last, n_pieces + 1)
        sway = (last - first) / n_pieces / 4
        cuts = [first, *(round(c + draw.uniform(-sway, sway)) for c in even[1:-1]), last]
        order = draw.permutation(n_pieces)
        if (np.diff(order) == 1).all():
            order = order[::-1]
        pieces = [whole[:, cuts[i] : cuts[i + 1]] for i in order]
        shuffled = torch.cat([whole[:, :first], *pieces, whole[:, last:]], 1)
        start = (shuffled.shape[1] - n_frames) // 2
        made.append(shuffled[:, start : start + n_frames])
    return torch.stack(made)
