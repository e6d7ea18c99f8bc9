"""The options of `kwsctl federate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kwsctl.errors import InputError
from kwsctl.federated.anomaly import Watch
from kwsctl.federated.attendance import Attendance
from kwsctl.federated.clients import Population
from kwsctl.federated.privacy import Privacy
from kwsctl.learning.precision import FULL, Quantization, bits_of
from kwsctl.verification.options import VerificationOptions


@dataclass(frozen=True)
class Local:
    """How a client trains.

    Attributes:
        epochs: passes over its clips in a round.
        batch_size: B.
        rate: learning rate; by default 0.1, and for heads on cached embeddings 6 over their mean square.
        smoothing: of labels.
        proximal: mu of FedProx; 0 is plain.
        scaffold: correct each gradient by control variates (Karimireddy et al. 2020, arXiv 1910.06378,
            alg. 1).
        augment: vary the clips; cached embeddings cannot be varied.
        pseudo_from: share of a client's unlabelled clips, those of which the shared model is surest, that get
            the label it says, when that begins; 0 uses labelled clips only.
        pseudo_to: the same in the last round.
        pseudo_after: rounds on labelled clips alone before that: a model that knows nothing teaches nonsense.
    """

    epochs: int = 1
    batch_size: int = 20
    rate: float | None = None
    smoothing: float = 0.0
    proximal: float = 0.0
    scaffold: bool = False
    augment: bool = True
    pseudo_from: float = 0.0
    pseudo_to: float = 1.0
    pseudo_after: int = 15


@dataclass(frozen=True)
class Secure:
    """Secure aggregation.

    Attributes:
        on: whether only sums are seen.
        degree: neighbours of a client.
        threshold: share of the neighbours that is needed when clients drop out.
        reach: largest number on the grid.
        bits: of a number on the grid.
        groups: so many sums a round, over which a robust aggregator can work; 1 is one sum.
    """

    on: bool = False
    degree: int = 12
    threshold: float = 0.6
    reach: float = 16.0
    bits: int = 20
    groups: int = 1


@dataclass(frozen=True)
class FederateOptions:
    """How to federate; written into the bundle's lineage.

    Attributes:
        rounds: how many.
        part: what is trained and shared: `full`, `head`, or `vectors` (biases and normalization).
        arch: file in `models/`, for a start from nothing.
        network: fields of its `Config`; normalization is by groups unless said otherwise.
        cached: train heads on cached embeddings, many clients at once.
        personal: pattern of weights that are trained but stay on the device, such as `head`.
        aggregator: file in `federated/aggregators/`.
        server: fields of its `Options`.
        uplink: file in `federated/compression/` for what clients send.
        uplink_options: fields of its `Options`.
        downlink: the same for what the server sends.
        downlink_options: fields of its `Options`.
        topology: file in `federated/topologies/`.
        topology_options: fields of its `Options`.
        attack: file in `federated/attacks/`.
        attack_options: fields of its `Options`.
        local: how a client trains.
        population: who takes part.
        attendance: who is asked, and who fails.
        privacy: clipping and noise.
        secure: secure aggregation.
        watch: anomalies.
        task: `words`, or `verification`: who spoke.
        verification: how that is learned.
        evaluate_every: rounds from one evaluation on held-out speakers to the next.
        precision: that clients learn with, such as `w8a8g8`; what they send is `uplink`'s affair.
        quantization: how their numbers are put on grids.
    """

    rounds: int = 50
    part: Literal["full", "head", "vectors"] = "full"
    arch: str = "tcresnet"
    network: Mapping[str, Any] = field(default_factory=dict)
    cached: bool = True
    personal: str = ""
    aggregator: str = "fedadam"
    server: Mapping[str, Any] = field(default_factory=dict)
    uplink: str = "none"
    uplink_options: Mapping[str, Any] = field(default_factory=dict)
    downlink: str = "none"
    downlink_options: Mapping[str, Any] = field(default_factory=dict)
    topology: str = "star"
    topology_options: Mapping[str, Any] = field(default_factory=dict)
    attack: str | None = None
    attack_options: Mapping[str, Any] = field(default_factory=dict)
    local: Local = field(default_factory=Local)
    population: Population = field(default_factory=Population)
    attendance: Attendance = field(default_factory=Attendance)
    privacy: Privacy = field(default_factory=Privacy)
    secure: Secure = field(default_factory=Secure)
    watch: Watch = field(default_factory=Watch)
    task: Literal["words", "verification"] = "words"
    verification: VerificationOptions = field(default_factory=VerificationOptions)
    evaluate_every: int = 5
    precision: str = FULL
    quantization: Quantization = field(default_factory=Quantization)

    def __post_init__(self) -> None:
        if bits_of(self.precision) and self.quantization.storage == "integer":
            raise InputError(
                "Shared weights are the mean of many changes, and lie on no grid.",
                "Use quantization.storage=float.",
            )
        for name in ("rounds", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)} does nothing.", "Use at least 1.")
        if self.local.epochs < 1 or self.local.batch_size < 1:
            raise InputError("A client needs at least one epoch and one clip in a batch.")
        if self.secure.groups < 1:
            raise InputError(f"secure.groups = {self.secure.groups} makes no sum.", "Use at least 1.")
