"""Segments that a person is asked about: kept with their audio until they are answered, and no longer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.errors import ProfileError
from kwsctl.personal import chain, encryption, folder, ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.storage import write_bytes

PLACE, SUFFIX = "asked", ".ask"
ASKED = "asked-"
"""How the names of segments begin in a profile that a person told about."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A segment that the votes did not agree on.

    Attributes:
        digest: names the segment.
        keyword: what it might be.
        facts: where it was heard and what the votes said, as JSON-able values.
        power: [F, T'] features as a profile keeps them.
        audio: [S] 16-bit samples, to be listened to.
        rate_hz: their rate.
    """

    digest: str
    keyword: str
    facts: Mapping[str, Any]
    power: Tensor = field(repr=False)
    audio: NDArray[np.int16] = field(repr=False)
    rate_hz: int = 16_000

    @property
    def samples(self) -> NDArray[np.float32]:
        """[S] in [-1, 1]."""
        return self.audio.astype(np.float32) / np.float32(32768)


def ask(home: Path, user: str, one: Asked, key: Key | None = None) -> Path:
    """Puts a segment into the queue.

    Args:
        home: the home folder.
        user: who is to be asked.
        one: the segment.
        key: seals it, unless None.

    Returns:
        The file.

    Raises:
        InputError: there is no such user.
    """
    place = folder.existing(home, user)
    header = {"digest": one.digest, "keyword": one.keyword, "facts": dict(one.facts), "rate_hz": one.rate_hz}
    tensors = {"power": one.power.contiguous(), "audio": torch.from_numpy(one.audio.copy())}
    content = safetensors.torch.save(tensors, {"kwsctl": json.dumps(header, sort_keys=True)})
    path = place / PLACE / f"{one.digest}{SUFFIX}"
    write_bytes(path, content if key is None else encryption.seal(content, key, folder.salt(place)))
    return path


def queue(home: Path, user: str, key: Key | None = None) -> tuple[Asked, ...]:
    """Reads what a person is to be asked about.

    Args:
        home: the home folder.
        user: the name.
        key: opens it if it is sealed.

    Returns:
        The segments, by name.

    Raises:
        InputError: there is no such user.
        ProfileError: one is encrypted without a key, or damaged.
    """
    place = folder.existing(home, user)
    return tuple(_read(path, key) for path in sorted((place / PLACE).glob(f"*{SUFFIX}")))


def answer(home: Path, user: str, one: Asked, is_call: bool, key: Key | None = None) -> None:
    """Takes an answer: the next adaptation learns from it. The audio is removed.

    Args:
        home: the home folder.
        user: the name.
        one: from the queue.
        is_call: whether it is the person's call.
        key: opens and seals the profile if it is encrypted.

    Raises:
        InputError: there is no such user.
        ProfileError: encrypted without a key, or changed meanwhile.
    """
    person = profile.load(home, user, key)
    side = "positive" if is_call else "negative"
    if one.digest not in person.digests:
        told = dataclasses.replace(
            person,
            heard={**person.heard, f"{one.keyword}/{side}/{ASKED}{one.digest}": one.power[None]},
            digests=(*person.digests, one.digest),
        )
        profile.save(home, told, key)
    facts = {**one.facts, "keyword": one.keyword, "segment": one.digest, "decision": side}
    ledger.append(home, user, "review", facts, key)
    drop(home, user, one)


def drop(home: Path, user: str, one: Asked) -> None:
    """Removes a segment from the queue, with its audio."""
    (folder.existing(home, user) / PLACE / f"{one.digest}{SUFFIX}").unlink(missing_ok=True)


def _read(path: Path, key: Key | None) -> Asked:
    # A segment lies one folder deeper than a link.
    content = path.read_bytes()
    if encryption.is_sealed(content):
        if key is None:
            raise folder.locked_out(path.parent.parent.name)
        content = chain.opened(path, key)
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["kwsctl"])
        tensors = safetensors.torch.load(content)
        return Asked(
            header["digest"], header["keyword"], header["facts"], tensors["power"],
            tensors["audio"].numpy(), int(header["rate_hz"]),
        )  # fmt: skip
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{path} is damaged: {error}.", "Remove it; nothing else needs it.") from None
