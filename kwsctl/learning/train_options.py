"""The options of `kwsctl train`, with defaults that suit a data set of a few thousand clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kwsctl.errors import InputError
from kwsctl.features.augmentation import Augmentation
from kwsctl.learning.precision import FULL, Quantization, bits_of
from kwsctl.learning.sampling import Shares
from kwsctl.types import FeatureSpec

PEAK_RATE = {"adamw": 6e-3, "sgd": 0.1}
DECAY = {"adamw": 0.03, "sgd": 1e-3}


@dataclass(frozen=True)
class TrainOptions:
    """How to train; written into the bundle's lineage.

    Attributes:
        arch: file in `models/`.
        network: fields of the architecture's `Config`.
        features: how audio becomes features.
        task: `auto` is `wake` for a single keyword, `encode` with an objective, else `keywords`.
        objective: file in `learning/objectives/`: train an encoder for words that it has never heard.
        speaker_weight: of telling speakers apart beside words, for encoders that have a speaker embedding.
        keywords: labels to detect; by default all but the reserved ones.
        clip_s: length of audio the network sees, in s; by default what nearly all keywords need.
        exclude_speakers: who must not be learned from.
        epochs: passes over the training set.
        batch_size: B.
        optimizer: `adamw` or `sgd` (momentum 0.9).
        learning_rate: the highest; by default by optimizer.
        weight_decay: by default by optimizer.
        warmup_epochs: until the highest learning rate.
        label_smoothing: see `kwsctl.learning.losses`.
        ema_decay: of the moving average of the weights, which is what is kept.
        patience: stop after so many epochs without a better held-out figure; 0 never stops early.
        keep: the average of the `best` epoch on held-out speakers, or of the `last` one.
        augmentation: what to vary.
        babble_share: share of clips that get other voices as noise.
        room_share: share of clips that are put into a room.
        room_files: folder of recorded room responses; by default rooms are made.
        refresh_epochs: every clip gets another room after so many epochs.
        shares: how an epoch is made up.
        fa_per_hour: budget of false alarms for the thresholds in the bundle.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32`, or bits of weights, activations and gradients such as `w8a8g8`.
        quantization: how, see `kwsctl.learning.quantized`.
    """

    arch: str = "tcresnet"
    network: Mapping[str, Any] = field(default_factory=dict)
    features: FeatureSpec = field(default_factory=FeatureSpec)
    task: Literal["auto", "keywords", "wake", "encode"] = "auto"
    objective: str | None = None
    speaker_weight: float = 0.1
    keywords: tuple[str, ...] = ()
    clip_s: float | None = None
    exclude_speakers: tuple[str, ...] = ()
    epochs: int = 60
    batch_size: int = 100
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    warmup_epochs: float = 3.0
    label_smoothing: float = 0.05
    ema_decay: float = 0.99
    patience: int = 0
    keep: Literal["best", "last"] = "best"
    augmentation: Augmentation = field(default_factory=Augmentation)
    babble_share: float = 0.2
    room_share: float = 0.2
    room_files: Path | None = None
    refresh_epochs: int = 60
    shares: Shares = field(default_factory=Shares)
    fa_per_hour: float = 0.5
    device: str = "auto"
    precision: str = FULL
    quantization: Quantization = field(default_factory=Quantization)

    def __post_init__(self) -> None:
        bits_of(self.precision)
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)} trains nothing.", "Use at least 1.")
        if self.objective and self.task not in ("auto", "encode"):
            raise InputError(
                f"The objective {self.objective!r} is for encoders, not for the task {self.task!r}.",
                "Leave one of them out.",
            )

    @property
    def kind(self) -> Literal["auto", "keywords", "wake", "encode"]:
        """The task: an objective is one of encoders."""
        return "encode" if self.objective else self.task

    @property
    def peak_rate(self) -> float:
        """The highest learning rate."""
        return PEAK_RATE[self.optimizer] if self.learning_rate is None else self.learning_rate

    @property
    def decay(self) -> float:
        """The weight decay."""
        return DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay
