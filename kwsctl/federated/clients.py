"""Who takes part: the clips of each client, which of them are labelled, and when it joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl import registry
from kwsctl.errors import InputError
from kwsctl.options import from_mapping
from kwsctl.seeding import numpy_generator

PARTITIONS = "kwsctl.federated.partitions"


@dataclass(frozen=True, eq=False)
class Client:
    """One device.

    Attributes:
        name: the speaker, or a number.
        rows: [N] its clips, rows of the corpus.
        labelled: [N] of which of them it knows the label.
        joins: the first round in which it can be asked.
        attacks: whether it lies.
        kept_back: clips that it never learns from, to measure what the model is worth to itself.
    """

    name: str
    rows: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    joins: int = 0
    attacks: bool = False
    kept_back: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Population:
    """Who takes part, and how they differ.

    Attributes:
        partition: file in `federated/partitions/`.
        partition_options: of that file.
        labelled_share: of a client's clips; at least one clip is labelled.
        late_share: of the clients that join later.
        late_rounds: by when the last of them has joined.
        attackers: share of the clients that lie, rounded.
        kept_back: share of a client's clips that it never learns from, to measure personal layers with.
    """

    partition: str = "speaker"
    partition_options: Mapping[str, Any] | None = None
    labelled_share: float = 1.0
    late_share: float = 0.0
    late_rounds: int = 10
    attackers: float = 0.0
    kept_back: float = 0.0


def populate(
    target: NDArray[np.int64], speakers: Sequence[str | None], how: Population, seed: int
) -> tuple[Client, ...]:
    """Makes the clients of a corpus.

    Args:
        target: [N] label indices of the clips.
        speakers: [N] who speaks; None where not known.
        how: who takes part.
        seed: of everything random.

    Returns:
        The clients that have clips, by name.

    Raises:
        InputError: a share outside 0 to 1, or fewer than two clients.
        ExtensionError: no such partition.
    """
    for name in ("labelled_share", "late_share", "attackers", "kept_back"):
        if not 0 <= getattr(how, name) <= 1:
            raise InputError(f"{name} = {getattr(how, name):g} is no share.", "Use 0 to 1.")
    if how.partition == "speaker" and all(name is None for name in speakers):
        raise InputError("No clip names its speaker.", "Use --set partition=iid, or a speaker column.")
    file = registry.load(PARTITIONS, how.partition)
    options = from_mapping(file.Options, how.partition_options or {})
    parts = file.assign(target, speakers, options, numpy_generator(seed, "partition"))
    names = sorted(name for name, rows in parts.items() if len(rows))
    if len(names) < 2:
        raise InputError(f"There is {len(names)} client.", "A federation needs at least two.")
    draw = numpy_generator(seed, "population")
    late = draw.random(len(names)) < how.late_share
    first = np.where(late, draw.integers(1, max(2, how.late_rounds + 1), len(names)), 0)
    liars = set(draw.permutation(len(names))[: round(how.attackers * len(names))].tolist())
    who = []
    for n, name in enumerate(names):
        who.append(device(name, parts[name], how, seed, joins=int(first[n]), attacks=n in liars))
    return tuple(who)


def device(
    name: str,
    rows: NDArray[np.int64],
    how: Population,
    seed: int,
    *,
    joins: int = 0,
    attacks: bool = False,
) -> Client:
    """Makes one client of its clips.

    Args:
        name: the speaker, or a number.
        rows: [N] its clips, rows of the corpus.
        how: which of them are labelled, and which it keeps back.
        seed: of everything random.
        joins: the first round in which it can be asked.
        attacks: whether it lies.

    Returns:
        The client.
    """
    learned, kept_back = _split(rows, how.kept_back, name, seed)
    return Client(name, learned, _labelled(len(learned), how, name, seed), joins, attacks, kept_back)


def _split(
    rows: NDArray[np.int64], share: float, name: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parts the clips of a client into those it learns from, at least one, and those it keeps back."""
    count = min(len(rows) - 1, round(share * len(rows)))
    order = numpy_generator(seed, "kept back", name).permutation(len(rows))
    return np.sort(rows[order[count:]]), np.sort(rows[order[:count]])


def _labelled(count: int, how: Population, name: str, seed: int) -> NDArray[np.bool_]:
    chosen = numpy_generator(seed, "labelled", name).permutation(count)
    labelled = np.zeros(count, dtype=np.bool_)
    labelled[chosen[: max(1, round(how.labelled_share * count))]] = True
    return labelled
