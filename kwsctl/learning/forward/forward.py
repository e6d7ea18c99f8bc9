"""All that can be done by inference alone: statistics, search, then the row; each is kept if it helps."""

from __future__ import annotations

import dataclasses

from kwsctl.bundle import Bundle, Delta
from kwsctl.learning.adapters import head
from kwsctl.learning.adapters._enrolment import Enrolment
from kwsctl.learning.forward import prototypes, search, statistics
from kwsctl.learning.forward._change import calls_of, joined, loss_of
from kwsctl.learning.updating import Material

BETTER = 0.98
"""Share of the loss that must be left for a step that touches the trunk to be kept."""


def adapt(material: Material) -> Delta | None:
    """Tries the steps one after the other, every fourth call and other word held out to judge them.

    The row is fitted in closed form on embeddings, or moved to the prototype, whichever is better. A trunk
    that has learned the room by regression is left as it is: statistics and search are most of the work, and
    look for what it has found.

    Args:
        material: what the stream gave.

    Returns:
        All changes together; None if nothing helps.
    """
    learn = _part(material, held_out=False)
    trunks: list[Bundle] = [material.task.base]
    for step in () if material.known.tuned else (statistics.adapt, search.adapt):
        on = dataclasses.replace(learn, task=_on(learn.task, trunks[-1]))
        delta = step(on)
        if delta is not None:
            trunks.append(trunks[-1].with_delta(delta))
    best, least = material.task.base, _loss(material, material.task.base)
    for number, trunk in enumerate(trunks):
        on = dataclasses.replace(learn, task=_on(learn.task, trunk))
        for row in (head.learn(on.task), prototypes.adapt(on)):
            if row is None:
                continue
            bundle = trunk.with_delta(row)
            loss = _loss(material, bundle)
            if loss < least * (BETTER if number else 1.0):
                best, least = bundle, loss
    return None if best is material.task.base else joined(material.task, best, "forward")


def _on(task: Enrolment, trunk: Bundle) -> Enrolment:
    return task if trunk is task.base else dataclasses.replace(task, base=trunk)


def _part(material: Material, *, held_out: bool) -> Material:
    """Gives every fourth call and other word, or all but those; the enrolled clips are in either."""
    task, replayed = material.task, len(material.known.replay)
    calls = [i for i in range(len(task.power)) if i < replayed or (i % 4 == 3) == held_out]
    others = [i for i in range(len(task.negatives)) if (i % 4 == 3) == held_out]
    less = dataclasses.replace(task, power=task.power[calls], negatives=task.negatives[others])
    return dataclasses.replace(material, task=less.knowing(task.negative_embeddings[others]))


def _loss(material: Material, bundle: Bundle) -> float:
    part = _part(material, held_out=True).task
    own = dataclasses.replace(part, base=bundle)
    return loss_of(own, own.network, calls_of(own), own.negatives, part.negative_embeddings)
