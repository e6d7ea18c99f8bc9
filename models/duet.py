"""Two embeddings of one trunk: which word was said, and who said it.

The trunk is that of TC-ResNet8 (Choi et al. 2019, arXiv 1904.03814). The word embedding is the direction of
the mean over frames; what is silent adds nothing to it, so that it does not depend on how much silence
surrounds a word. The speaker embedding pools mean and spread of what every block says, as speakers show in
shallow layers and words in deep ones (multi-task learning of both on shared layers: Yang et al. 2022, arXiv
2206.13708). Both have length one, so that products of two of them are cosines, and a row of the head is
what a word's prototype is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Norm
from ._streaming import Streaming
from .tcresnet import Trunk, stream_trunk

DEPTH = 8


@dataclass(frozen=True)
class Config:
    """Which network.

    Attributes:
        width: multiplies the number of channels of TC-ResNet8.
        embedding: size of the word embedding.
        speaker: size of the speaker embedding.
        norm: `batch`, or `group` for learning from few clips.
    """

    width: float = 1.75
    embedding: int = 96
    speaker: int = 64
    norm: Norm = "batch"


class Direction(nn.Module):
    """A projection to length one.

    Args:
        n_in: size of the input.
        n_out: size of the output.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_in, n_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., C] to [..., E] of length one."""
        return fn.normalize(self.project(x), dim=-1)


class Duet(Trunk):
    """TC-ResNet8 with a word and a speaker embedding.

    Attributes:
        embedding_size: of the word embedding, E.
        speaker_size: of the speaker embedding.

    Args:
        config: which variant.
        n_labels: L, may be 0: then only enrolled words have rows.
        n_bins: F.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__(DEPTH, config.width, config.norm, n_bins)
        self.embedding_size, self.speaker_size = config.embedding, config.speaker
        self.word = Direction(self.channels[-1], config.embedding)
        self.voice = Direction(2 * sum(self.channels[1:]), config.speaker)
        self.head = _head(config.embedding, n_labels)

    def pooled(self, frames: Tensor) -> Tensor:
        """Maps means over frames [..., C] to word embeddings [..., E]."""
        return cast(Tensor, self.word(frames))

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to word embeddings [B, E] of length one."""
        return self.pooled(self.trunk(x).mean(2))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features [B, F, T] to word [B, E] and speaker embeddings [B, S], both of length one."""
        found = self.outputs(x)
        return self.pooled(found[-1].mean(2)), self.voice(_statistics(found))

    def statistics(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to mean and spread of what every block says, [B, 2C]."""
        return _statistics(self.outputs(x))

    def speaker(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to speaker embeddings [B, S] of length one."""
        return self.both(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of a word's score for a clip of `n_frames` frames."""
        return self.head.weight.numel() + self.word.project.weight.numel() + self.trunk_macs(n_frames)


def _statistics(found: list[Tensor]) -> Tensor:
    return torch.cat([part for y in found for part in (y.mean(2), (y.var(2) + 1e-5).sqrt())], 1)


def _head(size: int, n_labels: int) -> nn.Linear:
    """Makes a head; one without rows is cut from one with a row, because torch warns of none."""
    head = nn.Linear(size, max(1, n_labels))
    head.weight, head.bias = nn.Parameter(head.weight[:n_labels]), nn.Parameter(head.bias[:n_labels])
    head.out_features = n_labels
    return head


def stream(model: nn.Module, clip_frames: int = 98) -> Streaming:
    """Makes the streaming form, which shares the weights of a network in evaluation mode.

    Args:
        model: a network of this file with batch normalization.
        clip_frames: feature frames that a score looks at; 98 is one second.

    Returns:
        A network that maps features [B, F, t] and a state to logits [B, n, L] and a state.
    """
    net = cast(Duet, model)
    head = nn.Sequential(net.word, net.head)
    return Streaming(stream_trunk(net), head, clip_frames, net.word.project.in_features)


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained network.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A network in training mode.
    """
    return Duet(config, n_labels, n_bins)
