"""Chooses a form of a model for a target, and proves that it hears what the float model hears."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from kwsctl.bundle import Bundle
from kwsctl.errors import InputError, ParityError
from kwsctl.export import choosing, graphs, parity
from kwsctl.export.chips import CHIPS, Chip
from kwsctl.export.chips import chip as chip_named
from kwsctl.export.finetuning import Tuned
from kwsctl.export.heard import Heard
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.parity import Compared, Judge
from kwsctl.export.quantization import Precision
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.scores import Head
from kwsctl.export.target import Request, Target
from kwsctl.progress import Progress, silent

CHOOSE_EVERY, LEAST_EMULATED = 4, 20


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        precision: of weights and activations; `auto` takes the coarsest that loses no more than allowed.
        max_loss: points of accuracy that may be lost against the float model.
        soc: chips to compile for; all of the table if empty.
        emulated: windows that each emulator runs.
        stream: whether to export the streaming form, too.
        qat: fine-tune with quantization in the loop where eight bits lose too much otherwise.
        qat_steps: of the fine-tuning, of 48 windows each.
        qat_rate: the highest learning rate of the fine-tuning.
        trainable: also write a training program of the head: `executorch`; experimental.
        seed: of what is drawn.
    """

    precision: Literal["auto", "w8a8", "w8a16", "mixed", "float"] = "auto"
    max_loss: float = 0.5
    soc: tuple[str, ...] = ()
    emulated: int = 100
    stream: bool = True
    qat: bool = False
    qat_steps: int = 300
    qat_rate: float = 3e-4
    trainable: Literal["no", "executorch"] = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_loss < 0 or self.emulated < 1 or self.qat_steps < 1 or self.qat_rate <= 0:
            raise InputError(
                f"max_loss = {self.max_loss:g}, emulated = {self.emulated}, qat_steps = {self.qat_steps}, "
                f"qat_rate = {self.qat_rate:g}: one of them cannot be.",
                "Give a loss of 0 or more points, one window and step or more, and a rate above 0.",
            )

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The chips that are named."""
        return tuple(dict.fromkeys(chip_named(name) for name in self.soc))


@dataclass(frozen=True, eq=False)
class Proven:
    """A form of the model, and the proof that it may ship.

    Attributes:
        choice: the form.
        parity: figures by what ran it, on windows that it was not chosen on.
        proof: what the target proved beyond that.
    """

    choice: choosing.Choice
    parity: Mapping[str, Compared]
    proof: Mapping[str, Any]


def float_head(bundle: Bundle) -> Head:
    """Gives the head of a bundle."""
    weights = bundle.weights
    weight, bias = (np.asarray(weights[f"head.{name}"].float().numpy()) for name in ("weight", "bias"))
    return Head(bundle.labels, bundle.task, weight, bias)


def request(
    bundle: Bundle,
    calibration: Heard,
    held_out: Heard,
    options: ExportOptions,
    progress: Progress = silent,
) -> Request:
    """Prepares what targets are asked.

    Args:
        bundle: the model.
        calibration: windows that ranges are taken from.
        held_out: windows to compare on.
        options: chips, and how many windows an emulator runs.
        progress: told what is being done.

    Returns:
        The safe graph, inputs of the calibration, and what answers are judged by.

    Raises:
        InputError: an unknown chip.
    """
    safe = htp_safe(graphs.window_graph(bundle))
    session = cpu_session(safe.model)
    head = float_head(bundle)
    if not head.labels:
        known = run_windows(session, calibration.features)[0]
        head = parity.words_head(known, calibration.labels)
    judge = Judge(head, bundle.thresholds, options.seed, is_encoder=not bundle.labels)
    few = held_out.take(np.arange(min(len(held_out), options.emulated)))
    return Request(
        graph=safe.model,
        rewritten=safe.batch_norms,
        feeds=list(calibration.feeds(graphs.FEATURES)),
        chips=options.chips or tuple(CHIPS.values()),
        judge=judge,
        heard=few,
        exact=judge.answers(lambda features: run_windows(session, features), few),
        progress=progress,
    )


def proven(
    target: Target,
    request: Request,
    held_out: Heard,
    options: ExportOptions,
    progress: Progress,
    tuner: Callable[[], Tuned] | None = None,
) -> Proven:
    """Chooses a form on some windows, and compares it on the others.

    Args:
        target: where the model goes.
        request: the graph and its calibration.
        held_out: all windows to compare on.
        options: precision, and what may be lost.
        progress: told what is being done.
        tuner: fine-tunes the network with quantization in the loop, see `choosing.choose`.

    Returns:
        The form, and its figures.

    Raises:
        ParityError: every form loses more than allowed, or is destroyed on the device.
    """
    rows = np.arange(len(held_out))
    some, others = held_out.take(rows[::CHOOSE_EVERY]), held_out.take(rows[rows % CHOOSE_EVERY > 0])
    is_auto = options.precision == "auto"
    asked: list[Precision] = [one for one in target.PRECISIONS if one != "float"]
    if not is_auto:
        asked = [cast(Precision, options.precision)]
    reasons: list[str] = []
    tried: dict[str, Any] = {}
    while True:
        few = max(LEAST_EMULATED, options.emulated // 2)
        choice = choosing.choose(target, request, some, asked, options.max_loss, few, tuner)
        shipped = request if choice.tuned is None else dataclasses.replace(request, graph=choice.tuned.graph)
        proof = _proof(target, shipped, choice)
        found = _compared(target, request, others, choice, options, progress)
        reasons.append(choice.why)
        tried |= choice.tried
        faults = [fault for one in found.values() if (fault := choosing.over(one, options.max_loss))]
        asked = asked[asked.index(choice.precision) + 1 :]
        if not faults:
            break
        reasons.append(f"but {choice.precision} {faults[0]} of the windows that it was not chosen on")
        if not asked:
            raise ParityError(
                f"The model {faults[0]} as {choice.precision}, {options.max_loss:g} points are allowed: "
                f"{'; '.join(reasons)}.",
                "Nothing was written. Allow more with --max-loss, or calibrate with clips like real use: "
                "--data.",
            )
    why = "; ".join([*([] if is_auto else ["as asked"]), *reasons])
    return Proven(dataclasses.replace(choice, why=why, tried=tried), found, proof)


def _proof(target: Target, request: Request, choice: choosing.Choice) -> Mapping[str, Any]:
    """Lets the target prove what parity alone does not show."""
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / target.MODEL
        model.write_bytes(choice.content)
        return target.verify(request, model)


def _compared(
    target: Target,
    request: Request,
    heard: Heard,
    choice: choosing.Choice,
    options: ExportOptions,
    progress: Progress,
) -> dict[str, Compared]:
    """Compares the chosen form with the float model on windows that it was not chosen on."""
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / target.MODEL
        model.write_bytes(choice.content)
        return choosing.compared(
            target, request.judge, request.graph, heard, model, options.emulated, progress
        )
