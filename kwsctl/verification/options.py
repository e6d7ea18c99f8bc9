"""How verification is trained; a part of what `kwsctl federate` is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VerificationOptions:
    """How verification is trained.

    Attributes:
        method: file in `verification/methods/`.
        length: bits of a code; for methods that have one.
        hidden: size of the hidden layer over the statistics of the frozen trunk.
        embedding: size of the embedding, n_d.
        words: 0 for clips as they are (the keyword, text-dependent), n to join n clips of different words
            by the same user (text-independent).
        clips: joined clips of each user, when `words` is not 0.
        tpr: the share of a user's own clips that the threshold lets in.
        spread: server's step size of FedAWS; 0 leaves its only force against collapse out.
        margin: distance from which FedAWS pushes no further.
        scale: of cosines in softmax.
        warm: begin with the speaker embedding of the encoder instead of at random, which leaves fewer rounds
            to play; `hidden` and `embedding` must be twice its size.
    """

    method: str = "feduv"
    length: int = 127
    hidden: int = 128
    embedding: int = 128
    words: int = 0
    clips: int = 25
    tpr: float = 0.9
    spread: float = 0.1
    margin: float = 0.9
    scale: float = 16.0
    warm: bool = False
