"""How `kwsctl bench few-shot` measures."""

from __future__ import annotations

from dataclasses import dataclass

from kwsctl.learning.train_options import TrainOptions

GLOBAL = TrainOptions(arch="tcresnet", network={"dropout": 0.2}, epochs=30, keep="last", learning_rate=6e-3)


@dataclass(frozen=True)
class FewShotOptions:
    """How to measure.

    Attributes:
        held_out: people in a fold.
        folds: how many of these to test; 0 for all.
        keywords: how many, spread over the labels.
        shots: clips to enrol.
        methods: files in `learning/adapters/` that change the head alone, tried with every number of clips.
        deep_methods: files that change the network, and take longer; and `auto`, as `kwsctl enroll` chooses.
        deep_shots: clips to enrol with these.
        deep_keywords: keywords to try these with.
        memory_budget: bytes that the methods among these may take that can be cut to a budget.
        snr_db: put every person into surroundings of their own, with noise so far below the speech;
            None leaves the clips as they are.
        epochs: of the global models.
        seed: of everything random.
    """

    held_out: int = 6
    folds: int = 0
    keywords: int = 10
    shots: tuple[int, ...] = (1, 3, 5)
    methods: tuple[str, ...] = ("prototype", "head", "user_embedding")
    deep_methods: tuple[str, ...] = ("bias", "lora", "full", "auto")
    deep_shots: int = 5
    deep_keywords: int = 3
    memory_budget: int = 256 * 1024
    snr_db: float | None = None
    epochs: int = GLOBAL.epochs
    seed: int = 0
