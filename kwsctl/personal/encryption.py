"""Seals what is kept about a person: AES-256-GCM under a key that scrypt makes from a secret.

A sealed file is `KWSE1`, 16 bytes of salt, 12 bytes of nonce, then the ciphertext with its tag of 16 bytes.
The part before the ciphertext is the associated data, so that no byte of the file can change unnoticed.
scrypt: RFC 7914; GCM: NIST SP 800-38D, whose bound for random nonces (section 8.3) is 2**32 files a salt.
"""

from __future__ import annotations

import functools
import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kwsctl.errors import InputError, ProfileError

MAGIC = b"KWSE1"
SALT_BYTES, NONCE_BYTES = 16, 12
HEADER_BYTES = len(MAGIC) + SALT_BYTES + NONCE_BYTES
SCRYPT_N = 2**15
"""Cost of a guess at the passphrase, 32 MiB. Part of what `KWSE1` means: another cost, another magic."""
KEY_FILE_BYTES = 32
"""Least length of a key file: shorter ones can be guessed."""


@dataclass(frozen=True)
class Key:
    """What opens a person's files.

    Attributes:
        secret: the passphrase in UTF-8, or the content of a key file; never shown.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def from_passphrase(cls, passphrase: str) -> Key:
        """Makes a key of a passphrase.

        Args:
            passphrase: what was typed. It is normalized, because systems write one accent in two ways.

        Returns:
            The key.

        Raises:
            InputError: it is empty.
        """
        if not passphrase:
            raise InputError("The passphrase is empty.", "Give one of several words.")
        return cls(unicodedata.normalize("NFC", passphrase).encode("utf-8"))

    @classmethod
    def from_file(cls, path: Path) -> Key:
        """Makes a key of the content of a file.

        Args:
            path: any file that others do not have, of 32 bytes or more.

        Returns:
            The key.

        Raises:
            InputError: it cannot be read, or is too short.
        """
        remedy = f"Make one: head -c {KEY_FILE_BYTES} /dev/urandom > FILE"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"The key file {path} cannot be read: {error.strerror}.", remedy) from None
        if len(content) < KEY_FILE_BYTES:
            raise InputError(f"The key file {path} has {len(content)} bytes, too few for a key.", remedy)
        return cls(content)


def seal(content: bytes, key: Key, salt: bytes | None = None) -> bytes:
    """Encrypts content.

    Args:
        content: what nobody else may read.
        key: opens it again.
        salt: 16 bytes of an earlier file of the same person; reading both then costs one scrypt. By default
            fresh ones.

    Returns:
        The bytes of the sealed file.
    """
    # From the system, not from a seeded generator: a nonce that comes twice would reveal both contents.
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    nonce = os.urandom(NONCE_BYTES)
    header = MAGIC + salt + nonce
    return header + _cipher(key.secret, salt, SCRYPT_N).encrypt(nonce, content, header)


def unseal(content: bytes, key: Key, what: str = "the file") -> bytes:
    """Decrypts content.

    Args:
        content: what `seal` returned.
        key: the key it was sealed with.
        what: how messages name it.

    Returns:
        What was sealed.

    Raises:
        ProfileError: it was sealed with another key, or a byte of it was changed; which, cannot be told.
    """
    if not is_sealed(content) or len(content) < HEADER_BYTES:
        raise ProfileError(f"{what} is not an encrypted file of kwsctl.", "Restore it from a backup.")
    header, ciphertext = content[:HEADER_BYTES], content[HEADER_BYTES:]
    salt, nonce = salt_of(content), header[-NONCE_BYTES:]
    try:
        return _cipher(key.secret, salt, SCRYPT_N).decrypt(nonce, ciphertext, header)
    except InvalidTag:
        raise ProfileError(
            f"The passphrase or key file does not open {what}, or the file was changed.",
            "Try again with the one it was made with; nothing was altered.",
        ) from None


def is_sealed(content: bytes) -> bool:
    """Tells whether bytes begin like a sealed file."""
    return content.startswith(MAGIC)


def salt_of(content: bytes) -> bytes:
    """Gives the salt in the header of a sealed file."""
    return content[len(MAGIC) : len(MAGIC) + SALT_BYTES]


@functools.lru_cache(maxsize=64)
def _cipher(secret: bytes, salt: bytes, n: int) -> AESGCM:
    """Derives the key once per salt and process, because scrypt takes 0.1 s on purpose."""
    return AESGCM(Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(secret))
