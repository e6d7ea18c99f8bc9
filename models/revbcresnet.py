"""Reversible BC-ResNet: the broadcasted residual function in couplings, in two dimensions.

The function is that of BC-ResNet (Kim, Chang, Lee & Sung 2021, arXiv 2106.04140, equation 3): a depthwise
convolution over frequency with sub-spectral normalization, and what a temporal convolution makes of its
mean over frequency, added to all frequencies. Here F and G of a coupling are two such functions, each on
half of the channels; where BC-ResNet strides over frequency, pairs of rows become channels. Normalization
is over groups, see `_reversible`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Standardize, normalization
from ._reversible import Chain, Coupling, Keeping, Squeeze
from .bcresnet import BINS_DIVISOR, SubSpectralNorm

NO_STREAM = (
    "Group normalization takes its statistics over the frames of a whole clip, so that the network cannot "
    "run frame by frame; batch normalization would count every batch twice when activations are rebuilt."
)
STAGE_SQUEEZES = (False, True, True, False)
TAIL_CHANNELS = 32


@dataclass(frozen=True)
class Config:
    """Which network.

    Attributes:
        channels: of each half in the first stage.
        blocks: couplings in each of the four stages, whose dilations over time are 1, 2, 4 and 8.
        keeping: what training keeps: `output`, or for comparison `everything` or the `inputs` of each block.
    """

    channels: int = 8
    blocks: tuple[int, ...] = (2, 2, 4, 4)
    keeping: Keeping = "output"


class Broadcast(nn.Module):
    """F or G: frequency first, then time, broadcast over frequency.

    Args:
        channels: C.
        dilation: over time, in frames.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.frequency = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), groups=channels, bias=False)
        self.spectral_norm = SubSpectralNorm("group", channels)
        self.temporal = nn.Conv2d(
            channels,
            channels,
            (1, 3),
            padding=(0, dilation),
            dilation=(1, dilation),
            groups=channels,
            bias=False,
        )
        self.temporal_norm = normalization("group", channels, dims=2)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, F, T] to [B, C, F, T]."""
        y = self.spectral_norm(self.frequency(x))
        mean = y.mean(2, keepdim=True)
        total: Tensor = y + self.pointwise(fn.silu(self.temporal_norm(self.temporal(mean))))
        return fn.relu(total)


class RevBCResNet(nn.Module):
    """Stem, chain, tail and linear head.

    Attributes:
        embedding_size: E.

    Args:
        config: which variant.
        n_labels: L.
        n_bins: F, a multiple of 40.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__()
        if n_bins % BINS_DIVISOR:
            raise ValueError(f"BC-ResNet needs a multiple of {BINS_DIVISOR} mel bins, not {n_bins}.")
        self.standardize = Standardize(n_bins)
        self.stem = nn.Conv2d(1, 2 * config.channels, 5, (2, 1), 2)
        layers: list[Coupling | Squeeze] = []
        width = config.channels
        for stage, count in enumerate(config.blocks):
            if STAGE_SQUEEZES[stage]:
                layers.append(Squeeze(2))
                width *= 2
            layers += [Coupling(Broadcast(width, 2**stage), Broadcast(width, 2**stage)) for _ in range(count)]
        self.chain = Chain(layers, config.keeping)
        self.embedding_size = TAIL_CHANNELS * config.channels // 8
        self.norm = normalization("group", 2 * width, dims=2)
        self.tail_depthwise = nn.Conv2d(2 * width, 2 * width, 5, padding=(0, 2), groups=2 * width, bias=False)
        self.tail_pointwise = nn.Conv2d(2 * width, self.embedding_size, 1, bias=False)
        self.tail_norm = normalization("group", self.embedding_size, dims=2)
        self.head = nn.Linear(self.embedding_size, n_labels)

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to frame embeddings [B, E, F', T]; F' is 1 for 40 mel bins."""
        y = self.stem(self.standardize(x).unsqueeze(1))
        y = self.norm(torch.cat(self.chain(*y.chunk(2, 1)), 1))
        return fn.relu(self.tail_norm(self.tail_pointwise(self.tail_depthwise(y))))

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to clip embeddings [B, E]: the mean over frequency and frames."""
        return self.trunk(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.head(self.embed(x))
        return logits

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of convolutions and head for a clip of `n_frames` frames."""
        rows = self.standardize.mean.numel() // 2
        total = self.head.weight.numel() + self.stem.weight.numel() * rows * n_frames
        for layer in self.chain.layers:
            if isinstance(layer, Squeeze):
                rows //= 2
            for conv in (m for m in layer.modules() if isinstance(m, nn.Conv2d)):
                total += conv.weight.numel() * n_frames * (rows if conv.kernel_size == (3, 1) else 1)
        rows -= self.tail_depthwise.kernel_size[0] - 1
        return total + rows * n_frames * (
            self.tail_depthwise.weight.numel() + self.tail_pointwise.weight.numel()
        )


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained network.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A network in training mode.
    """
    return RevBCResNet(config, n_labels, n_bins)
