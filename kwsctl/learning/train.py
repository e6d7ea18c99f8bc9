"""`kwsctl train`: a global model from a clip store."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from kwsctl import __version__, architecture
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning import task
from kwsctl.learning.loop import fit
from kwsctl.learning.prefetching import core_to_spare, prefetched
from kwsctl.learning.run import TrainingRun
from kwsctl.learning.schedule import warmup_cosine
from kwsctl.learning.task import Problem
from kwsctl.learning.thresholds import held_out_thresholds
from kwsctl.learning.train_options import TrainOptions
from kwsctl.learning.workers import Workers, workers
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.types import UNKNOWN


@dataclass(frozen=True)
class TrainResult:
    """What training made.

    Attributes:
        bundle: the model file.
        sha256: its identity.
        arch: architecture.
        task: `keywords` or `wake`.
        labels: outputs of the model.
        clip_s: length of audio it sees, in s.
        params: trainable numbers.
        macs_per_clip: multiply-accumulates for one window.
        epochs: how many were trained.
        best_epoch: the one with the best held-out figure, counted from 1.
        train_s: time in the loop, in s, over all resumed parts.
        clips_per_s: training speed.
        data_share: part of the time in which steps wait for their batch; others are made while a step runs.
        val: figures of the kept weights on held-out speakers.
        held_out: who was held out.
        thresholds: score from which each keyword counts as detected.
        log: the JSONL file with a line per epoch.
        resumed_from: epochs that an earlier, interrupted run had done.
        warnings: what the data lacks, and what follows from that.
    """

    bundle: Path
    sha256: str
    arch: str
    task: str
    labels: tuple[str, ...]
    clip_s: float
    params: int
    macs_per_clip: int
    epochs: int
    best_epoch: int
    train_s: float
    clips_per_s: float
    data_share: float
    val: Mapping[str, float]
    held_out: str
    thresholds: Mapping[str, float]
    log: Path
    resumed_from: int
    warnings: tuple[str, ...]


def train(
    store: ClipStore,
    out: Path,
    options: TrainOptions,
    *,
    seed: int = 0,
    resume: Literal["auto", "must", "never"] = "auto",
    provenance: Mapping[str, Any] | None = None,
    start: Bundle | None = None,
    own: Workers | None = None,
    progress: Progress = silent,
) -> TrainResult:
    """Trains a global model; a killed run goes on where it was, and ends with the same figures.

    Args:
        store: the audio, with a split `train`.
        out: the bundle to write; `*.log.jsonl` and, until the run is done, `*.resume.safetensors`
            stand beside it.
        options: how to train.
        seed: of everything random.
        resume: `auto` goes on if there is a checkpoint of the same run, `must` insists, `never` starts anew.
        provenance: facts for the lineage, such as the name and the licences of the data.
        start: bundle whose weights the network begins with; by default they are random.
        own: device and place among the processes; by default what `options.device` says, alone.
        progress: counts steps.

    Returns:
        What was made, and its figures on held-out speakers.

    Raises:
        InputError: nothing to learn, `must` and nothing to resume, or a start that is another network.
        DeviceError: the device is not there.
    """
    # Dropout and initial weights draw from torch's global generator: ours inside, the caller's after.
    place = workers(options.device) if own is None else contextlib.nullcontext(own)
    with place as own, torch.random.fork_rng(devices=[]):
        problem = task.pose(
            store,
            task=options.kind,
            keywords=options.keywords,
            clip_s=options.clip_s,
            exclude_speakers=options.exclude_speakers,
        )
        run = TrainingRun(
            store, problem, options, seed=seed, out=out, workers=own, start=start, progress=progress
        )
        try:
            return _train(run, store, out, resume, provenance or {}, progress)
        finally:
            run.close()


def _train(
    run: TrainingRun,
    store: ClipStore,
    out: Path,
    resume: Literal["auto", "must", "never"],
    provenance: Mapping[str, Any],
    progress: Progress,
) -> TrainResult:
    resumed = resume != "never" and run.resume()
    if resume == "must" and not resumed:
        raise InputError(
            f"{run.checkpoint_path} is not there, or is of other data, options or another seed.",
            "Repeat the interrupted command exactly, or leave --resume out.",
        )
    if not resumed:
        run.calibrate()
    resumed_from, options, steps = run.first_epoch, run.options, run.sampler.steps
    fit(
        run.model,
        (lambda epoch: prefetched(run.batches(epoch))) if core_to_spare(run.workers.device) else run.batches,
        run.judge,
        run.optimizer,
        epochs=options.epochs,
        steps_per_epoch=steps,
        learning_rate=warmup_cosine(
            options.peak_rate, round(options.warmup_epochs * steps), options.epochs * steps
        ),
        first_epoch=resumed_from,
        average=run.average,
        workers=run.workers,
        note=run.note,
        on_epoch=run.finish_epoch,
        progress=progress if run.workers.leads else silent,
    )
    bundle = run.bundle(_lineage(run, provenance))
    if run.workers.leads:
        thresholds = held_out_thresholds(bundle, store, run.problem, options.fa_per_hour, progress)
        bundle = dataclasses.replace(bundle, thresholds=thresholds)
        bundle.save(out)
        run.checkpoint_path.unlink(missing_ok=True)
    return _result(run, bundle, out, resumed_from)


def _lineage(run: TrainingRun, provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **provenance,
        "kwsctl": __version__,
        "torch": torch.__version__,
        "options": to_mapping(run.options),
        "seed": run.seed,
        "run": run.fingerprint,
        **({"parent": run.start.sha256} if run.start else {}),
        "speakers": list(run.problem.speakers),
        "held_out": run.problem.held_out,
        "val": {name: value for name, value in run.kept_figures().items() if math.isfinite(value)},
    }


def _result(run: TrainingRun, bundle: Bundle, out: Path, resumed_from: int) -> TrainResult:
    model = bundle.model()
    seconds = sum(line["seconds"] for line in run.log)
    clips = sum(line["clips"] for line in run.log)
    return TrainResult(
        bundle=out,
        sha256=bundle.sha256,
        arch=bundle.arch,
        task=bundle.task,
        labels=bundle.labels,
        clip_s=bundle.clip_s,
        params=architecture.count_parameters(model),
        macs_per_clip=architecture.count_macs(model, bundle.n_frames),
        epochs=len(run.log),
        best_epoch=run.best["epoch"] + 1,
        train_s=seconds,
        clips_per_s=clips / seconds,
        data_share=sum(line["data_share"] * line["seconds"] for line in run.log) / seconds,
        val=run.kept_figures(),
        held_out=run.problem.held_out,
        thresholds=dict(bundle.thresholds),
        log=run.log_path,
        resumed_from=resumed_from,
        warnings=tuple(_warnings(run.problem)),
    )


def _warnings(problem: Problem) -> Iterator[str]:
    """Says what the model will not know, because the data does not hold it."""
    if not len(problem.background):
        yield (
            "No clip is labelled _background_: the model has heard only words, and will fire on noise. "
            "Add --data with some (kwsctl data prepare ms_snsd, or musan)."
        )
    if not (problem.train.target < 0).any() and UNKNOWN not in problem.labels:
        yield (
            "No clip is of another word: the model takes every word for a keyword. "
            "Add --data with other words, labelled _unknown_."
        )
    if not problem.speakers:
        yield (
            "No clip names its speaker: held-out figures may be of people that the model has heard, "
            "and look better than they are."
        )
