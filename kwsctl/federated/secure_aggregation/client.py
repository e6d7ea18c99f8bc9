"""The side of secure aggregation that keeps secrets."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kwsctl.errors import InputError
from kwsctl.federated.secure_aggregation import shamir
from kwsctl.federated.secure_aggregation.masks import Words, agreed_key, mask

NONCE = bytes(12)
"""Each key encrypts one message, so that the nonce may be zero."""


@dataclass(frozen=True)
class PublicKeys:
    """What a client tells everybody.

    Attributes:
        sealing: for messages to it.
        masking: for masks with it.
    """

    sealing: bytes
    masking: bytes


class SecureClient:
    """One client in one round of the protocol.

    Args:
        name: the client.
        point: its place, from 1, at which shares for it are made.
        session: names the round.
    """

    def __init__(self, name: str, point: int, session: bytes) -> None:
        self.name, self.point = name, point
        self._session = session
        self._sealing, self._masking = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self._own_seed = os.urandom(shamir.SECRET_BYTES)
        self._keys: Mapping[str, PublicKeys] = {}
        self._held: dict[str, tuple[bytes, bytes]] = {}
        self._answered = False

    def advertise(self) -> PublicKeys:
        """Tells its public keys (round 0)."""
        return PublicKeys(
            self._sealing.public_key().public_bytes_raw(), self._masking.public_key().public_bytes_raw()
        )

    def share(self, near: Mapping[str, tuple[int, PublicKeys]], threshold: int) -> dict[str, bytes]:
        """Splits both secrets among the neighbours, each share sealed for one of them (round 1).

        Args:
            near: point and keys of each neighbour.
            threshold: how many of them can give a secret back.

        Returns:
            A sealed message for each neighbour.
        """
        self._keys = {name: keys for name, (_, keys) in near.items()}
        points = [point for point, _ in near.values()]
        masking = shamir.split(self._masking.private_bytes_raw(), points, threshold)
        own = shamir.split(self._own_seed, points, threshold)
        return {
            name: self._seal(name).encrypt(NONCE, masking[point] + own[point], f"{self.name}>{name}".encode())
            for name, (point, _) in near.items()
        }

    def receive(self, sealed: Mapping[str, bytes]) -> None:
        """Opens the shares of its neighbours (round 1).

        Args:
            sealed: a message of each neighbour.

        Raises:
            InputError: a message was not sealed by the one it names.
        """
        for sender, message in sealed.items():
            try:
                opened = self._seal(sender, to_me=True).decrypt(
                    NONCE, message, f"{sender}>{self.name}".encode()
                )
            except InvalidTag:
                raise InputError(
                    f"The share from {sender} to {self.name} was altered.", "The round cannot be trusted."
                ) from None
            self._held[sender] = (opened[: shamir.SHARE_BYTES], opened[shamir.SHARE_BYTES :])

    def masked(self, words: Words) -> Words:
        """Hides [P] words behind its own mask and those with each neighbour that shared (round 2)."""
        hidden = words + mask(self._own_seed, len(words))
        for name in self._held:
            seed = agreed_key(
                self._masking.private_bytes_raw(), self._keys[name].masking, "mask", self._session
            )
            pair = mask(seed, len(words))
            hidden = hidden + pair if self.name < name else hidden - pair
        return hidden

    def unmask(self, survivors: Collection[str]) -> dict[str, bytes]:
        """Gives what takes masks away: a neighbour's own seed if it answered, else its masking key (round 3).

        Args:
            survivors: who answered.

        Returns:
            One share for each neighbour, never both.

        Raises:
            InputError: asked a second time: with another list, both secrets of a client would come out.
        """
        if self._answered:
            raise InputError(
                f"{self.name} was asked twice to unmask.", "The server does not follow the protocol."
            )
        self._answered = True
        return {name: held[1] if name in survivors else held[0] for name, held in self._held.items()}

    def _seal(self, other: str, *, to_me: bool = False) -> ChaCha20Poly1305:
        way = f"{other}>{self.name}" if to_me else f"{self.name}>{other}"
        private = self._sealing.private_bytes_raw()
        return ChaCha20Poly1305(agreed_key(private, self._keys[other].sealing, f"seal {way}", self._session))
