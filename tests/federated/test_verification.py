"""Users learn to be told apart, and what they send does not hold what they learn towards."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from kwsctl.bundle import Bundle
from kwsctl.federated.federate import play
from kwsctl.federated.federate_voices import measured
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session
from kwsctl.federated.state import first_state
from kwsctl.federated.verification import Cast, Heard, open_voices
from kwsctl.verification.options import VerificationOptions
from tests import toy_people

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


def session(method: str, rounds: int = 40, **more: object) -> Session:
    how = VerificationOptions(method=method, length=63, hidden=32, embedding=32)
    options = FederateOptions(
        rounds=rounds, part="head", aggregator="mean", task="verification", verification=how, **more
    )  # type: ignore[arg-type]
    return open_voices(encoder(), parts(), options, 0)


@functools.cache
def encoder() -> Bundle:
    return dataclasses.replace(toy_people.encoder())


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
