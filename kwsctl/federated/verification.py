"""`kwsctl federate --task verification`: who takes part, what of their clips is for what, and the session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.federated.clients import Client
from kwsctl.federated.corpus import Clips, Corpus
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.voices import Voices
from kwsctl.seeding import stream_seed
from kwsctl.verification import model
from kwsctl.verification.head import VoiceHead, begin_with
from kwsctl.verification.thresholds import UserTrials, figures, warm_up

METHODS = "kwsctl.verification.methods"
RATE = 1.0
NOTHING = torch.zeros(0)


@dataclass(frozen=True, eq=False)
class Heard:
    """Clips as the frozen trunk hears them.

    Attributes:
        statistics: [N, S].
        users: [N] whose.
    """

    statistics: Tensor
    users: NDArray[np.str_]

    def of(self, user: str) -> Tensor:
        """Gives the statistics [n, S] of one user."""
        return self.statistics[torch.from_numpy(np.flatnonzero(self.users == user))]


@dataclass(frozen=True, eq=False)
class Cast:
    """What clips are for.

    Attributes:
        train: the users learn from.
        warm_up: sets the users' thresholds.
        test: further clips of the users.
        unseen: clips of people who took no part.
    """

    train: Heard
    warm_up: Heard
    test: Heard
    unseen: Heard

    @property
    def names(self) -> tuple[str, ...]:
        """The users who take part, sorted."""
        return tuple(sorted(set(self.train.users.tolist())))


def open_voices(encoder: Bundle, parts: Cast, options: FederateOptions, seed: int) -> Session:
    """Puts a federation of users together.

    Args:
        encoder: its trunk is frozen.
        parts: clips.
        options: how; `part` must be `head`.
        seed: of everything random.

    Returns:
        The session; `voices` holds what each user learns towards.

    Raises:
        InputError: fewer than two users, a part that is not `head`, or layers that stay on devices.
    """
    _check(options, parts)
    names, how = parts.names, options.verification
    method = registry.load(METHODS, how.method)
    targets = method.targets(names, how, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights"))
        head = VoiceHead(parts.train.statistics.shape[1], how.hidden, how.embedding, targets.shape[1])
    cast(Tensor, head.center).copy_(parts.train.statistics.mean(0))
    cast(Tensor, head.spread).copy_(parts.train.statistics.std(0).clamp_min(1e-3))
    if how.warm:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "rows"))
            begin_with(head, encoder.weights["voice.project.weight"])
    base = model.as_bundle(encoder, head, how, names if method.NEEDS_ROWS else ())
    corpus = Corpus(
        train=_clips(parts.train),
        held_out=_clips(parts.test),
        n_frames=encoder.n_frames,
        known={
            (base.sha256, "train", False): parts.train.statistics,
            (base.sha256, "held_out", False): parts.test.statistics,
        },
    )
    who = [_client(name, np.flatnonzero(parts.train.users == name)) for name in names]
    cohort = max(1.0, options.attendance.share * len(names))
    users = {name: place for place, name in enumerate(names)}

    def figure(outputs_of: Callable[[Tensor], Tensor]) -> float:
        outputs = outputs_of(parts.test.statistics)
        return 1 - figures(trials(voices, outputs, parts.test.users)).eer.mean

    voices = Voices(head, method, how, targets, users, cohort, figure)
    local = dataclasses.replace(options.local, rate=options.local.rate or RATE)
    return open_session(base, corpus, who, dataclasses.replace(options, local=local), seed, voices)


def voices_of(session: Session) -> Voices:
    """Gives what users are told apart by, in a session of `open_voices`."""
    return cast(Voices, session.voices)


def outputs_of(session: Session, weights: Tensor, heard: Heard) -> Tensor:
    """Gives [N, L] what shared weights [P] say of clips."""
    return session.resident.logits(session.complete(weights), heard.statistics)


def thresholds(session: Session, weights: Tensor, parts: Cast) -> dict[str, float]:
    """Sets each user's threshold from the clips of the warm-up."""
    voices = voices_of(session)
    outputs = outputs_of(session, weights, parts.warm_up)
    found = {}
    for name, place in voices.users.items():
        own = torch.from_numpy(np.flatnonzero(parts.warm_up.users == name))
        scores = voices.method.score(outputs[own], voices.targets[place], place)
        found[name] = warm_up(scores.double().numpy(), voices.options.tpr)
    return found


def trials(
    voices: Voices,
    outputs: Tensor,
    users: NDArray[np.str_],
    *,
    others: tuple[Tensor, NDArray[np.str_]] | None = None,
    limits: Mapping[str, float] | None = None,
) -> list[UserTrials]:
    """Scores clips for every user who takes part.

    Args:
        voices: method and targets.
        outputs: [N, L] of clips of the users.
        users: [N] whose.
        others: outputs and names of clips of strangers; by default the clips of the other users.
        limits: threshold of each user, if there are.

    Returns:
        Trials of each user.
    """
    found = []
    strange, names = (outputs, users) if others is None else others
    for name, place in voices.users.items():
        own, not_own = torch.from_numpy(users == name), torch.from_numpy(names != name)
        target = voices.targets[place]
        found.append(
            UserTrials(
                name,
                voices.method.score(outputs[own], target, place).double().numpy(),
                voices.method.score(strange[not_own], target, place).double().numpy(),
                float("nan") if limits is None else limits[name],
            )
        )
    return found


def _check(options: FederateOptions, parts: Cast) -> None:
    if options.part != "head" or not options.cached:
        raise InputError(
            f"Verification is learned over a frozen trunk, not with part = {options.part!r}.",
            "Use --part head.",
        )
    if options.personal or options.local.scaffold or options.topology != "star" or options.attack:
        raise InputError(
            "Verification is built for the topology star, without personal layers, SCAFFOLD and attack=…",
            "Leave these out; kwsctl bench verification has attacks of its own.",
        )
    if len(parts.names) < 2:
        raise InputError(f"{len(parts.names)} user cannot be told from others.", "Give clips of more people.")


def _client(name: str, rows: NDArray[np.int64]) -> Client:
    return Client(name, rows, np.ones(len(rows), dtype=np.bool_))


def _clips(heard: Heard) -> Clips:
    return Clips(NOTHING, torch.zeros(len(heard.users), dtype=torch.int64), heard.users.tolist())


def concatenated(parts: Sequence[Heard]) -> Heard:
    """Puts clips together."""
    return Heard(torch.cat([p.statistics for p in parts]), np.concatenate([p.users for p in parts]))
