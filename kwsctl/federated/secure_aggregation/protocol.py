"""One round of secure aggregation, with every message that would travel, and the server that sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from kwsctl.errors import InputError
from kwsctl.federated.secure_aggregation import shamir
from kwsctl.federated.secure_aggregation.client import PublicKeys, SecureClient
from kwsctl.federated.secure_aggregation.graph import neighbours
from kwsctl.federated.secure_aggregation.masks import Words, agreed_key, mask


@dataclass(frozen=True, eq=False)
class SecureSum:
    """What the server has at the end.

    Attributes:
        total: [P] sum of the words of those who answered, modulo 2**32.
        survivors: who is in it.
        masked: [P] what the server saw of each.
        bytes_up: sent by all clients.
        bytes_down: sent to all clients.
    """

    total: Words
    survivors: tuple[str, ...]
    masked: Mapping[str, Words] = field(repr=False)
    bytes_up: int = 0
    bytes_down: int = 0


def secure_sum(
    words: Mapping[str, Words],
    *,
    session: bytes,
    draw: np.random.Generator,
    degree: int = 12,
    threshold: float = 0.6,
    silent: Collection[str] = (),
    gone: Collection[str] = (),
) -> SecureSum:
    """Adds up the words of many clients, of which some may drop out.

    Args:
        words: [P] of each client.
        session: names the round; never the same twice.
        draw: of the graph.
        degree: neighbours of a client.
        threshold: share of the neighbours that is needed to take a mask away.
        silent: who drops out after sharing secrets, before sending words.
        gone: who drops out after sending words, before unmasking.

    Returns:
        The sum over all that sent words.

    Raises:
        InputError: fewer than three clients, or too few left to unmask.
    """
    names = sorted(words)
    near = neighbours(names, degree, draw)
    points = {name: n + 1 for n, name in enumerate(names)}
    needed = {name: max(2, int(np.ceil(threshold * len(near[name])))) for name in names}
    clients = {name: SecureClient(name, points[name], session) for name in names}
    keys = {name: client.advertise() for name, client in clients.items()}
    boxes: dict[str, dict[str, bytes]] = {name: {} for name in names}
    up = 64 * len(names)
    down = sum(64 * len(near[name]) for name in names)
    for name, client in clients.items():
        sealed = client.share({other: (points[other], keys[other]) for other in near[name]}, needed[name])
        up += sum(map(len, sealed.values()))
        for other, message in sealed.items():
            boxes[other][name] = message
    for name, client in clients.items():
        down += sum(map(len, boxes[name].values()))
        client.receive(boxes[name])
    masked = {name: client.masked(words[name]) for name, client in clients.items() if name not in silent}
    if len(masked) < 3:
        raise InputError(f"Only {len(masked)} clients sent words.", "The round is lost; ask more clients.")
    up += sum(4 * len(sent) for sent in masked.values())
    answers = {name: clients[name].unmask(tuple(masked)) for name in masked if name not in gone}
    up += sum(shamir.SHARE_BYTES * len(answer) for answer in answers.values())
    down += sum(len(name) for name in masked) * len(masked)
    total = _unmasked(masked, answers, near, points, needed, keys, session)
    return SecureSum(total, tuple(sorted(masked)), masked, up, down)


def _unmasked(
    masked: Mapping[str, Words],
    answers: Mapping[str, Mapping[str, bytes]],
    near: Mapping[str, tuple[str, ...]],
    points: Mapping[str, int],
    needed: Mapping[str, int],
    keys: Mapping[str, PublicKeys],
    session: bytes,
) -> Words:
    """Takes all masks off the sum: what the server does in the last round."""
    length = len(next(iter(masked.values())))
    total = np.zeros(length, dtype=np.uint32)
    for sent in masked.values():
        total = total + sent
    for name in near:
        shares = {points[other]: answers[other][name] for other in near[name] if other in answers}
        if len(shares) < needed[name]:
            raise InputError(
                f"{len(shares)} of {len(near[name])} neighbours of {name} are left, {needed[name]} "
                f"are needed.",
                "Too many dropped out; the sum stays hidden. Use a lower secure.threshold.",
            )
        secret = shamir.combine(shares, needed[name])
        if name in masked:
            total = total - mask(secret, length)
            continue
        for other in near[name]:  # the masks that survivors share with the one that dropped out
            if other in masked:
                pair = mask(agreed_key(secret, keys[other].masking, "mask", session), length)
                total = total - pair if other < name else total + pair
    return total
