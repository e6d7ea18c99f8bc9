"""BC-ResNet: two-dimensional features, one-dimensional residuals that are broadcast over frequency.

Kim, Chang, Lee & Sung 2021, "Broadcasted Residual Learning for Efficient Keyword Spotting", arXiv
2106.04140, equations 2-4 and table 1, with the details of the authors' release: no bias but in the
head, and a ReLU after the sum of all branches.

The modules are ordinary convolutions and normalizations. With batch normalization on a CPU, `trunk`
computes the same numbers from the same weights several times faster by the functions in `_fused`, if the
machine has a C compiler. Hooks on inner modules do not run then, and there are no second derivatives:
set `model.fast = False` to have the modules run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ._blocks import Norm, Standardize, group_count, normalization
from ._fused import Block, BlockPlan, Depthwise, StemWiden, Widen, Widened
from ._native import unavailable
from ._streaming import Chain, Frames, Stage, Streaming, Sum, check_streamable, convolution

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


class ResidualBlock(nn.Module):
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

    def stream(self, rows: int) -> Sum:
        """Makes the streaming form for inputs of `rows` rows: the temporal branch answers later."""

        def split(x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.spectral_norm(self.frequency(self.widened(x))) if x.shape[-1] else self._nothing(x)
            return y.mean(2, keepdim=True), y + x if self.residual else y

        def after(h: Tensor) -> Tensor:
            return cast(Tensor, self.pointwise(fn.silu(self.temporal_norm(h))))

        channels = self.pointwise.in_channels
        rows = -(-rows // self.frequency.stride[0])
        temporal = convolution(self.temporal, (channels, 1), after)
        return Sum(temporal, Frames(lambda x: x, (channels, rows)), split=split)

    def _nothing(self, x: Tensor) -> Tensor:
        """No frames, in the shape that they would have."""
        return x.new_zeros(
            x.shape[0], self.pointwise.in_channels, -(-x.shape[2] // self.frequency.stride[0]), 0
        )

    def fast(
        self,
        x: Tensor,
        frames: int,
        widened: Widened | None,
        products: Tensor | None,
        leads_to_residual: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Computes what follows the widening by `_fused.Block`, which explains the arguments."""
        spectral, temporal = self.spectral_norm.norm, self.temporal_norm
        plan = BlockPlan(
            frames,
            cast(nn.BatchNorm2d, spectral),
            cast(nn.BatchNorm2d, temporal),
            SUB_BANDS,
            self.frequency.stride[0],
            self.temporal.dilation[1],
            widened,
            products,
            leads_to_residual,
        )
        mask = None
        if self.dropout.training and self.dropout.p > 0:
            mask = self.dropout(x.new_ones(x.shape[0], self.pointwise.out_channels, 1, 1)).flatten(1)
        along = (*weights_of(self.frequency, spectral), *weights_of(self.temporal, temporal))
        found: tuple[Tensor, Tensor | None] = Block.apply(  # type: ignore[no-untyped-call]
            x, plan, *along, self.pointwise.weight.flatten(1), mask
        )
        return found


def weights_of(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Gives the weights of a convolution as a matrix, and scale and shift of its normalization."""
    return conv.weight.flatten(1), cast(Tensor, norm.weight), cast(Tensor, norm.bias)


class BCResNet(nn.Module):
    """BC-ResNet with a linear head, which is the last 1x1 convolution of the paper.

    Attributes:
        embedding_size: E, channels of the last convolution before the head.
        fast: whether the compiled loops may be used.

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
        self.fast = True
        self.standardize = Standardize(n_bins)
        self.stem = nn.Conv2d(1, 2 * base, 5, (2, 1), 2, bias=False)
        self.stem_norm = normalization(config.norm, 2 * base, dims=2)
        self.blocks = nn.ModuleList()
        channels = [2 * base, *(int(base * width) for width in STAGE_WIDTHS)]
        for stage, (n_in, n_out) in enumerate(pairwise(channels)):
            for index in range(STAGE_BLOCKS[stage]):
                first = index == 0
                stride = STAGE_STRIDES[stage] if first else 1
                self.blocks.append(ResidualBlock(n_in if first else n_out, n_out, stride, 2**stage, config))
        last = channels[-1]
        self.tail_depthwise = nn.Conv2d(last, last, 5, padding=(0, 2), groups=last, bias=False)
        self.tail_pointwise = nn.Conv2d(last, self.embedding_size, 1, bias=False)
        self.tail_norm = normalization(config.norm, self.embedding_size, dims=2)
        self.head = nn.Linear(self.embedding_size, n_labels)

    def trunk(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to frame embeddings [B, E, F', T]; F' is 1 for 40 mel bins."""
        y = self.standardize(x).unsqueeze(1)
        if self._may_be_fast(y):
            y = self._fast_body(y)
        else:
            y = fn.relu(self.stem_norm(self.stem(y)))
            for block in self.blocks:
                y = block(y)
            y = self.tail_depthwise(y)
        return self.tail(y)

    def tail(self, y: Tensor) -> Tensor:
        """Maps what the first convolution of the tail gives to frame embeddings."""
        return fn.relu(self.tail_norm(self.tail_pointwise(y)))

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

    def _may_be_fast(self, x: Tensor) -> bool:
        """Whether the compiled loops can stand in for the modules."""
        floats = x.dtype == self.stem.weight.dtype == torch.float32 and not x.requires_grad
        on_cpu = x.device.type == self.stem.weight.device.type == "cpu"
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore
        plain = isinstance(self.stem_norm, nn.BatchNorm2d) and floats and on_cpu and not traced
        return self.fast and plain and not unavailable()

    def _fast_body(self, x: Tensor) -> Tensor:
        """Maps [B, 1, F, T] to what the first convolution of the tail gives [B, C, F', T]."""
        frames, norm = x.shape[3], self.stem_norm
        blocks = [cast(ResidualBlock, block) for block in self.blocks]
        first = blocks[0].widen_norm
        weights = (*weights_of(self.stem, norm), *weights_of(blocks[0].widen, first))
        y, widened = StemWiden.apply(x, norm, first, *weights)  # type: ignore[no-untyped-call]
        y, products = blocks[0].fast(y, frames, widened, None, blocks[1].residual)
        for block, following in zip(blocks[1:], [*blocks[2:], None], strict=True):
            widened = None
            if not block.residual:
                own = weights_of(block.widen, block.widen_norm)
                y, widened = Widen.apply(y, *own, block.widen_norm, frames)  # type: ignore[no-untyped-call]
            y, products = block.fast(
                y, frames, widened, products, following is not None and following.residual
            )
        y = Depthwise.apply(y, self.tail_depthwise.weight.flatten(1), frames)  # type: ignore[no-untyped-call]
        return cast(Tensor, y[..., :frames])

    def _pooled_convolutions(self) -> list[nn.Module]:
        return [cast(ResidualBlock, block).pointwise for block in self.blocks]

    @staticmethod
    def _rows_after(conv: nn.Conv2d, rows: int) -> int:
        padding = cast(tuple[int, int], conv.padding)[0]
        return (rows + 2 * padding - conv.kernel_size[0]) // conv.stride[0] + 1


def stream(model: nn.Module, clip_frames: int = 98) -> Streaming:
    """Makes the streaming form, which shares the weights of a network in evaluation mode.

    Args:
        model: a BC-ResNet with batch normalization.
        clip_frames: feature frames that a score looks at; 98 is one second.

    Returns:
        A network that maps features [B, F, t] and a state to logits [B, n, L] and a state.
    """
    check_streamable(model)
    net = cast(BCResNet, model)
    rows = net.standardize.mean.numel()
    scale = Frames(lambda x: net.standardize(x).unsqueeze(1), (rows,))
    stages: list[Stage] = [scale, convolution(net.stem, (1, rows), lambda x: fn.relu(net.stem_norm(x)))]
    rows = -(-rows // net.stem.stride[0])
    for module in net.blocks:
        block = cast(ResidualBlock, module)
        stages.append(block.stream(rows))
        rows = -(-rows // block.frequency.stride[0])
    tail = convolution(net.tail_depthwise, (net.tail_depthwise.in_channels, rows), net.tail)
    stages += [
        tail,
        Frames(lambda x: x.mean(2), (net.embedding_size, rows - net.tail_depthwise.kernel_size[0] + 1)),
    ]
    return Streaming(Chain(*stages), net.head, clip_frames, net.embedding_size)


def build(config: Config, n_labels: int, n_bins: int) -> nn.Module:
    """Makes an untrained BC-ResNet.

    Args:
        config: which variant.
        n_labels: number of labels, L.
        n_bins: number of mel bins, F.

    Returns:
        A BC-ResNet in training mode.
    """
    return BCResNet(config, n_labels, n_bins)
