"""DS-CNN: depthwise separable convolutions over time and frequency.

Zhang et al. 2017, "Hello Edge: Keyword Spotting on Microcontrollers", arXiv 1711.07128, table 7 and
appendix A. The paper feeds ten MFCCs every 20 ms; kwsctl has 40 log-mel bins every 10 ms. The first
step turns one into the other, so that the network behind it is the published one: pairs of frames are
averaged, and a cosine transform keeps the ten slowest shapes of the spectrum. It has no weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Norm, Standardize, normalization
from ._streaming import Chain, Frames, Stage, Streaming, check_streamable, convolution

N_CEPSTRA = 10
FRAMES_AVERAGED = 2
STEM_KERNEL = (4, 10)  # cepstra, frames; the paper writes frames first


@dataclass(frozen=True)
class Size:
    """One row of table 7 of the paper.

    Attributes:
        channels: of every layer.
        stem_stride: of the first convolution, (cepstra, frames).
        strides: of each separable convolution, the same over cepstra and frames.
    """

    channels: int
    stem_stride: tuple[int, int]
    strides: tuple[int, ...]


SIZES = {
    "S": Size(64, (2, 2), (1, 1, 1, 1)),
    "M": Size(172, (1, 2), (2, 1, 1, 1)),
    "L": Size(276, (1, 2), (2, 1, 1, 1, 1)),
}


@dataclass(frozen=True)
class Config:
    """Which DS-CNN.

    Attributes:
        size: `S`, `M` or `L`; about 24, 140 and 420 thousand parameters.
        dropout: probability that an entry of the embedding is dropped in training.
        norm: `batch`, or `group` for learning from few clips.
    """

    size: Literal["S", "M", "L"] = "S"
    dropout: float = 0.2
    norm: Norm = "batch"


def cosine_basis(n_cepstra: int, n_bins: int) -> Tensor:
    """Gives the orthonormal type-II cosine transform [n_cepstra, F] that makes cepstra of log-mel bins."""
    bins = (torch.arange(n_bins, dtype=torch.float64) + 0.5) * math.pi / n_bins
    basis = torch.cos(torch.arange(n_cepstra, dtype=torch.float64)[:, None] * bins) * math.sqrt(2 / n_bins)
    basis[0] /= math.sqrt(2)
    return basis.float()


class Cepstra(nn.Module):
    """Turns log-mel bins every 10 ms into cepstra every 20 ms.

    Args:
        n_bins: F.
    """

    basis: Tensor

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("basis", cosine_basis(N_CEPSTRA, n_bins), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, F, T] to [B, 1, 10, T / 2 rounded down]."""
        return (self.basis @ fn.avg_pool1d(x, FRAMES_AVERAGED)).unsqueeze(1)


class Stem(nn.Module):
    """The first convolution, padded so that the output has 1 / stride of the frames, rounded up.

    Args:
        size: row of table 7.
        norm: kind of normalization.
    """

    def __init__(self, size: Size, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, size.channels, STEM_KERNEL, size.stem_stride, bias=False)
        self.norm = normalization(norm, size.channels, dims=2)
        self.padding = [side for k in reversed(STEM_KERNEL) for side in ((k - 1) // 2, k // 2)]

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, 1, 10, T] to [B, C, F', T']."""
        return fn.relu(self.norm(self.conv(fn.pad(x, self.padding))))

    def stream(self) -> Frames:
        """Makes the streaming form, padded over frequency only."""
        before, _, low, high = self.padding

        def step(x: Tensor) -> Tensor:
            return fn.relu(self.norm(self.conv(fn.pad(x, (0, 0, low, high)))))

        return Frames(step, (1, N_CEPSTRA), STEM_KERNEL[1], self.conv.stride[1], before)


class Separable(nn.Module):
    """A 3x3 convolution of each channel, then a mixture of channels.

    Args:
        channels: C, in and out.
        stride: over cepstra and frames.
        norm: kind of normalization.
    """

    def __init__(self, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.norm_a = normalization(norm, channels, dims=2)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_b = normalization(norm, channels, dims=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, F, T] to [B, C, F', T']."""
        y = fn.relu(self.norm_a(self.depthwise(x)))
        return fn.relu(self.norm_b(self.pointwise(y)))

    def stream(self, rows: int) -> Frames:
        """Makes the streaming form for inputs of `rows` rows."""

        def mixed(x: Tensor) -> Tensor:
            return fn.relu(self.norm_b(self.pointwise(fn.relu(self.norm_a(x)))))

        return convolution(self.depthwise, (self.depthwise.in_channels, rows), mixed)


class DSCNN(nn.Module):
    """DS-CNN with a linear head.

    Attributes:
        embedding_size: E, the number of channels.

    Args:
        config: which variant.
        n_labels: L.
        n_bins: F.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__()
        size = SIZES[config.size]
        self.embedding_size = size.channels
        self.standardize = Standardize(n_bins)
        self.cepstra = Cepstra(n_bins)
        self.stem = Stem(size, config.norm)
        self.blocks = nn.Sequential(*(Separable(size.channels, s, config.norm) for s in size.strides))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(size.channels, n_labels)

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to maps [B, E, F', T']."""
        y: Tensor = self.blocks(self.stem(self.cepstra(self.standardize(x))))
        return y

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to clip embeddings [B, E]: the mean over frequency and frames."""
        return self.trunk(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of convolutions, cosine transform and head for one clip."""
        frames, rows = n_frames // FRAMES_AVERAGED, N_CEPSTRA
        total = self.head.weight.numel() + self.cepstra.basis.numel() * frames
        for conv in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            rows, frames = -(-rows // conv.stride[0]), -(-frames // conv.stride[1])
            total += conv.weight.numel() * rows * frames
        return total


def stream(model: nn.Module, clip_frames: int = 98) -> Streaming:
    """Makes the streaming form, which shares the weights of a network in evaluation mode.

    Args:
        model: a DS-CNN with batch normalization.
        clip_frames: feature frames that a score looks at; 98 is one second.

    Returns:
        A network that maps features [B, F, t] and a state to logits [B, n, L] and a state.
    """
    check_streamable(model)
    net = cast(DSCNN, model)
    n_bins = net.standardize.mean.numel()
    scale = Frames(net.standardize, (n_bins,))
    cepstra = Frames(net.cepstra, (n_bins,), FRAMES_AVERAGED, FRAMES_AVERAGED)
    stages: list[Stage] = [scale, cepstra, net.stem.stream()]
    rows = -(-N_CEPSTRA // net.stem.conv.stride[0])
    for block in net.blocks:
        stage = cast(Separable, block).stream(rows)
        rows = -(-rows // stage.stride)
        stages.append(stage)
    channels = net.embedding_size
    stages.append(Frames(lambda x: x.mean(2), (channels, rows)))
    return Streaming(Chain(*stages), net.head, clip_frames, channels)


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained DS-CNN.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A DS-CNN in training mode.
    """
    return DSCNN(config, n_labels, n_bins)
