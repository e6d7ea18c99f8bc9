"""What somebody can do who is not the user: the server, or a person with a recording.

A server that knows what a user is compared with makes an input that is accepted, by gradients through the
model it sent out (Hosseini et al. 2021, arXiv 2104.08776, section 3). Where it does not know it, it can try
to read it from an update: the gradient of the last layer is close to a product of the user's code and an
embedding, so that the strongest left singular vector of the change of that layer has the signs of the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from kwsctl.bench.verification_trials import Played
from kwsctl.bundle import Bundle
from kwsctl.federated.attendance import attend
from kwsctl.federated.devices import answers
from kwsctl.federated.state import first_state
from kwsctl.federated.verification import voices_of
from kwsctl.federated.voices import ROWS
from kwsctl.seeding import numpy_generator, torch_generator
from kwsctl.verification import codes

STEPS, RATE = 80, 0.1


def crafted(one: Played, encoder: Bundle, seed: int) -> Iterator[dict[str, Any]]:
    """Lets a server that knows the model make an input for every user, from noise.

    Args:
        one: a federation.
        encoder: whose trunk is used; the server has it, too.
        seed: of the noise and of guesses.

    Yields:
        A row for each thing that the server may know.
    """
    voices = voices_of(one.session)
    places = list(voices.users.values())
    if voices.method.NEEDS_ROWS:
        made = _craft(one, encoder, voices.targets[places], places, seed)
        yield _row("server makes an input", voices.options.method, "the users' embeddings", one, made)
        return
    own = voices.targets[places]
    for knows, target in (
        ("base vectors, guesses the secrets", _guessed(one, seed)),
        ("one update of each user", _read(one, seed, alone=True)),
        ("sums over all users", _read(one, seed, alone=False)),
        ("the codes (as if they leaked)", own),
    ):
        made = _craft(one, encoder, target, places, seed)
        bits = float((target == own).float().mean())
        yield _row("server makes an input", "feduv", f"{knows}: {bits:.0%} of bits right", one, made)


def inversion(one: Played, seed: int) -> Iterator[dict[str, Any]]:
    """Tells how many bits of their codes users give away by what they send.

    Args:
        one: a federation with codes.
        seed: of the round that is looked at.

    Yields:
        A row without, and one with secure aggregation.
    """
    voices = voices_of(one.session)
    own = voices.targets[list(voices.users.values())]
    for seen, alone in (("each update", True), ("the sum of a round (secure aggregation)", False)):
        bits = (_read(one, seed, alone=alone) == own).float().mean(1)
        yield {
            "attack": "server reads the code",
            "method": "feduv",
            "knows": seen,
            "accepted": f"bits right: {float(bits.mean()):.1%}, best user {float(bits.max()):.1%}",
            "users": len(own),
        }


def replayed(found: Sequence[Played]) -> Iterator[dict[str, Any]]:
    """Replays clips as a stream that adaptation hears: what of it would the vote of the voice let through?

    Args:
        found: federations.

    Yields:
        A row for other people's clips, and one for recordings of the person.
    """
    tried = [trial for one in found for trial in one.trials(one.parts.test, one.parts.unseen)]
    for whose, rates in (
        ("clips of strangers, over and over", [(t.others > t.threshold).mean() for t in tried]),
        ("recordings of the person", [(t.own > t.threshold).mean() for t in tried]),
    ):
        yield {
            "attack": "replay into adapt",
            "method": "feduv",
            "knows": whose,
            "accepted": f"{float(np.mean(rates)):.1%} pass the vote of the voice",
            "users": len(tried),
        }


def _row(attack: str, method: str, knows: str, one: Played, scores: list[float]) -> dict[str, Any]:
    limits = list(one.limits.values())
    accepted = np.mean([score > limit for score, limit in zip(scores, limits, strict=True)])
    return {
        "attack": attack,
        "method": method,
        "knows": knows,
        "accepted": f"{accepted:.0%}",
        "users": len(scores),
    }


def _craft(one: Played, encoder: Bundle, target: Tensor, places: list[int], seed: int) -> list[float]:
    """Makes features [F, T] for each user, and gives the score that the user's device says."""
    voices, network = voices_of(one.session), cast(Any, encoder.model())
    named = one.session.layout.tensors(one.state.weights)
    state = {**named, **dict(voices.head.named_buffers())}
    noise = torch.randn(
        len(places), encoder.features.mel_bins, encoder.n_frames, generator=torch_generator(seed, "noise")
    )
    mean, std = network.standardize.mean[None, :, None], network.standardize.std[None, :, None]
    x = (mean + 0.5 * std * noise).requires_grad_(True)
    users = torch.tensor(places)
    optimizer = torch.optim.Adam([x], lr=RATE)

    def said() -> Tensor:
        return cast(Tensor, functional_call(voices.head, state, (network.statistics(x),)))

    for _ in range(STEPS):
        outputs = said()
        wanted = torch.stack(
            [voices.method.score(outputs[k : k + 1], target[k], places[k])[0] for k in range(len(users))]
        )
        (x.grad,) = torch.autograd.grad(-wanted.sum(), x)
        optimizer.step()
    with torch.no_grad():
        outputs = said()
    return [
        float(voices.method.score(outputs[k : k + 1], voices.targets[place], place)[0])
        for k, place in enumerate(places)
    ]


def _guessed(one: Played, seed: int) -> Tensor:
    voices = voices_of(one.session)
    length = voices.options.length
    draws = [numpy_generator(seed, "guess", name) for name in voices.users]
    rows = [codes.codeword(n, codes.secret(length, draw), length) for n, draw in enumerate(draws)]
    return torch.from_numpy(np.stack(rows))


def _read(one: Played, seed: int, *, alone: bool) -> Tensor:
    """Gives [U, c] signs that the server reads from the first round, from each update or from their sum."""
    session, voices = one.session, voices_of(one.session)
    asked = attend(session.clients, session.options.attendance, 0, session.seed, ())
    sent = answers(session, first_state(session), asked, session.base.sha256, number=0).deltas
    by_user = {str(delta.made_by["client"]): delta.changes[ROWS] for delta in sent}
    total = torch.stack(list(by_user.values())).mean(0)
    base_bits = codes.code_of(voices.options.length).base_bits
    found = []
    for name, place in voices.users.items():
        left, _, _ = torch.linalg.svd(by_user[name] if alone else total, full_matrices=False)
        signs = torch.where(left[:, 0] >= 0, 1.0, -1.0)
        # The server knows the first bits of the message, and a codeword begins with its message.
        known = torch.from_numpy(codes.signs(codes.base_vector(place, voices.options.length)))
        found.append(signs if float((signs[:base_bits] * known).sum()) >= 0 else -signs)
    return torch.stack(found)
