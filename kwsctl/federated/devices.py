"""What happens on the devices in a round: learn, and hide. The server sees only what is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kwsctl.bundle import Delta
from kwsctl.federated import pool, privacy
from kwsctl.federated.attendance import Asked
from kwsctl.federated.heads import learn_heads
from kwsctl.federated.lessons import Lesson, lesson
from kwsctl.federated.local import Learned
from kwsctl.federated.networks import learn_networks
from kwsctl.federated.pseudo_labels import guessed
from kwsctl.federated.session import Session
from kwsctl.federated.state import State
from kwsctl.federated.voices import learn_voices
from kwsctl.seeding import torch_generator


@dataclass(frozen=True, eq=False)
class Answers:
    """What the clients of a round send, and what they keep.

    Attributes:
        deltas: changes of the shared weights, before the channel; `made_by` names the client.
        devices: what each device keeps for later.
        control: [P] by how much the mean control variate of SCAFFOLD moves.
        short: which changes were within the clip as they were.
        loss: mean over the clips of honest clients.
        made_up: share of the clips whose labels were guessed.
    """

    deltas: tuple[Delta, ...]
    devices: Mapping[str, Mapping[str, Tensor]]
    control: Tensor
    short: tuple[bool, ...]
    loss: float | None
    made_up: float


def answers(
    session: Session,
    state: State,
    asked: Sequence[Asked],
    base_sha256: str,
    *,
    number: int,
    starts: Tensor | None = None,
    take_part: int = 0,
) -> Answers:
    """Lets the clients that answer learn.

    Args:
        session: what does not change.
        state: before the round.
        asked: who, and how much of the work is finished.
        base_sha256: the bundle that was sent out.
        number: of the round.
        starts: [K, P'] where each of those that answer begins; by default what the server sent.
        take_part: of a round that has several, so that clips come in another order.

    Returns:
        What they send and keep.
    """
    there = [one for one in asked if one.answers]
    if not there:
        return Answers((), state.devices, torch.zeros_like(state.control), (), None, 0.0)
    plans, made_up = _plans(session, state, there, number, take_part)
    ready = [k for k, plan in enumerate(plans) if plan.clips]
    there, plans = [there[k] for k in ready], [plans[k] for k in ready]
    begin = _starts(session, state, there) if starts is None else starts[ready]
    corrections = _corrections(state, there)
    learned = _learn(session, begin, plans, corrections)
    devices = {name: dict(kept) for name, kept in state.devices.items()}
    moved = torch.zeros_like(state.control)
    deltas = []
    for k, (one, plan, end) in enumerate(zip(there, plans, learned, strict=True)):
        kept = devices.setdefault(one.client.name, {})
        if session.options.personal:
            kept["personal"] = end.weights
        change = (end.weights - begin[k])[session.shared]
        if session.options.local.scaffold:
            before = kept.get("control", torch.zeros_like(state.control))
            kept["control"] = before - state.control - change / (end.steps * session.work.rate)
            moved += (kept["control"] - before) / len(session.clients)
        facts = {"client": one.client.name, "steps": end.steps}
        deltas.append(Delta(base_sha256, session.layout.tensors(change), (), plan.clips, facts))
    attacked = _attacked(session, there, deltas, number)
    sent, short = _hidden(session, state, there, attacked, number)
    honest = [end.loss for one, end in zip(there, learned, strict=True) if not one.client.attacks]
    loss = sum(honest) / len(honest) if honest else None
    return Answers(tuple(sent), devices, moved, short, loss, made_up)


def _plans(
    session: Session, state: State, there: Sequence[Asked], number: int, take_part: int
) -> tuple[list[Lesson], float]:
    local, target = session.options.local, session.corpus.train.target
    plans, guesses, clips = [], 0, 0
    for one in there:
        rows = torch.from_numpy(one.client.rows)
        own, keep = target[rows], torch.from_numpy(one.client.labelled)
        if local.pseudo_from and not bool(keep.all()):
            own, keep = guessed(session, session.complete(state.public), one.client, own, number)
        triggered = None
        if one.client.attacks and session.attack and hasattr(session.attack[0], "poison_clips"):
            file, how = session.attack
            draw = torch_generator(session.seed, "poisoned clips", one.client.name)
            own, triggered = file.poison_clips(own, session.n_labels, how, draw)
        guesses += int(keep.sum()) - int(one.client.labelled.sum())
        clips += int(keep.sum())
        plans.append(
            lesson(
                one.client,
                own,
                number * 1000 + take_part,
                session.seed,
                keep=keep,
                epochs=local.epochs,
                batch_size=local.batch_size,
                work=one.work,
                triggered=triggered,
            )
        )
    return plans, max(0, guesses) / max(1, clips)


def _starts(session: Session, state: State, there: Sequence[Asked]) -> Tensor:
    return torch.stack(
        [
            session.complete(state.public, state.devices.get(one.client.name, {}).get("personal"))
            for one in there
        ]
    )


def _corrections(state: State, there: Sequence[Asked]) -> Tensor | None:
    """Gives [K, P] c - c_i of SCAFFOLD."""
    if not len(state.control):
        return None
    none = torch.zeros_like(state.control)
    own = [state.devices.get(one.client.name, {}).get("control", none) for one in there]
    return torch.stack([state.control - control for control in own])


def _learn(
    session: Session, starts: Tensor, plans: Sequence[Lesson], corrections: Tensor | None
) -> list[Learned]:
    if corrections is not None and session.options.personal:  # personal weights are corrected by nobody
        wide = torch.zeros(len(corrections), len(session.shared))
        wide[:, session.shared] = corrections
        corrections = wide
    if session.voices is not None and plans:
        return learn_voices(
            session.voices, session.resident.layout, starts, plans, session.inputs, session.work
        )
    if session.together and plans:
        return learn_heads(
            session.resident.task, starts, session.n_labels, plans, session.inputs, session.work, corrections,
            session.resident.device,
        )  # fmt: skip
    if session.resident.device.type != "cpu" and plans:
        return learn_networks(session.resident, starts, plans, session.inputs, session.work, corrections)
    return pool.learn(session, starts, plans, corrections)


def _attacked(session: Session, there: Sequence[Asked], deltas: Sequence[Delta], number: int) -> list[Delta]:
    """Lets the attackers of the round alter what they send."""
    liars = [k for k, one in enumerate(there) if one.client.attacks]
    if not (session.attack and liars and hasattr(session.attack[0], "poison_changes")):
        return list(deltas)
    file, how = session.attack
    draw = torch_generator(session.seed, "attack", number)
    sent = list(deltas)
    for k, lie in zip(liars, file.poison_changes([deltas[k] for k in liars], how, draw), strict=True):
        sent[k] = lie
    return sent


def _hidden(
    session: Session, state: State, there: Sequence[Asked], deltas: Sequence[Delta], number: int
) -> tuple[list[Delta], tuple[bool, ...]]:
    """Clips changes, and adds local noise; the number of clips does not leave a device that hides.

    Attackers do neither: the server clips again what it lets in.
    """
    how = session.options.privacy
    if not how.clip:
        return list(deltas), tuple(True for _ in deltas)
    sent, short = [], []
    fewest = max(1, round(session.cohort * (1 - session.options.attendance.dropout)))
    std = privacy.local_std(how, state.clip, fewest) if how.where == "local" else 0.0
    for one, delta in zip(there, deltas, strict=True):
        if one.client.attacks:
            sent.append(delta)
            short.append(False)
            continue
        bounded, was_short = privacy.clipped(delta, state.clip)
        if std:
            draw = torch_generator(session.noise_seed, "local noise", str(delta.made_by["client"]), number)
            bounded = privacy.with_noise(bounded, std, draw)
        sent.append(dataclasses.replace(bounded, n_clips=1 if how.noise else delta.n_clips))
        short.append(was_short)
    return sent, tuple(short)
