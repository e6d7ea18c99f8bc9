"""Keys that two clients agree on, and the masks that grow from them."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

Words = NDArray[np.uint32]


def agreed_key(private: bytes, public: bytes, purpose: str, session: bytes) -> bytes:
    """Derives a key of 32 bytes that only two clients know (X25519, RFC 7748; HKDF-SHA256, RFC 5869).

    Args:
        private: key of one.
        public: key of the other.
        purpose: what it is for; keys for different purposes have nothing to do with each other.
        session: names the round, so that no mask is used twice.

    Returns:
        The key; both sides get the same one.
    """
    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(
        hashes.SHA256(), 32, salt=session, info=b"kwsctl secure aggregation: " + purpose.encode()
    ).derive(shared)


def mask(seed: bytes, length: int) -> Words:
    """Grows a seed of 32 bytes into [P] uniform 32-bit words: the key stream of ChaCha20 (RFC 8439).

    A seed is used for one mask only, so that the nonce may be zero.
    """
    stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(4 * length)), dtype="<u4").astype(np.uint32)
