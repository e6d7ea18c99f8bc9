"""What a federation works with from the first round to the last: nothing in here changes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from kwsctl import registry
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.features.augmentation import Augmentation
from kwsctl.features.draws import Draws
from kwsctl.federated import compatibility
from kwsctl.federated.channel import Channel, channel
from kwsctl.federated.clients import Client
from kwsctl.federated.corpus import CHUNK, Corpus
from kwsctl.federated.layout import Layout
from kwsctl.federated.lessons import Inputs
from kwsctl.federated.local import LocalWork, Resident, head_part
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.voices import Voices
from kwsctl.learning.precision import FULL
from kwsctl.options import from_mapping, to_mapping

AGGREGATORS = "kwsctl.federated.aggregators"
ATTACKS = "kwsctl.federated.attacks"
NETWORK_RATE, HEAD_RATE = 0.1, 6.0
MILD = Augmentation(noise_share=0.0, time_masks=1, mel_masks=1)


@dataclass(frozen=True, eq=False)
class Session:
    """What does not change.

    Attributes:
        base: where all begin.
        corpus: clips of the clients and of held-out speakers.
        clients: all, by name.
        options: how.
        seed: of everything random.
        resident: the one network.
        layout: of the shared weights.
        shared: [P'] which of the trained weights are shared.
        inputs: gives what clients learn from.
        held_out: [M, ...] inputs of held-out speakers.
        work: how a client trains.
        aggregator: file and options.
        attack: file and options, if there is one.
        up: what clients send through.
        down: what the server sends through.
        expected: clients that there are, where not all of them are known here; 0 where they are.
        secret: seed of noise on real devices, which nobody else may know; None in a simulation.
        voices: what users are told apart by, if that is what is learned.
        workers: processes that let clients learn side by side; what they learn does not depend on it.
    """

    base: Bundle
    corpus: Corpus
    clients: Sequence[Client]
    options: FederateOptions
    seed: int
    resident: Resident
    layout: Layout
    shared: Tensor
    inputs: Inputs
    held_out: Tensor
    work: LocalWork
    aggregator: tuple[ModuleType, Any]
    attack: tuple[ModuleType, Any] | None
    up: Channel
    down: Channel
    expected: int = 0
    secret: int | None = None
    voices: Voices | None = None
    workers: int = 1

    @property
    def on_embeddings(self) -> bool:
        """Whether heads are trained on cached embeddings, many at once."""
        return self.options.part == "head" and self.options.cached

    @property
    def together(self) -> bool:
        """Whether heads learn at once, in full precision."""
        return self.on_embeddings and self.options.precision == FULL

    @property
    def n_labels(self) -> int:
        """L."""
        return len(self.base.labels)

    @property
    def cohort(self) -> float:
        """How many clients are expected in a round; a constant, as privacy needs."""
        return max(1.0, self.options.attendance.share * self.population)

    @property
    def population(self) -> int:
        """How many clients there are."""
        return self.expected or len(self.clients)

    @property
    def noise_seed(self) -> int:
        """Seeds noise: a seed that everybody knows would let everybody take the noise away."""
        return self.seed if self.secret is None else self.secret

    @functools.cached_property
    def first(self) -> Tensor:
        """[P'] the trained weights of the base."""
        named = {name: self.base.weights[name] for name in self.resident.layout.names}
        return self.resident.layout.vector(named)

    def complete(self, shared: Tensor, personal: Tensor | None = None) -> Tensor:
        """Gives [P'] trained weights from [P] shared ones and those of a device, or of the base."""
        whole = (self.first if personal is None else personal).clone()
        whole[self.shared] = shared
        return whole

    def as_they_are(self, rows: Tensor) -> Tensor:
        """Gives the inputs of training clips, not varied."""
        if not self.on_embeddings:
            return self.corpus.features(self.corpus.train, rows)
        return self.inputs(rows, torch.zeros(len(rows), dtype=torch.bool), torch.Generator())

    def bundle(self, shared: Tensor, lineage: dict[str, Any] | None = None) -> Bundle:
        """Gives the bundle of shared weights [P]."""
        weights = dict(self.base.weights) | self.layout.tensors(shared.clone())
        more = {**self.base.lineage, **(lineage or {})}
        return dataclasses.replace(self.base, weights=weights, lineage=more)


def open_session(
    base: Bundle,
    corpus: Corpus,
    clients: Sequence[Client],
    options: FederateOptions,
    seed: int,
    voices: Voices | None = None,
    workers: int = 1,
    device: torch.device | None = None,
) -> Session:
    """Puts everything together and refuses what does not go together.

    Args:
        base: where all begin.
        corpus: clips of the clients and of held-out speakers.
        clients: who takes part.
        options: how.
        seed: of everything random.
        voices: what users are told apart by, if that is what is learned.
        workers: processes that let clients learn side by side.
        device: where clients learn, by default the CPU; elsewhere many learn at once.

    Returns:
        The session.

    Raises:
        InputError: options that contradict each other, or a pattern that leaves nothing to share.
        ExtensionError: no such aggregator, compressor or attack.
    """
    if device is not None:
        corpus = corpus.to(device)
    resident = Resident(
        base,
        options.part,
        on_embeddings=options.part == "head" and options.cached,
        precision=options.precision,
        quantization=options.quantization,
        head=None if voices is None else voices.head,
        device=device,
    )
    own = head_part(resident.layout.names, options.personal) if options.personal else ()
    shared = Layout(tuple((name, shape) for name, shape in resident.layout.shapes if name not in own))
    if not shared.shapes or (options.personal and not own):
        raise InputError(
            f"personal = {options.personal!r} keeps {len(own)} of {len(resident.layout.names)} weights.",
            f"The trained weights are {', '.join(resident.layout.names[:6])}, …",
        )
    aggregator = registry.load(AGGREGATORS, options.aggregator)
    up = channel(options.uplink, options.uplink_options, shared)
    down = channel(options.downlink, options.downlink_options, shared)
    compatibility.check(options, aggregator, up.file)
    inputs, held_out, square = _inputs(base, corpus, options)
    rate = options.local.rate or (NETWORK_RATE if square is None else HEAD_RATE / square)
    attack = None
    if options.attack is not None:
        file = registry.load(ATTACKS, options.attack)
        attack = (file, from_mapping(file.Options, options.attack_options))
    is_shared = {
        name: torch.full(shape, name not in own, dtype=torch.float32)
        for name, shape in resident.layout.shapes
    }
    return Session(
        base=base,
        corpus=corpus,
        clients=tuple(clients),
        options=options,
        seed=seed,
        resident=resident,
        layout=shared,
        shared=resident.layout.vector(is_shared) > 0,
        inputs=inputs,
        held_out=held_out,
        work=LocalWork(rate, options.local.smoothing, options.local.proximal),
        aggregator=(aggregator, from_mapping(aggregator.Options, options.server)),
        attack=attack,
        up=up,
        down=down,
        voices=voices,
        workers=workers,
    )


def _inputs(base: Bundle, corpus: Corpus, options: FederateOptions) -> tuple[Inputs, Tensor, float | None]:
    """Gives inputs of clients and of held-out clips, and the mean square of embeddings if cached."""
    if options.part == "head" and options.cached:
        plain = corpus.embeddings(base, "train")
        marked = corpus.embeddings(base, "train", triggered=True) if options.attack == "backdoor" else plain

        def cached(rows: Tensor, triggered: Tensor, draw: torch.Generator | Draws) -> Tensor:
            rows = rows.to(plain.device)
            if not bool(triggered.any()):
                return plain.index_select(0, rows)
            return torch.where(triggered.to(plain.device)[:, None], marked[rows], plain[rows])

        return cached, corpus.embeddings(base, "held_out"), float(plain.square().sum(1).mean())

    def heard(rows: Tensor, triggered: Tensor, draw: torch.Generator | Draws) -> Tensor:
        if not options.local.augment:
            return corpus.features(corpus.train, rows, triggered)
        return corpus.varied(rows, MILD, draw, triggered)

    every = torch.arange(len(corpus.held_out))
    held_out = torch.cat([corpus.features(corpus.held_out, rows) for rows in torch.split(every, CHUNK)])
    return heard, held_out, None


def fingerprint_of(session: Session) -> dict[str, Any]:
    """Gives what must be alike for a killed run to go on."""
    device = session.resident.device.type
    elsewhere = {} if device == "cpu" else {"device": device}  # another device gives other last bits
    return elsewhere | {
        "base": session.base.sha256,
        "clients": [[c.name, len(c.rows), int(c.rows.sum())] for c in session.clients],
        "options": to_mapping(session.options),
        "seed": session.seed,
    }
