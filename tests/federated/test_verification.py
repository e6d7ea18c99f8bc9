"""Users learn to be told apart, and what they send does not hold what they learn towards."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from kwsctl import architecture
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.federated.attendance import Attendance, attend
from kwsctl.federated.devices import answers
from kwsctl.federated.federate import play
from kwsctl.federated.federate_voices import measured
from kwsctl.federated.lessons import lesson
from kwsctl.federated.options import FederateOptions, Secure
from kwsctl.federated.privacy import Privacy
from kwsctl.federated.session import Session
from kwsctl.federated.state import first_state
from kwsctl.federated.verification import Cast, Heard, open_voices, voices_of
from kwsctl.seeding import numpy_generator
from kwsctl.types import FeatureSpec
from kwsctl.verification import codes
from kwsctl.verification.options import VerificationOptions

USERS, SIZE = 8, 24


def heard(users: range, clips: int, seed: int) -> Heard:
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, SIZE))
    rows = np.concatenate([centres[u] + 0.5 * draw.normal(size=(clips, SIZE)) for u in users])
    return Heard(torch.from_numpy(rows).float(), np.repeat([f"u{u:02d}" for u in users], clips))


@functools.cache
def parts() -> Cast:
    there = range(USERS)
    return Cast(heard(there, 12, 1), heard(there, 10, 2), heard(there, 10, 3), heard(range(30, 36), 10, 4))


def session(method: str, rounds: int = 25, **more: object) -> Session:
    how = VerificationOptions(method=method, length=63, hidden=32, embedding=32)
    options = FederateOptions(
        rounds=rounds, part="head", aggregator="mean", task="verification", verification=how, **more
    )  # type: ignore[arg-type]
    return open_voices(encoder(), parts(), options, 0)


@functools.cache
def encoder() -> Bundle:
    """A trunk that nobody asks here: the statistics are made."""
    network = architecture.build("duet", {"width": 0.4}, 0, 40)
    return Bundle("duet", {"width": 0.4}, FeatureSpec(), (), "wake", 1.0, network.state_dict())


@functools.cache
def eers(method: str) -> tuple[float, float]:
    found = session(method)
    _, held_out, unseen = measured(found, play(found, first_state(found)), parts())
    return held_out.eer.mean, unseen.eer.mean


@pytest.mark.parametrize("method", ["feduv", "fedua", "hadamard", "softmax", "fedaws"])
def test_users_are_told_apart(method: str) -> None:
    held_out, unseen = eers(method)
    assert held_out < 0.1
    assert unseen < 0.3


def test_without_codes_all_are_alike() -> None:
    assert eers("none")[0] > 0.3


def sent(found: Session) -> dict[str, dict[str, torch.Tensor]]:
    """What each user sends in the first round."""
    asked = attend(found.clients, found.options.attendance, 0, found.seed, ())
    deltas = answers(found, first_state(found), asked, found.base.sha256, number=0).deltas
    return {str(delta.made_by["client"]): dict(delta.changes) for delta in deltas}


def test_what_a_user_sends_holds_neither_code_nor_secret() -> None:
    found = session("feduv")
    voices = voices_of(found)
    for name, changes in sent(found).items():
        assert set(changes) == set(found.layout.names)
        code = voices.targets[voices.users[name]]
        secret = codes.secret(63, numpy_generator(0, "secret", name))
        for change in changes.values():
            raw = change.numpy().tobytes()
            for hidden in (code.numpy(), np.packbits(code.numpy() > 0), secret):
                assert hidden.tobytes() not in raw
            for column in change.reshape(len(change), -1).T:  # nor a multiple of the code
                assert (
                    column.numel() != len(code)
                    or float(torch.nn.functional.cosine_similarity(column, code, dim=0).abs()) < 1
                )


def test_a_single_update_tells_most_of_a_code_and_a_sum_does_not() -> None:
    found = session("feduv")
    voices, changes = voices_of(found), sent(found)

    def share(change: torch.Tensor, code: torch.Tensor) -> float:
        left = torch.linalg.svd(change, full_matrices=False)[0][:, 0]
        right = float((left.sign() == code).float().mean())
        return max(right, 1 - right)

    total = sum(one["rows.weight"] for one in changes.values())
    own = [share(changes[n]["rows.weight"], voices.targets[p]) for n, p in voices.users.items()]
    summed = [share(total, voices.targets[p]) for p in voices.users.values()]
    assert min(own) > 0.8
    assert float(np.mean(summed)) < 0.75


def test_many_at_once_learn_what_each_learns_alone() -> None:
    found = session("feduv")
    voices = voices_of(found)
    changes = sent(found)
    name = "u03"
    weights = {n: found.base.weights[n].clone().requires_grad_(True) for n in found.layout.names}
    plan = lesson(
        next(c for c in found.clients if c.name == name),
        torch.zeros(12, dtype=torch.int64),
        0,
        found.seed,
        batch_size=found.options.local.batch_size,
    )
    for batch in plan.batches:
        x = parts().train.statistics[plan.rows[batch]]
        state = {**weights, **dict(voices.head.named_buffers())}
        outputs = torch.func.functional_call(voices.head, state, (x,))
        loss = voices.method.loss(outputs, voices.targets[3], torch.tensor(3), voices.options).mean()
        pushed = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for weight, push in zip(weights.values(), pushed, strict=True):
                weight -= found.work.rate * push
    for n, weight in weights.items():
        torch.testing.assert_close(
            weight.detach() - found.base.weights[n], changes[name][n], atol=1e-5, rtol=1e-3
        )


@pytest.mark.parametrize(
    "more",
    [
        {"secure": Secure(on=True)},
        {"privacy": Privacy(clip=2.0, noise=0.05)},
        {"uplink": "int8"},
        {"attendance": Attendance(share=0.5)},
    ],
)
def test_it_runs_with_what_hides_updates(more: dict[str, object]) -> None:
    found = session("feduv", 2, **more)
    state = play(found, first_state(found))
    assert state.number == 2
    assert not any(line["refused"] or line["lost"] for line in state.log)
    assert torch.isfinite(state.weights).all()


def test_what_is_not_built_is_refused() -> None:
    with pytest.raises(InputError, match="frozen trunk"):
        open_voices(encoder(), parts(), FederateOptions(part="full"), 0)
    with pytest.raises(InputError, match="topology star"):
        open_voices(encoder(), parts(), FederateOptions(part="head", personal="rows"), 0)
    alone = Cast(*(heard(range(1), 5, n) for n in range(4)))
    with pytest.raises(InputError, match="1 user cannot"):
        open_voices(encoder(), alone, FederateOptions(part="head"), 0)
