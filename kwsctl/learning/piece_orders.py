"""Draws how clips are cut into pieces and in which order they follow: of a word, what is not the word.

Numpy only, because a package enrols by it where there is no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

PIECES = (3, 4, 5)
SHORTEST_FRAMES = 5
LOUD_DB = 15.0  # below the loudest piece; quieter ones are closures and breath
MOST_TRIES = 50
REARRANGED = 60  # that many judge an enrolment

Spans = list[tuple[int, int]]


def piece_orders(
    loudness_db: Sequence[NDArray[np.floating]],
    speech: Sequence[tuple[int, int]],
    count: int,
    draw: np.random.Generator,
) -> Iterator[tuple[int, Spans]]:
    """Draws cuts and orders in which the loud pieces of a clip follow another way than in the word.

    After Kim et al. 2019, arXiv 1910.05171, section 3.2, who take any other order. A word in which only a
    quiet piece moved is often still the word, and a threshold above it would be above the word.

    Args:
        loudness_db: [T'] level of each clip, frame by frame.
        speech: first frame of the speech in each, and the one after its last.
        count: how many.
        draw: draws clips, cuts and orders.

    Yields:
        Which clip, and the spans of its frames in their new order, all frames among them. If none of many
        drawn moves a loud piece (a word of one vowel), the last one that moves any.
    """
    for _ in range(count):
        for _ in range(MOST_TRIES):
            which = int(draw.integers(len(speech)))
            first, last = speech[which]
            n_frames = len(loudness_db[which])
            n_pieces = min(int(draw.choice(PIECES)), (last - first) // SHORTEST_FRAMES)
            if n_pieces < 2:  # one piece has no other order
                n_pieces, first, last = 2, 0, n_frames
            cuts = _cuts(first, last, n_pieces, draw)
            order = draw.permutation(n_pieces)
            if (np.diff(order) == 1).all():
                order = order[::-1]
            peaks = np.array([loudness_db[which][a:b].max() for a, b in cuts])
            loud = [i for i in order if peaks[i] > peaks.max() - LOUD_DB]
            if loud != sorted(loud):
                break
        yield which, [(0, first), *(cuts[i] for i in order), (last, n_frames)]


def _cuts(first: int, last: int, n_pieces: int, draw: np.random.Generator) -> Spans:
    """Cuts a stretch into pieces of about one length."""
    sway = (last - first) / n_pieces / 4
    inner = np.linspace(first, last, n_pieces + 1)[1:-1] + draw.uniform(-sway, sway, n_pieces - 1)
    ends = [first, *inner.round().astype(int).tolist(), last]
    return list(itertools.pairwise(ends))
