"""Teaches a network a room without any label: words there are to come out as they do in quiet.

Teacher and student hear the same words, the student in the noise of the room (parallel data, Li et al. 2017,
"Large-scale domain adaptation via teacher-student learning", arXiv 1708.05466). The teacher is the
global model, so that what it knows of other words is what is learned, and not forgotten.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.features.logmel import compress
from kwsctl.learning.known import Known
from kwsctl.learning.loop import Batch, Judged, fit
from kwsctl.learning.room_words import Says, away, change_of, others_of, pairs
from kwsctl.learning.schedule import warmup_cosine
from kwsctl.seeding import torch_generator

STEPS, BATCH, OWN = 100, 24, 8
STEPS_AT_ONCE = 5  # that the teacher is asked for: larger batches take less time for each word
LEARNING_RATE = 2e-3


def learn(known: Known, room: Tensor) -> Delta:
    """Tunes the trunk of a person's model to a room.

    Args:
        known: the person; what is heard are their clips and half of the stored negatives.
        room: [M, F, C] mel power of stretches of it.

    Returns:
        The change of the trunk, in thin matrices.
    """
    network = copy.deepcopy(known.current.network)
    free = [part for name, part in network.named_parameters() if not name.startswith("head.")]
    for part in free:
        part.requires_grad_(True)
    fit(
        Says(network),
        lambda _epoch: _batches(known, room),
        _judged,
        torch.optim.AdamW(free, lr=LEARNING_RATE, weight_decay=0.0),
        epochs=1,
        steps_per_epoch=STEPS,
        learning_rate=warmup_cosine(LEARNING_RATE, STEPS // 10, STEPS),
    )
    return change_of(known, network)


def _batches(known: Known, room: Tensor) -> Iterator[Batch]:
    """Gives words in the room, and what the global model says of them in quiet."""
    teacher = Says(known.base.network).eval()
    draw = torch_generator(known.seed, "room tuning")
    n_others = len(others_of(known))
    for _ in range(STEPS // STEPS_AT_ONCE):
        steps = []
        for _ in range(STEPS_AT_ONCE):
            rows = torch.randint(n_others, (BATCH - OWN,), generator=draw)
            steps.append((rows, *pairs(known, room, OWN, rows, draw)))
        with torch.no_grad():
            said = teacher(compress(torch.cat([quiet for _, quiet, _ in steps])))
        for (rows, _, heard), wanted in zip(steps, said.split(BATCH), strict=True):
            yield Batch(compress(heard), wanted, rows)


def _judged(output: Tensor, batch: Batch) -> Judged:
    return Judged(away(output, batch.target).mean(), 0.0)
