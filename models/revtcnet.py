"""Reversible network over time: separable convolutions in couplings; depth costs no training memory.

The talk "Enabling on-device learning at scale" trains an invertible network in a twelfth of the activation
memory of MobileNetV2 without saying how it is built. This is ours for keyword spotting: mel bins are
channels, as in TC-ResNet (Choi et al. 2019, arXiv 1904.03814), and the stages between a first convolution
and the pooling are one chain of reversible couplings and squeezes, see `_reversible`. F and G are depthwise
convolutions over nine frames, group normalization, ReLU, and a projection.

`coupled = False` makes the ordinary residual network of the same functions, x + F(x) and then x + G(x), for
comparison: it has the same layers but cannot be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Standardize, normalization
from ._reversible import Chain, Coupling, Keeping, Squeeze

NO_STREAM = (
    "Group normalization takes its statistics over the frames of a whole clip, so that the network cannot "
    "run frame by frame; batch normalization would count every batch twice when activations are rebuilt."
)
KERNEL = 9
STEM_KERNEL = 3


@dataclass(frozen=True)
class Config:
    """Which network.

    Attributes:
        blocks: couplings in each stage; after each stage but the last, frames are halved and channels
            doubled.
        channels: of each half in the first stage.
        coupled: whether the two functions of a block are coupled, and can be undone.
        keeping: what training keeps: `output`, or for comparison `everything` or the `inputs` of each block.
    """

    blocks: tuple[int, ...] = (8, 8, 8)
    channels: int = 16
    coupled: bool = True
    keeping: Keeping = "output"


class Function(nn.Sequential):
    """F or G: a separable convolution that keeps the shape [B, C, T].

    Args:
        channels: C.
        depth: couplings of the network; what each adds starts the smaller, the more there are.
    """

    def __init__(self, channels: int, depth: int) -> None:
        project = nn.Conv1d(channels, channels, 1)
        with torch.no_grad():
            project.weight.mul_(depth**-0.5)
        super().__init__(
            nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels, bias=False),
            normalization("group", channels),
            nn.ReLU(),
            project,
        )


class Ordinary(nn.Module):
    """The same two functions without coupling: two residual blocks on the same channels.

    Args:
        first: F.
        second: G.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, T] to [B, C, T]."""
        x = x + self.first(x)
        total: Tensor = x + self.second(x)
        return total


class RevTCNet(nn.Module):
    """Stem, chain and linear head.

    Attributes:
        embedding_size: E, channels of the last stage.

    Args:
        config: which variant.
        n_labels: L.
        n_bins: F.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__()
        self.coupled, self.shrink = config.coupled, 2 ** (len(config.blocks) - 1)
        halves = 2 if config.coupled else 1
        self.standardize = Standardize(n_bins)
        self.stem = nn.Conv1d(n_bins, halves * config.channels, STEM_KERNEL, padding=STEM_KERNEL // 2)
        layers: list[nn.Module] = []
        for stage, count in enumerate(config.blocks):
            width = config.channels * 2**stage
            layers += [Squeeze(-1)] if stage else []
            for _ in range(count):
                pair = (Function(width, sum(config.blocks)) for _ in range(2))
                layers.append(Coupling(*pair) if config.coupled else Ordinary(*pair))
        self.chain = Chain(layers, config.keeping) if config.coupled else nn.ModuleList(layers)  # type: ignore[arg-type]
        self.embedding_size = halves * config.channels * self.shrink
        self.norm = normalization("group", self.embedding_size)
        self.head = nn.Linear(self.embedding_size, n_labels)

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to frame embeddings [B, E, T / shrink rounded up]."""
        y = fn.pad(self.standardize(x), (0, -x.shape[2] % self.shrink))
        y = self.stem(y)
        if self.coupled:
            y = torch.cat(self.chain(*y.chunk(2, 1)), 1)
        else:
            for layer in cast(nn.ModuleList, self.chain):
                y = layer.squeezed(y) if isinstance(layer, Squeeze) else layer(y)
        return fn.relu(self.norm(y))

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to clip embeddings [B, E]: the mean over frames."""
        return self.trunk(x).mean(2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of convolutions and head for a clip of `n_frames` frames."""
        frames = n_frames + -n_frames % self.shrink
        total = self.head.weight.numel() + self.stem.weight.numel() * frames
        layers = self.chain.layers if isinstance(self.chain, Chain) else self.chain
        for layer in layers:
            if isinstance(layer, Squeeze):
                frames //= 2
            total += frames * sum(m.weight.numel() for m in layer.modules() if isinstance(m, nn.Conv1d))
        return int(total)


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained network.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A network in training mode.
    """
    return RevTCNet(config, n_labels, n_bins)
