"""Runs a network on audio without end, a few frames at a time, with the numbers of one long pass.

A network here is a chain of stages. Each keeps the frames that its next output still needs as state,
and gives what can be computed so far, which may be nothing. Layers that look ahead therefore answer
later, and a branch that answers earlier than the other waits for it. Zeros come before the first frame,
as padding does in one long pass; there is no padding at the end, because a stream has none.

The scores are those of a window of `clip_frames` frames that slides over the frames of the trunk: the
network is run over the long signal once, and pooled over each window. Frames are the last dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

State = Tensor | tuple["State", ...]
"""What the stages keep, nested as they are."""
Step = Callable[[Tensor], Tensor]


class Stage(nn.Module):
    """One part of a streaming network.

    Attributes:
        stride: input frames per output frame.
        delay_frames: input frames that an output frame waits for beyond its own.
    """

    stride: int = 1
    delay_frames: int = 0

    def initial_state(self, batch: int) -> State:
        """Gives the state before the first frame of `batch` streams."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Maps the next frames [B, ..., t] to what can be told now [B, ..., t'], and updates the state."""
        raise NotImplementedError


class Frames(Stage):
    """A computation over `reach` frames at a time, without padding, such as a convolution.

    Args:
        step: maps [B, ..., t] with t >= `reach` to [B, ..., (t - reach) / stride + 1 rounded down].
        shape: of one input frame, without batch and frame dimensions.
        reach: input frames that an output frame sees.
        stride: input frames per output frame.
        padding: how many of the `reach` frames lie before the frame itself.
    """

    def __init__(
        self, step: Step, shape: tuple[int, ...], reach: int = 1, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        reach = max(reach, stride)  # the frames that a stride skips have to come before the next output
        self.step, self.shape, self.reach, self.stride, self.padding = step, shape, reach, stride, padding
        self.delay_frames = reach - 1 - padding

    def initial_state(self, batch: int) -> State:
        """Gives the frames of padding before the stream."""
        return torch.zeros(batch, *self.shape, self.padding)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Computes as many output frames as the frames kept and the new ones allow."""
        kept = torch.cat([cast(Tensor, state).to(x), x], -1)
        count = max(0, (kept.shape[-1] - self.reach) // self.stride + 1)
        if count == 0:
            missing = self.reach - kept.shape[-1]
            return self.step(fn.pad(kept, (0, max(0, missing))))[..., :0], kept
        used = (count - 1) * self.stride + self.reach
        return self.step(kept[..., :used]), kept[..., count * self.stride :]


class Chain(Stage):
    """Stages one after the other.

    Args:
        *stages: in order.
    """

    def __init__(self, *stages: Stage) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        for stage in stages:
            self.delay_frames += stage.delay_frames * self.stride
            self.stride *= stage.stride

    def initial_state(self, batch: int) -> State:
        """Gives one state per stage."""
        return tuple(cast(Stage, stage).initial_state(batch) for stage in self.stages)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs the stages."""
        after = []
        for stage, before in zip(self.stages, state, strict=True):
            x, kept = stage(x, before)
            after.append(kept)
        return x, tuple(after)


class Sum(Stage):
    """Two branches that are added frame by frame, however late each of them answers.

    Args:
        first: a branch.
        second: another, with the same stride.
        join: combines the two; by default relu of the sum.
        split: gives the inputs of the two branches; by default both get the same.
    """

    def __init__(
        self,
        first: Stage,
        second: Stage,
        join: Callable[[Tensor, Tensor], Tensor] = lambda a, b: fn.relu(a + b),
        split: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda x: (x, x),
    ) -> None:
        super().__init__()
        self.first, self.second, self.join, self.split = first, second, join, split
        self.stride = first.stride
        self.delay_frames = max(first.delay_frames, second.delay_frames)

    def initial_state(self, batch: int) -> State:
        """Gives the states of both branches and nothing that waits."""
        nothing = torch.zeros(0)
        return self.first.initial_state(batch), self.second.initial_state(batch), nothing, nothing

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Adds the frames that both branches have answered."""
        first, second, early, late = cast(tuple[Any, ...], state)
        a, b = self.split(x)
        a, first = self.first(a, first)
        b, second = self.second(b, second)
        a, b = (torch.cat([kept, new], -1) if kept.numel() else new for kept, new in ((early, a), (late, b)))
        ready = min(a.shape[-1], b.shape[-1])
        out = self.join(a[..., :ready], b[..., :ready])
        return out, (first, second, a[..., ready:], b[..., ready:])


class Streaming(nn.Module):
    """The streaming form of a network.

    Attributes:
        stride: feature frames per score.
        delay_frames: feature frames that a score waits for beyond the last frame of its window.
        window: trunk frames that are pooled.

    Args:
        trunk: maps features [B, F, t] to frame embeddings [B, E, t'].
        head: maps embeddings [B, E] to logits [B, L].
        clip_frames: feature frames of a clip, T.
        embedding_size: E.
    """

    def __init__(self, trunk: Stage, head: nn.Module, clip_frames: int, embedding_size: int) -> None:
        super().__init__()
        self.stride, self.delay_frames = trunk.stride, trunk.delay_frames
        self.window = -(-clip_frames // trunk.stride)
        pool = Frames(lambda x: fn.avg_pool1d(x, self.window, 1), (embedding_size,), self.window)
        self.body, self.head = Chain(trunk, pool), head

    def initial_state(self, batch: int = 1) -> State:
        """Gives the state before the first frame of `batch` streams."""
        return self.body.initial_state(batch)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores the next frames.

        Args:
            x: features [B, F, t], t from 0 up.
            state: what the call before gave, or `initial_state`.

        Returns:
            Logits [B, n, L] of the n windows that ended, one every `stride` frames, and the state for the
            next call.
        """
        pooled, state = self.body(x, state)
        return self.head(pooled.transpose(1, 2)), state


def convolution(conv: nn.Conv1d | nn.Conv2d, shape: tuple[int, ...], then: Step = lambda x: x) -> Frames:
    """Makes the stage of a convolution whose padding over time is symmetric.

    Args:
        conv: its weights are shared, not copied.
        shape: of one input frame.
        then: what follows frame by frame, such as a normalization in evaluation mode.

    Returns:
        The stage.
    """
    kernel, stride, dilation = conv.kernel_size[-1], conv.stride[-1], conv.dilation[-1]
    padding = cast(tuple[int, ...], conv.padding)
    run = fn.conv1d if isinstance(conv, nn.Conv1d) else fn.conv2d

    def step(x: Tensor) -> Tensor:
        within = (*padding[:-1], 0)
        return then(run(x, conv.weight, conv.bias, conv.stride, within, conv.dilation, conv.groups))

    return Frames(step, shape, dilation * (kernel - 1) + 1, stride, padding[-1])


def check_streamable(model: nn.Module) -> None:
    """Refuses networks whose frames depend on the whole clip.

    Args:
        model: a network of this folder.

    Raises:
        ValueError: it normalizes over the frames of a clip.
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        raise ValueError(
            "Group normalization takes its statistics over the frames of a whole clip, so that a network "
            "with it cannot run frame by frame. Train with norm=batch to stream."
        )
