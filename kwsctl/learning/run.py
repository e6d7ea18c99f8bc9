"""The running state of one training run: model, average, optimizer, sampler, and how to go on."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from kwsctl import architecture
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.augmentation import augment, middle
from kwsctl.learning import checkpoint, encoder, losses, quantized, starting, validation
from kwsctl.learning.averaging import moving_average
from kwsctl.learning.encoder import Trainee, WordSampler
from kwsctl.learning.loop import Batch, EpochFacts, Judge
from kwsctl.learning.noise import coloured_noise, draw_noise
from kwsctl.learning.precision import bits_of
from kwsctl.learning.rendering import Renderings
from kwsctl.learning.sampling import Sampler
from kwsctl.learning.task import Problem
from kwsctl.learning.train_options import TrainOptions
from kwsctl.learning.workers import Workers
from kwsctl.options import to_mapping
from kwsctl.progress import Progress, silent
from kwsctl.seeding import stream_seed, torch_generator
from kwsctl.storage import write_text

STATISTICS_WINDOWS = 2000
NOISE_WINDOWS = 400
BATCHES_AT_ONCE = 4  # a quarter less time than one by one; more no longer stay in the cache


class TrainingRun:
    """Everything that changes while a model is trained, and how it is saved.

    Args:
        store: the audio.
        problem: what to learn.
        options: how.
        seed: of everything random.
        out: where the bundle will be; the log and the checkpoint stand beside it.
        workers: device and processes.
        start: bundle whose weights the network begins with; by default they are random.
        progress: counts windows that are turned into features.

    Raises:
        InputError: the bundle to begin with is of another network.
    """

    def __init__(
        self,
        store: ClipStore,
        problem: Problem,
        options: TrainOptions,
        *,
        seed: int,
        out: Path,
        workers: Workers,
        start: Bundle | None = None,
        progress: Progress = silent,
    ) -> None:
        if start is not None:
            starting.check(start, options.arch, options.network, options.features)
        _check_precision(options)
        self.start = start
        self.problem, self.options, self.seed, self.workers = problem, options, seed, workers
        self.log_path = out.with_suffix(".log.jsonl")
        self.checkpoint_path = out.with_suffix(".resume.safetensors")
        self.fingerprint = _fingerprint(store, options, seed, start)
        self.n_frames = options.features.frames(problem.clip_s)
        self.sampler = _sampler(problem, options)
        self.train = Renderings(
            store,
            problem.train,
            options.features,
            margin_frames=options.augmentation.shift_frames,
            room_share=options.room_share,
            refresh_epochs=options.refresh_epochs,
            seed=seed,
            room_files=options.room_files,
            device=workers.device,
        )
        self.val = Renderings(store, problem.val, options.features, device=workers.device)
        self.train.update(0, progress)
        self.val.update(0)
        self.model = self._fresh_model().to(workers.device)
        if start is not None and isinstance(self.model, Trainee):
            who = encoder.speaker_indices(store, problem.train, problem.speakers)
            self.model.place(self.sampler.target, who, self._as_they_are)
        if bits := bits_of(options.precision):
            quantized.quantize(self.model, bits, options.quantization, seed)
        self.judge = self._judge(store)
        self._seen = torch.full((len(problem.train),), -1.0)
        self.average = moving_average(self.model, options.ema_decay)
        self.optimizer = _optimizer(self.model, options)
        self.noise = self._noise_pool()
        self.log: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"epoch": -1, "score": float("-inf")}
        self.best_weights: dict[str, Tensor] = {}

    @property
    def first_epoch(self) -> int:
        """Where the run goes on."""
        return len(self.log)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Makes the augmented batches of an epoch; the same ones whether or not the run was resumed."""
        torch.manual_seed(stream_seed(self.seed, "dropout", epoch))  # within train()'s fork_rng
        draw = torch_generator(self.seed, "epoch", epoch)
        self.train.update(epoch)
        shares = map(self.workers.share, self.sampler.epoch(draw))
        while together := list(itertools.islice(shares, BATCHES_AT_ONCE)):
            features = self._varied(torch.cat(together), draw)
            parts = torch.split(features, [len(own) for own in together])
            for own, varied in zip(together, parts, strict=True):
                yield Batch(varied, self.sampler.target[own].to(self.workers.device), own)

    def _varied(self, rows: Tensor, draw: torch.Generator) -> Tensor:
        """Makes augmented features [B, F, T] of windows [B]."""
        power = self.train.batch(rows).to(self.workers.device)
        noise = functools.partial(
            draw_noise,
            power=power,
            pool=self.noise,
            n_frames=self.n_frames,
            generator=draw,
            babble_share=self.options.babble_share,
        )
        return augment(power, noise, self.n_frames, self.options.augmentation, draw)

    def _as_they_are(self, rows: Tensor) -> Tensor:
        """Gives features [B, F, T] of windows [B] that nothing is varied in."""
        return middle(self.train.batch(rows), self.n_frames).to(self.workers.device)

    def calibrate(self) -> None:
        """Lets a quantized network see the first batch, for the ranges that it begins with."""
        if quantized.layers_of(self.model):
            batch = next(iter(self.batches(0)))
            with quantized.calibrating(self.model):
                self.judge(self.model(batch.features), batch).loss.backward()  # type: ignore[no-untyped-call]

    def note(self, batch: Batch, output: Any) -> None:
        """Notes how hard the windows of a batch are, for the sampler."""
        if isinstance(self.sampler, Sampler):
            scores = output.float().sigmoid() if self.problem.task == "wake" else output.float().softmax(1)
            self._seen[batch.rows] = self.sampler.hardness_of(scores.cpu())

    def finish_epoch(self, facts: EpochFacts) -> bool:
        """Validates, logs and saves; true where the run should end early."""
        self._learn_hardness()
        figures = self.validate(self.average.module)
        # Epochs are compared by the first figure.
        score = next(iter(figures.values()))
        if score > self.best["score"] or not self.best_weights:
            self.best = {"epoch": facts.epoch, "score": score}
            self.best_weights = {
                k: v.detach().cpu().clone() for k, v in self.average.module.state_dict().items()
            }
        self.log.append(
            {
                "epoch": facts.epoch,
                "loss": facts.loss,
                "train_accuracy": facts.accuracy,
                "val": figures,
                "clips": facts.clips * self.workers.count,
                "seconds": facts.seconds,
                "data_share": facts.data_s / facts.seconds,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                **quantized.told(self.model),
            }
        )
        if self.workers.leads:
            self._save()
        stale = facts.epoch - self.best["epoch"]
        enough = torch.tensor(float(0 < self.options.patience <= stale), device=self.workers.device)
        return bool(self.workers.agree(enough))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Gives the figures of a model on the held-out windows."""
        rows = torch.split(torch.arange(len(self.problem.val)), validation.BATCH)
        features = (middle(self.val.batch(r), self.n_frames) for r in rows)
        logits = validation.logits_of(model, features, self.workers.device)
        return validation.compare_by(self.problem.task, logits, torch.from_numpy(self.problem.val.target))

    def resume(self) -> bool:
        """Goes on from the checkpoint if there is one of the same data, options and seed."""
        if not self.checkpoint_path.is_file():
            return False
        saved = checkpoint.load(self.checkpoint_path)
        if saved.facts["fingerprint"] != self.fingerprint:
            return False
        self.model.load_state_dict(saved.part("model"))
        self.average.load_state_dict(saved.part("average"))
        checkpoint.restore_optimizer(self.optimizer, saved.part("optimizer"))
        self.sampler.hardness = saved.tensors["hardness"]
        self.best_weights = saved.part("best")
        self.best, self.log = dict(saved.facts["best"]), list(saved.facts["log"])
        return True

    def kept_figures(self) -> dict[str, float]:
        """Gives the figures of the weights to keep on the held-out windows."""
        kept = copy.deepcopy(self.average.module)
        kept.load_state_dict(self._chosen_weights())
        return self.validate(kept)

    def bundle(self, lineage: dict[str, Any]) -> Bundle:
        """Makes the bundle of the weights to keep: of the network alone."""
        weights = self._chosen_weights()
        if isinstance(self.model, Trainee):
            weights = self.model.network_of(weights)
        ranges = quantized.ranges(weights)
        return Bundle(
            arch=self.options.arch,
            config=dict(self.options.network),
            features=self.options.features,
            labels=self.problem.labels,
            task="wake" if self.problem.task == "encode" else self.problem.task,
            clip_s=self.problem.clip_s,
            weights=quantized.without_ranges(weights),
            lineage=lineage | ({"activation_ranges": ranges} if ranges else {}),
        )

    def close(self) -> None:
        """Removes the files of features."""
        self.train.close()
        self.val.close()

    def _chosen_weights(self) -> dict[str, Tensor]:
        """Gives the averaged weights to keep: of the best epoch, or of the last one."""
        if self.options.keep == "best":
            return self.best_weights
        return {k: v.detach().cpu() for k, v in self.average.module.state_dict().items()}

    def _fresh_model(self) -> nn.Module:
        torch.manual_seed(stream_seed(self.seed, "weights"))  # within train()'s fork_rng
        model = architecture.build(
            self.options.arch, self.options.network, len(self.problem.labels), self.options.features.mel_bins
        )
        step = max(1, len(self.problem.train) // STATISTICS_WINDOWS)
        features = self._as_they_are(torch.arange(0, len(self.problem.train), step))
        model.get_buffer("standardize.mean").copy_(features.mean((0, 2)))
        model.get_buffer("standardize.std").copy_(features.std((0, 2)).clamp_min(0.1))
        if self.start is not None:
            starting.begin_with(model, self.start, self.problem.labels)
        if self.problem.task == "encode":
            n_words = int(self.problem.train.target.max()) + 1
            return Trainee(model, n_words, len(self.problem.speakers))
        return model

    def _noise_pool(self) -> Tensor:
        """Gives [N, F, T] mel power of recorded background and of made noises."""
        made = coloured_noise(self.options.features, self.problem.clip_s, self.seed)
        rows = torch.from_numpy(self.problem.background)
        some = rows[:: max(1, len(rows) // NOISE_WINDOWS)]
        recorded = self.train.batch(some)[:, :, : self.n_frames]
        return torch.cat([recorded, made.to(recorded.device)])

    def _learn_hardness(self) -> None:
        """Passes on what was noted in this epoch, by all processes."""
        seen = self.workers.largest(self._seen.to(self.workers.device)).cpu()
        self.sampler.hardness = torch.where(seen >= 0, seen, self.sampler.hardness)
        self._seen.fill_(-1.0)

    def _judge(self, store: ClipStore) -> Judge:
        options = self.options
        if not isinstance(self.model, Trainee):
            loss = losses.keyword_loss if self.problem.task == "keywords" else losses.wake_loss
            return losses.classification(loss(options.label_smoothing))
        speaker = encoder.speaker_indices(store, self.problem.train, self.problem.speakers)
        return encoder.judge(self.model, options.objective or "softmax", speaker, options.speaker_weight)

    def _save(self) -> None:
        tensors = (
            checkpoint.prefixed("model", self.model.state_dict())
            | checkpoint.prefixed("average", self.average.state_dict())
            | checkpoint.prefixed("best", self.best_weights)
            | checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer))
            | {"hardness": self.sampler.hardness}
        )
        facts = {"fingerprint": self.fingerprint, "best": self.best, "log": self.log}
        checkpoint.Checkpoint(facts, tensors).save(self.checkpoint_path)
        write_text(self.log_path, "".join(json.dumps(line) + "\n" for line in self.log))


def _sampler(problem: Problem, options: TrainOptions) -> Sampler | WordSampler:
    if problem.task == "encode":
        return WordSampler(torch.from_numpy(problem.train.target), options.batch_size)
    return Sampler(problem, options.shares, options.batch_size)


def _optimizer(model: nn.Module, options: TrainOptions) -> Optimizer:
    """Decays weights but neither biases nor normalization, as usual with AdamW."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": options.decay}, {"params": others, "weight_decay": 0.0}]
    if options.optimizer == "sgd":
        return SGD(groups, lr=options.peak_rate, momentum=0.9, nesterov=True)
    return AdamW(groups, lr=options.peak_rate, fused=True)


def _check_precision(options: TrainOptions) -> None:
    """Refuses a network that cannot be quantized, before any clip becomes features."""
    if bits := bits_of(options.precision):
        if options.quantization.storage == "integer":
            raise InputError(
                "A network that begins with random weights is not trained on weights stored as integers.",
                "Use quantization.storage=integer with kwsctl enroll or adapt.",
            )
        network = architecture.build(options.arch, options.network, 1, options.features.mel_bins)
        quantized.quantize(network, bits, options.quantization)


def _fingerprint(store: ClipStore, options: TrainOptions, seed: int, start: Bundle | None) -> str:
    clips = [(c.sha256, c.start_s, c.duration_s, c.label, c.speaker, c.split) for c in store.clips]
    facts = [clips, to_mapping(options), seed, *([start.sha256] if start else [])]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
