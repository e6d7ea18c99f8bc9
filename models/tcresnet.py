"""TC-ResNet: residual convolutions over time only, with the mel bins as channels.

Choi et al. 2019, "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices", arXiv
1904.03814, figure 2 and table 1. Treating frequency as channels makes every convolution
one-dimensional, which costs far fewer operations and runs faster than the parameter count suggests.
Padding is symmetric, so that frame n of a strided layer sits at input frame 2n however long the clip is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Norm, Standardize, normalization, scaled
from ._streaming import Chain, Frames, Streaming, Sum, check_streamable, convolution

STEM_CHANNELS = 16
BLOCK_CHANNELS = {8: (24, 32, 48), 14: (24, 24, 32, 32, 48, 48)}
STEM_KERNEL = 3
KERNEL = 9


@dataclass(frozen=True)
class Config:
    """Which TC-ResNet.

    Attributes:
        depth: 8 or 14 layers.
        width: multiplies the number of channels; the paper has 1 and 1.5.
        dropout: probability that an entry of the embedding is dropped in training.
        norm: `batch`, or `group` for learning from few clips.
    """

    depth: Literal[8, 14] = 8
    width: float = 1.0
    dropout: float = 0.1
    norm: Norm = "batch"


class Block(nn.Module):
    """Two convolutions with a shortcut; halves the frame rate where the number of channels changes.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        norm: kind of normalization.
    """

    def __init__(self, n_in: int, n_out: int, norm: Norm) -> None:
        super().__init__()
        self.stride = 2 if n_in != n_out else 1
        self.conv_a = nn.Conv1d(n_in, n_out, KERNEL, self.stride, KERNEL // 2, bias=False)
        self.norm_a = normalization(norm, n_out)
        self.conv_b = nn.Conv1d(n_out, n_out, KERNEL, 1, KERNEL // 2, bias=False)
        self.norm_b = normalization(norm, n_out)
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out:
            narrow = nn.Conv1d(n_in, n_out, 1, self.stride, bias=False)
            self.shortcut = nn.Sequential(narrow, normalization(norm, n_out), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, T] to [B, C', T'] with T' = T or T / 2 rounded up."""
        y = fn.relu(self.norm_a(self.conv_a(x)))
        return fn.relu(self.norm_b(self.conv_b(y)) + self.shortcut(x))


class Trunk(nn.Module):
    """Stem and blocks.

    Args:
        depth: 8 or 14 layers.
        width: multiplies the number of channels.
        norm: kind of normalization.
        n_bins: F.
    """

    def __init__(self, depth: int, width: float, norm: Norm, n_bins: int) -> None:
        super().__init__()
        self.channels = [scaled(c, width) for c in (STEM_CHANNELS, *BLOCK_CHANNELS[depth])]
        self.standardize = Standardize(n_bins)
        self.stem = nn.Conv1d(n_bins, self.channels[0], STEM_KERNEL, padding=STEM_KERNEL // 2, bias=False)
        self.stem_norm = normalization(norm, self.channels[0])
        self.blocks = nn.ModuleList(Block(n_in, n_out, norm) for n_in, n_out in pairwise(self.channels))

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Maps features [B, F, T] to what every block says, [B, C, T'] each."""
        y = fn.relu(self.stem_norm(self.stem(self.standardize(x))))
        found = []
        for block in self.blocks:
            y = block(y)
            found.append(y)
        return found

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to frame embeddings [B, E, T / 8 rounded up]."""
        return self.outputs(x)[-1]

    def trunk_macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of the convolutions for a clip of `n_frames` frames."""
        total = self.stem.weight.numel() * n_frames
        frames = n_frames
        for block in self.blocks:
            convolutions = [m for m in block.modules() if isinstance(m, nn.Conv1d)]
            frames = -(-frames // convolutions[0].stride[0])
            total += frames * sum(conv.weight.numel() for conv in convolutions)
        return total


class TCResNet(Trunk):
    """TC-ResNet8 or 14 with a linear head.

    Attributes:
        embedding_size: E, channels of the last block.

    Args:
        config: which variant.
        n_labels: L.
        n_bins: F.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__(config.depth, config.width, config.norm, n_bins)
        self.embedding_size = self.channels[-1]
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(self.embedding_size, n_labels)

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to clip embeddings [B, E]: the mean over frames."""
        return self.trunk(x).mean(2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits

    def macs(self, n_frames: int) -> int:
        """Counts the multiply-accumulates of convolutions and head for a clip of `n_frames` frames."""
        return self.head.weight.numel() + self.trunk_macs(n_frames)


def stream(model: nn.Module, clip_frames: int = 98) -> Streaming:
    """Makes the streaming form, which shares the weights of a network in evaluation mode.

    Args:
        model: a TC-ResNet with batch normalization.
        clip_frames: feature frames that a score looks at; 98 is one second.

    Returns:
        A network that maps features [B, F, t] and a state to logits [B, n, L] and a state.
    """
    net = cast(TCResNet, model)
    return Streaming(stream_trunk(net), net.head, clip_frames, net.embedding_size)


def stream_trunk(net: Trunk) -> Chain:
    """Makes the streaming form of stem and blocks.

    Args:
        net: with batch normalization, in evaluation mode.

    Returns:
        Stages that map features to frames.
    """
    check_streamable(net)
    first = convolution(net.stem, (net.stem.in_channels,), lambda x: fn.relu(net.stem_norm(x)))
    scale = Frames(net.standardize, (net.stem.in_channels,))
    return Chain(scale, first, *(_stream_block(cast(Block, block)) for block in net.blocks))


def _stream_block(block: Block) -> Sum:
    n_in, n_out = block.conv_a.in_channels, block.conv_a.out_channels
    first = convolution(block.conv_a, (n_in,), lambda x: fn.relu(block.norm_a(x)))
    second = convolution(block.conv_b, (n_out,), block.norm_b)
    shortcut = Frames(block.shortcut, (n_in,), stride=block.stride)
    return Sum(Chain(first, second), shortcut)


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained TC-ResNet.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A TC-ResNet in training mode.
    """
    return TCResNet(config, n_labels, n_bins)
