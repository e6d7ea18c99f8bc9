"""Who is whose neighbour: a random regular graph, so that a client's work does not grow with the crowd."""

from __future__ import annotations

import numpy as np

from kwsctl.errors import InputError


def neighbours(names: list[str], degree: int, draw: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """Connects clients in a Harary graph over a random order (Bell et al. 2020, section 3).

    Args:
        names: at least three.
        degree: k, made even; all others if there are no more than k.
        draw: of the order.

    Returns:
        The neighbours of each client, sorted.

    Raises:
        InputError: fewer than three clients: the sum of two tells each what the other sent.
    """
    count = len(names)
    if count < 3:
        raise InputError(
            f"{count} clients cannot hide in their sum.",
            "Secure aggregation needs at least three in a round.",
        )
    if count - 1 <= degree:
        return {name: tuple(sorted(set(names) - {name})) for name in names}
    order = [names[i] for i in draw.permutation(count)]
    reach = max(1, degree // 2)
    found = {}
    for i, name in enumerate(order):
        near = {order[(i + step) % count] for step in range(-reach, reach + 1) if step}
        found[name] = tuple(sorted(near))
    return found
