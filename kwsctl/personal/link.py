"""One link of a profile as a file: what one enrolment or adaptation changed, and the state after it.

A safetensors file like a bundle: its metadata has exactly one key, `kwsctl`, with versioned JSON. That holds
a digest of everything, because in a file that is not sealed a flipped bit would otherwise go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.errors import ProfileError

FORMAT = 1


@dataclass(frozen=True)
class Link:
    """One step in the life of a profile.

    Attributes:
        user: whose it is.
        number: its place in the chain, from 1.
        saved: ISO time.
        state: all that the profile says after this step, as JSON-able values; a tensor is named by the number
            of the link that holds it and its name there.
        deltas: what this step added to the model.
        tensors: those of the state that no earlier link holds.
    """

    user: str
    number: int
    saved: str
    state: Mapping[str, Any]
    deltas: tuple[Delta, ...] = field(default=(), repr=False)
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)


def to_bytes(link: Link) -> bytes:
    """Serializes a link.

    Args:
        link: what to write.

    Returns:
        The bytes of the file, not sealed.
    """
    tensors = {f"state/{name}": tensor for name, tensor in link.tensors.items()}
    for place, delta in enumerate(link.deltas):
        tensors |= {f"delta/{place}/{name}": change for name, change in delta.changes.items()}
    # Copies, because safetensors refuses tensors that share memory.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {
        "format": FORMAT,
        "kind": "link",
        "user": link.user,
        "number": link.number,
        "saved": link.saved,
        "state": dict(link.state),
        "deltas": [_described(delta) for delta in link.deltas],
    }
    header["sha256"] = _digest(header, *_parsed(safetensors.torch.save(owned)))
    return safetensors.torch.save(owned, {"kwsctl": _json(header)})


def from_bytes(content: bytes, what: str) -> Link:
    """Reads a link.

    Args:
        content: what `to_bytes` returned.
        what: how messages name it.

    Returns:
        The link.

    Raises:
        ProfileError: damaged, not a link, or from a newer version.
    """
    try:
        table, data = _parsed(content)
        header = json.loads(table.pop("__metadata__")["kwsctl"])
        version, kind = int(header["format"]), header["kind"]
        if version <= FORMAT and kind == "link":
            if header.pop("sha256") != _digest(header, table, data):
                raise ValueError("its content does not match its digest")
            return _link(header, safetensors.torch.load(content))
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f"{what} is damaged: {error}.",
            "Restore it from a backup, or drop the newest link with `kwsctl users undo`.",
        ) from None
    if version > FORMAT:
        raise ProfileError(
            f"{what} has format {version}, this kwsctl reads up to {FORMAT}.", "Upgrade kwsctl."
        )
    raise ProfileError(f"{what} holds a {kind}, not a link of a profile.", "Restore it from a backup.")


def _described(delta: Delta) -> dict[str, Any]:
    return {
        "base_sha256": delta.base_sha256,
        "added_labels": list(delta.added_labels),
        "n_clips": delta.n_clips,
        "made_by": dict(delta.made_by),
    }


def _link(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Link:
    deltas = []
    for place, described in enumerate(header["deltas"]):
        changes = _below(f"delta/{place}/", tensors)
        labels = tuple(described["added_labels"])
        made_by, n_clips = described["made_by"], int(described["n_clips"])
        deltas.append(Delta(described["base_sha256"], changes, labels, n_clips, made_by))
    state, stored = header["state"], _below("state/", tensors)
    return Link(header["user"], int(header["number"]), header["saved"], state, tuple(deltas), stored)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _parsed(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Splits a safetensors file into its table of contents and the numbers."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _digest(header: Mapping[str, Any], table: Mapping[str, Any], data: bytes) -> str:
    return hashlib.sha256(_json([header, table]).encode("utf-8") + data).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
