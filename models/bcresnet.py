"""BC-ResNet: two-dimensional features, one-dimensional residuals that are broadcast over frequency.

Kim, Chang, Lee & Sung 2021, "Broadcasted Residual Learning for Efficient Keyword Spotting", arXiv
2106.04140, equations 2-4 and table 1, with the details of the authors' release: no bias but in the
head, and a ReLU after the sum of all branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Norm, Standardize, group_count, normalization

SUB_BANDS = 5
BASE_CHANNELS = 8
STAGE_WIDTHS = (1.0, 1.5, 2.0, 2.5)
STAGE_BLOCKS = (2, 2, 4, 4)
STAGE_STRIDES = (1, 2, 2, 1)
BINS_DIVISOR = 2 * 2 * 2 * SUB_BANDS


@dataclass(frozen=True)
class Config:
    """Which BC-ResNet.

    Attributes:
        tau: multiplies the number of channels; the paper has 1, 1.5, 2, 3, 6 and 8.
        dropout: probability that a channel of the temporal branch of a block is dropped in training.
        norm: `batch`, or `group` for learning from few clips.
    """

    tau: float = 1.0
    dropout: float = 0.1
    norm: Norm = "batch"


class SubSpectralNorm(nn.Module):
    """Normalizes each of five stretches of frequency apart (Chang et al. 2021).

    Args:
        kind: of normalization; `group` takes its statistics per clip, stretch and group of channels.
        channels: C.
    """

    def __init__(self, kind: Norm, channels: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm2d(channels * SUB_BANDS)
        if kind == "group":
            self.norm = nn.GroupNorm(group_count(channels) * SUB_BANDS, channels * SUB_BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, F, T] to [B, C, F, T]."""
        b, c, f, t = x.shape
        if isinstance(self.norm, nn.GroupNorm):  # a group must not reach over sub-bands: these come first
            bands = x.view(b, c, SUB_BANDS, f // SUB_BANDS, t).transpose(1, 2)
            normed = self.norm(bands.reshape(b, c * SUB_BANDS, -1, t))
            return cast(Tensor, normed.view(b, SUB_BANDS, c, -1, t).transpose(1, 2).reshape(b, c, f, t))
        return cast(Tensor, self.norm(x.reshape(b, c * SUB_BANDS, -1, t)).view(b, c, f, t))


class Block(nn.Module):
    """Broadcasted residual block: equation 3 where the channels stay, equation 4 where they change.

    Args:
        n_in: channels of the input.
        n_out: channels of the output, C.
        stride: over frequency.
        dilation: over time, in frames.
        config: dropout and kind of normalization.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, dilation: int, config: Config) -> None:
        super().__init__()
        self.residual = n_in == n_out
        if not self.residual:
            self.widen = nn.Conv2d(n_in, n_out, 1, bias=False)
            self.widen_norm = normalization(config.norm, n_out, dims=2)
        self.frequency = nn.Conv2d(n_out, n_out, (3, 1), (stride, 1), (1, 0), groups=n_out, bias=False)
        self.spectral_norm = SubSpectralNorm(config.norm, n_out)
        self.temporal = nn.Conv2d(
            n_out, n_out, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=n_out, bias=False
        )
        self.temporal_norm = normalization(config.norm, n_out, dims=2)
        self.pointwise = nn.Conv2d(n_out, n_out, 1, bias=False)
        self.dropout = nn.Dropout2d(config.dropout)

    def widened(self, x: Tensor) -> Tensor:
        """Changes the number of channels of [B, C', F, T], where it changes."""
        return x if self.residual else fn.relu(self.widen_norm(self.widen(x)))

    def broadcast(self, pool: Tensor) -> Tensor:
        """Maps means over frequency [B, C, 1, T] to what is added to all frequencies [B, C, 1, T]."""
        y = fn.silu(self.temporal_norm(self.temporal(pool)))
        return cast(Tensor, self.dropout(self.pointwise(y)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C', F, T] to [B, C, F', T]."""
        y = self.spectral_norm(self.frequency(self.widened(x)))
        total = y + self.broadcast(y.mean(2, keepdim=True))
        return fn.relu(total + x if self.residual else total)


class BCResNet(nn.Module):
    """BC-ResNet with a linear head, which is the last 1x1 convolution of the paper.

    Attributes:
        embedding_size: E, channels of the last convolution before the head.

    Args:
        config: which variant.
        n_labels: L.
        n_bins: F, a multiple of 40.

    Raises:
        ValueError: F that does not divide into the sub-bands of every stage.
    """

    def __init__(self, config: Config, n_labels: int, n_bins: int) -> None:
        super().__init__()
        if n_bins % BINS_DIVISOR:
            raise ValueError(f"BC-ResNet needs a multiple of {BINS_DIVISOR} mel bins, not {n_bins}.")
        base = int(BASE_CHANNELS * config.tau)
        if base < 1:
            raise ValueError(f"tau = {config.tau:g} leaves BC-ResNet without channels; use 1 or more.")
        self.embedding_size = 4 * base
        self.standardize = Standardize(n_bins)
        self.stem = nn.Conv2d(1, 2 * base, 5, (2, 1), 2, bias=False)
        self.stem_norm = normalization(config.norm, 2 * base, dims=2)
        self.blocks = nn.ModuleList()
        channels = [2 * base, *(int(base * width) for width in STAGE_WIDTHS)]
        for stage, (n_in, n_out) in enumerate(pairwise(channels)):
            for index in range(STAGE_BLOCKS[stage]):
                first = index == 0
                stride = STAGE_STRIDES[stage] if first else 1
                self.blocks.append(Block(n_in if first else n_out, n_out, stride, 2**stage, config))
        last = channels[-1]
        self.tail_depthwise = nn.Conv2d(last, last, 5, padding=(0, 2), groups=last, bias=False)
        self.tail_pointwise = nn.Conv2d(last, self.embedding_size, 1, bias=False)
        self.tail_norm = normalization(config.norm, self.embedding_size, dims=2)
        self.head = nn.Linear(self.embedding_size, n_labels)

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to frame embeddings [B, E, F', T]; F' is 1 for 40 mel bins."""
        y = fn.relu(self.stem_norm(self.stem(self.standardize(x).unsqueeze(1))))
        for block in self.blocks:
            y = block(y)
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
        total = self.head.weight.numel()
        rows = self.standardize.mean.numel()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                pooled = module.kernel_size == (1, 3) or module in self._pooled_convolutions()
                rows = rows if pooled else self._rows_after(module, rows)
                total += module.weight.numel() * n_frames * (1 if pooled else rows)
        return total

    def _pooled_convolutions(self) -> list[nn.Module]:
        return [cast(Block, block).pointwise for block in self.blocks]

    @staticmethod
    def _rows_after(conv: nn.Conv2d, rows: int) -> int:
        padding = cast(tuple[int, int], conv.padding)[0]
        return (rows + 2 * padding - conv.kernel_size[0]) // conv.stride[0] + 1


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained BC-ResNet.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.
    """
    return BCResNet(config, n_labels, n_bins)
