"""What tells one person's clips: a code that nobody else knows, and how the person's voice differs from it.

Whoever took part in training was pulled to the own code, and the difference is nothing. Whoever comes later
keeps the product of the own code and the mean of the enrolled clips: without the secret it does not say in
which direction the voice lies, as in a fuzzy commitment (Juels and Wattenberg 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.verification import codes
from kwsctl.verification.methods._coding import scaled
from kwsctl.verification.model import COHORT, head_of
from kwsctl.verification.thresholds import warm_up

FEWEST = 3


@dataclass(frozen=True, eq=False)
class Voiceprint:
    """What is kept of a voice, besides the secret.

    Attributes:
        number: of the base vector, which the server gave or, for who joins nobody, was drawn.
        offset: [c] by which outputs are multiplied before they are compared with the code.
        threshold: the score above which a clip is the person's.
        tpr: the share of own clips that it was set for.
        clips: from how many it was made.
        strangers: share of the stored strangers that are let in; None where none are stored.
        n_strangers: how many are stored.
    """

    number: int
    offset: Tensor
    threshold: float
    tpr: float
    clips: int
    strangers: float | None = None
    n_strangers: int = 0


def outputs(model: Bundle, statistics: Tensor) -> Tensor:
    """Gives [N, c] scaled outputs z of clips.

    Args:
        model: a verification model whose outputs are the bits of a code.
        statistics: [N, S] of its encoder.

    Returns:
        Outputs of length sqrt(c).

    Raises:
        InputError: its outputs are users, so that nobody else can be added.
        BundleError: it tells words, not who speaks.
    """
    head = head_of(model)
    if model.labels:
        raise InputError(
            f"This {model.config['method']} model knows {len(model.labels)} users, and nobody can be added.",
            "Use one of --method feduv.",
        )
    with torch.no_grad():
        return scaled(head(statistics))


def enrolled(model: Bundle, z: Tensor, number: int, secret: codes.Bits, tpr: float) -> Voiceprint:
    """Keeps a voice.

    Args:
        model: the verification model; says the length of the code, and may hold strangers.
        z: [n, c] outputs of the person's clips, three or more.
        number: of the base vector.
        secret: drawn by the person's device.
        tpr: the share of own clips to let in.

    Returns:
        What to keep.

    Raises:
        InputError: fewer than three clips.
    """
    if len(z) < FEWEST:
        raise InputError(
            f"{len(z)} clips are too few to know a voice by.", f"Give {FEWEST} or more that differ."
        )
    code = _code(model, number, secret)
    total = z.sum(0)
    # Each clip is compared with the mean of the others, as a new one will be with the mean of all.
    left_out = np.array([float(_cosine(one, total - one)) for one in z])
    template = scaled(total[None])[0]
    offset = code * template
    threshold = warm_up(left_out, tpr)
    strange = model.weights.get(COHORT)
    let_in = None
    if strange is not None:
        let_in = float((_scores(code, offset, strange.float()) > threshold).mean())
    return Voiceprint(number, offset, threshold, tpr, len(z), let_in, 0 if strange is None else len(strange))


def participant(model: Bundle, z: Tensor, number: int, secret: codes.Bits, tpr: float) -> Voiceprint:
    """Keeps the voice of a person whose device took part in training: the code itself is what is compared.

    Args:
        model: the verification model that was trained.
        z: [n, c] outputs of clips that nothing was learned from, for the threshold.
        number: of the base vector that the server gave.
        secret: with which the device took part.
        tpr: the share of own clips to let in.

    Returns:
        What to keep.
    """
    code = _code(model, number, secret)
    offset = torch.ones(len(code))
    return Voiceprint(number, offset, warm_up(_scores(code, offset, z), tpr), tpr, len(z))


def scores(model: Bundle, voice: Voiceprint, secret: codes.Bits, z: Tensor) -> NDArray[np.float64]:
    """Scores clips: (1/c) v^T (offset * z), from -1 to 1.

    Args:
        model: the verification model.
        voice: of the person.
        secret: of the person.
        z: [N, c] outputs of clips.

    Returns:
        [N].
    """
    return _scores(_code(model, voice.number, secret), voice.offset, z)


def _code(model: Bundle, number: int, secret: codes.Bits) -> Tensor:
    return torch.from_numpy(codes.codeword(number, secret, int(model.config["length"])))


def _scores(code: Tensor, offset: Tensor, z: Tensor) -> NDArray[np.float64]:
    return (z @ (code * offset) / len(code)).double().numpy()


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(one, other, dim=0)
