"""What travels: arrays and bytes in Flower's records, never a pickled object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.errors import InputError
from kwsctl.federated.flower.device import Kept, Order, Told
from kwsctl.federated.reception import Arrival

WEIGHTS, ROUND, TOLD, PUBLIC, OWN, LOST = "weights", "round", "told", "public", "own", "lost"


def order_arrays(order: Order) -> list[NDArray[np.generic]]:
    """Gives what an order holds as arrays: all weights, or what was missed, then the control variate."""
    if order.whole is not None:
        parts: list[NDArray[np.generic]] = [order.whole.numpy()]
    else:
        parts = [np.frombuffer(payload, np.uint8) for payload in order.missed]
    return [*parts, order.control.numpy()]


def order_from(arrays: Sequence[NDArray[np.generic]], number: int, known: int) -> Order:
    """Reads an order; `known` is -1 where all weights were sent."""
    *parts, control = arrays
    if known < 0:
        return Order(number, _floats(parts[0]), control=_floats(control))
    return Order(number, None, [part.tobytes() for part in parts], known, _floats(control))


def packed_order(order: Order) -> RecordDict:
    """Puts an order into records."""
    return RecordDict(
        {
            WEIGHTS: ArrayRecord(order_arrays(order)),
            ROUND: ConfigRecord({"number": order.number, "known": order.known}),
        }
    )


def unpacked_order(content: RecordDict) -> Order:
    """Takes an order out of records."""
    facts = content.config_records[ROUND]
    arrays = content.array_records[WEIGHTS].to_numpy_ndarrays()
    return order_from(arrays, int(facts["number"]), int(facts["known"]))


def packed_told(told: Told | None) -> RecordDict:
    """Puts what leaves a device into records; a device that has lost its weights says only that."""
    if told is None:
        return RecordDict({TOLD: ConfigRecord({LOST: True})})
    arrays = [np.frombuffer(told.payload, np.uint8), told.control.numpy()]
    facts = ConfigRecord({"base": told.base_sha256, "clips": told.n_clips, "steps": told.steps})
    return RecordDict({"payload": ArrayRecord(arrays), TOLD: facts})


def unpacked_told(content: RecordDict, client: str, shared: int) -> tuple[Arrival, Tensor]:
    """Takes what a device told out of records.

    Args:
        content: of a reply.
        client: by the name that the server gave it.
        shared: P.

    Returns:
        What arrived, and by how much its control variate moved, [P] or empty.

    Raises:
        InputError: a reply that is not one.
    """
    try:
        facts = content.config_records[TOLD]
        if LOST in facts:
            raise InputError("has lost the weights of earlier rounds, and gets all of them next time")
        payload, control = content.array_records["payload"].to_numpy_ndarrays()
        arrival = Arrival(
            client, payload.tobytes(), str(facts["base"]), int(facts["clips"]), int(facts["steps"])
        )
        moved = _floats(control)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"sends something else than a change: {type(error).__name__} {error}") from None
    if len(moved) not in (0, shared) or not bool(torch.isfinite(moved).all()):
        raise InputError("sends a control variate of another shape, or one that is not finite")
    return arrival, moved


def remembered(state: RecordDict) -> Kept:
    """Takes what a device keeps out of the state of its Flower context."""
    if PUBLIC not in state.array_records:
        return Kept()
    (public,) = state.array_records[PUBLIC].to_numpy_ndarrays()
    own = {
        name: _floats(array.numpy()) for name, array in state.array_records.get(OWN, ArrayRecord()).items()
    }
    return Kept(int(state.config_records[ROUND]["number"]), _floats(public), own)


def remember(state: RecordDict, kept: Kept) -> None:
    """Puts what a device keeps into the state of its Flower context, which does not leave it."""
    state[PUBLIC] = ArrayRecord([kept.public.numpy()])
    state[OWN] = ArrayRecord({name: Array(tensor.numpy()) for name, tensor in kept.own.items()})
    state[ROUND] = ConfigRecord({"number": kept.number})


def size_of(content: RecordDict) -> int:
    """Counts the bytes of arrays, and of what secure aggregation sends; headers are not counted."""
    arrays = sum(len(array.data) for record in content.array_records.values() for array in record.values())
    other = 0
    for record in content.config_records.values():
        for value in record.values():
            for part in value if isinstance(value, list) else [value]:
                other += len(part) if isinstance(part, bytes) else 0
    return arrays + other


def _floats(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32).reshape(-1))
