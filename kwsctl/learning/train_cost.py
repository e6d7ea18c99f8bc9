"""What a step of `kwsctl train` takes, before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kwsctl import architecture
from kwsctl.data.store import ClipStore
from kwsctl.learning import cost, encoder, losses, quantized, task
from kwsctl.learning.cost import Cost
from kwsctl.learning.encoder import Trainee
from kwsctl.learning.loop import Batch, Judge
from kwsctl.learning.precision import bits_of
from kwsctl.learning.task import Problem
from kwsctl.learning.train_options import TrainOptions
from kwsctl.seeding import torch_generator


def train_cost(store: ClipStore, options: TrainOptions) -> Cost:
    """Measures a training step on features of noise: what it takes depends on shapes alone.

    Args:
        store: gives the labels and the length of a clip.
        options: network, batch size, optimizer and precision.

    Returns:
        The cost of a step.

    Raises:
        InputError: nothing to learn.
    """
    problem = task.pose(
        store,
        task=options.kind,
        keywords=options.keywords,
        clip_s=options.clip_s,
        exclude_speakers=options.exclude_speakers,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _measured(problem, options)


def _measured(problem: Problem, options: TrainOptions) -> Cost:
    frames, bins = options.features.frames(problem.clip_s), options.features.mel_bins
    model = architecture.build(options.arch, options.network, len(problem.labels), bins)
    judge: Judge
    if problem.task == "encode":
        words = int(problem.train.target.max()) + 1
        trainee = Trainee(model, words, len(problem.speakers))
        speakers = torch.arange(options.batch_size) % max(1, len(problem.speakers))
        judge = encoder.judge(trainee, options.objective or "softmax", speakers, options.speaker_weight)
        model, n_targets = trainee, words
    else:
        loss = losses.keyword_loss if problem.task == "keywords" else losses.wake_loss
        judge, n_targets = losses.classification(loss(options.label_smoothing)), len(problem.labels)
    if bits := bits_of(options.precision):
        quantized.quantize(model, bits, options.quantization)
    rows = torch.arange(options.batch_size)
    # As in an epoch of episodes, each word comes more than once.
    target = (rows // 2) % n_targets
    features = torch.randn(options.batch_size, bins, frames, generator=torch_generator(0, "cost"))

    def value(network: nn.Module) -> Tensor:
        return judge(network(features), Batch(features, target, rows)).loss

    return cost.measured(model.train(), value, options.batch_size, optimizer=options.optimizer, bits=bits)
