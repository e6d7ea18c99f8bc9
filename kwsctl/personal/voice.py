"""Keeps a person's voiceprint and secret in the person's folder: two files, sealed where there is a key.

The secret lies apart, so that it can be moved to where a device keeps secrets. It is drawn from the system,
and nothing but this file and the memory of a running command ever holds it, or the code that it makes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError, ProfileError
from kwsctl.personal import encryption, folder
from kwsctl.personal.encryption import Key
from kwsctl.personal.person import now
from kwsctl.storage import write_bytes
from kwsctl.verification import codes
from kwsctl.verification.voiceprint import Voiceprint

PROFILE, SECRET = "voice.profile", "voice.secret"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Voice:
    """A person's voice as it is kept.

    Attributes:
        user: whose.
        model_sha256: of the verification model that it was made with.
        model: how that model was named.
        print: what is compared.
        secret: bits that make the code.
        created: ISO time.
    """

    user: str
    model_sha256: str
    model: str
    print: Voiceprint
    secret: codes.Bits
    created: str


def exists(home: Path, user: str) -> bool:
    """Tells whether the voice of a user is kept."""
    return (folder.of(home, user) / PROFILE).is_file()


def fresh_secret(model: Bundle) -> tuple[int, codes.Bits]:
    """Draws a base vector's number and a secret from the system, for who joins no federation."""
    length = int(model.config["length"])
    draw = np.random.default_rng(np.frombuffer(os.urandom(32), dtype=np.uint32).tolist())
    return int(draw.integers(0, 2 ** codes.code_of(length).base_bits)), codes.secret(length, draw)


def save(home: Path, voice: Voice, key: Key | None = None, *, replace: bool = False) -> Path:
    """Writes voiceprint and secret.

    Args:
        home: the home folder.
        voice: what to keep.
        key: seals both, unless None.
        replace: write over what is kept under this name.

    Returns:
        The file of the voiceprint.

    Raises:
        InputError: the name cannot be one, or somebody's voice is kept under it already.
        ProfileError: the person's other files are sealed, and there is no key.
    """
    place = folder.of(home, voice.user)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    with folder.locked(place):
        if (place / PROFILE).exists() and not replace:
            raise InputError(
                f"A voice is already kept under the name {voice.user!r}.",
                "If that is another person, use another --user; to replace it, add --replace.",
            )
        if key is None and folder.salt(place) is not None:
            raise folder.locked_out(voice.user)
        facts = {
            "format": FORMAT,
            "user": folder.checked_name(voice.user),
            "model_sha256": voice.model_sha256,
            "model": voice.model,
            "number": voice.print.number,
            "offset": [round(value, 5) for value in voice.print.offset.tolist()],
            "threshold": voice.print.threshold,
            "tpr": voice.print.tpr,
            "clips": voice.print.clips,
            "created": voice.created,
        }
        hidden = {"format": FORMAT, "secret": "".join(map(str, voice.secret.tolist()))}
        # The secret first: a kill between the two leaves the old voice or one that is not there yet.
        (place / PROFILE).unlink(missing_ok=True)
        _write(place / SECRET, hidden, key)
        _write(place / PROFILE, facts, key)
    return place / PROFILE


def load(home: Path, user: str, model: Bundle, key: Key | None = None) -> Voice:
    """Reads the voice of a user.

    Args:
        home: the home folder.
        user: the name.
        model: the verification model that is to be used.
        key: opens it if it is sealed.

    Returns:
        Voiceprint and secret.

    Raises:
        InputError: there is no such user.
        ProfileError: no voice is kept, the secret is lost, sealed without the key, damaged, or made with
            another model.
    """
    place = folder.existing(home, user)
    again = f"Enrol again: kwsctl verify CLIP… --user {user} --enroll --replace"
    if not (place / PROFILE).is_file():
        raise ProfileError(
            f"No voice is kept of {user!r}.", f"Do it: kwsctl verify CLIP… --user {user} --enroll"
        )
    facts = _read(place / PROFILE, user, key)
    if not (place / SECRET).is_file():
        raise ProfileError(
            f"The secret of {user!r} is lost ({SECRET}); without it nothing tells the voice.", again
        )
    hidden = _read(place / SECRET, user, key)
    try:
        found = Voice(
            user=facts["user"],
            model_sha256=facts["model_sha256"],
            model=facts["model"],
            print=Voiceprint(
                number=int(facts["number"]),
                offset=torch.tensor(facts["offset"], dtype=torch.float32),
                threshold=float(facts["threshold"]),
                tpr=float(facts["tpr"]),
                clips=int(facts["clips"]),
            ),
            secret=np.array([int(bit) for bit in hidden["secret"]], dtype=np.uint8),
            created=facts["created"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"The voice of {user!r} lacks or garbles a field: {error}.", again) from None
    if found.model_sha256 != model.sha256:
        raise ProfileError(
            f"The voice of {user!r} was made with {found.model} ({found.model_sha256[:12]}), "
            f"this is model {model.sha256[:12]}.",
            f"Give that one with --model. {again}",
        )
    return found


def kept(user: str, model: Bundle, named: str, voiceprint: Voiceprint, secret: codes.Bits) -> Voice:
    """Makes what is kept of a voice.

    Args:
        user: whose.
        model: the verification model.
        named: how to name it.
        voiceprint: what is compared.
        secret: bits that make the code.

    Returns:
        The voice, not saved yet.
    """
    return Voice(user, model.sha256, named, voiceprint, secret, now())


def _write(path: Path, facts: dict[str, Any], key: Key | None) -> None:
    content = json.dumps(facts, sort_keys=True).encode()
    if key is not None:
        content = encryption.seal(content, key, folder.salt(path.parent))
    write_bytes(path, content)
    path.chmod(0o600)


def _read(path: Path, user: str, key: Key | None) -> dict[str, Any]:
    content = path.read_bytes()
    if encryption.is_sealed(content):
        if key is None:
            raise folder.locked_out(user)
        content = encryption.unseal(content, key, path.name)
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or int(found.get("format", 0)) != FORMAT:
        raise ProfileError(
            f"{path.name} of {user!r} is damaged or of a newer kwsctl.", "Restore it from a backup."
        )
    return found
