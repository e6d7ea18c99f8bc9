"""The layers of BC-ResNet with forward and backward written out, on the loops in `_loops`.

PyTorch's CPU kernels for convolutions of single channels and for batch normalization take most of the
time of training BC-ResNet. The functions here compute the same numbers with far fewer passes over memory:

* The convolution over frequency z = W x is so cheap that it is computed anew wherever it is needed, and
  never stored. Its mean and variance follow from sums of products of neighbouring rows of x, and its
  mean over frequency is a weighted sum of the rows of x.
* Batch normalization is a scale and a shift per channel, applied by whoever reads its input. Its
  backward pass is du = alpha d + beta u + gamma with three numbers per channel, applied in the same way.
* ReLU, dropout mask, broadcast and residual sum happen in one pass, and so do their gradients.

Activations are float32 [B, C, F, P] with the frames padded by zeros to P, see `padded`. Gradients that
reach these functions come from each other, so that they may be overwritten.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as fn

from ._native import LANES, Norm, Size, call

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d

Load = tuple[Tensor, Tensor] | tuple[None, None]
"""Scale and shift [C] of a normalization and ReLU to apply while reading, or None and None."""


class Folded:
    """A batch normalization of one batch, as a scale and a shift per channel.

    Attributes:
        scale: [C].
        shift: [C].
        kept: [C, 2] mean and inverse standard deviation.
        norm: what the compiled loops need to know of the module.

    Args:
        module: whose running statistics are updated in training, else used.
        count: values per channel.
    """

    def __init__(self, module: BatchNorm, count: int) -> None:
        channels = module.num_features
        self.scale, self.shift = torch.empty(2, channels).unbind()
        self.kept = sums(channels, 2)
        self._module = module  # keeps alive what `norm` points to
        self.norm = Norm(module.training, count, module.eps, module.momentum or 0.0)
        for name in ("weight", "bias", "running_mean", "running_var"):
            setattr(self.norm, name, getattr(module, name).data_ptr())
        if module.training and module.num_batches_tracked is not None:
            module.num_batches_tracked.add_(1)

    @property
    def load(self) -> Load:
        """What a reader of the input of the normalization has to apply."""
        return self.scale, self.shift

    def fold(self, moments: Tensor) -> Folded:
        """Takes the sums of u and u^2 per channel [C, 2]."""
        call("kws_fold", self.norm, len(self.scale), moments, self.kept, *self.load)
        return self

    def gradients(self) -> Tensor:
        """Gives room for [5, C]: gradients of weight and bias, then alpha, beta and gamma."""
        return torch.empty(5, len(self.scale))

    def back(self, moments: Tensor) -> Tensor:
        """Takes the sums of d and d u per channel [C, 2] and gives the `gradients`."""
        found = self.gradients()
        call("kws_fold_back", self.norm, len(self.scale), self.kept, moments, *found.unbind())
        return found


def padded(frames: int) -> int:
    """Gives the number of frames, P, that rows of `frames` frames are padded to."""
    return -(-frames // LANES) * LANES


def sums(*shape: int) -> Tensor:
    """Gives room for sums over the batch, which are double."""
    return torch.empty(*shape, dtype=torch.float64)


class Widened(NamedTuple):
    """A convolution over channels whose normalization and ReLU its reader applies.

    Attributes:
        norm: the normalization.
        moments: [C, 2] receives the sums of d and d u for the gradient d of the normalization.
    """

    norm: Folded
    moments: Tensor


class Widen(Function):
    """Mixes the channels of x [B, C', F, P] to u [B, C, F, P].

    Takes x, matrix [C, C'], scale and shift, the normalization that they belong to, and the number of
    frames. Gives u and, as something that autograd does not see, `Widened`. The gradient that comes back
    is that of norm(u).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Tensor, scale: Tensor, shift: Tensor, norm: BatchNorm, frames: int
    ) -> tuple[Tensor, Widened]:
        """Runs the convolution."""
        b, c, f, p = x.shape
        size = Size(b, c, f, f, frames, 1, 1, 1, torch.get_num_threads())
        u, moments = torch.empty(b, len(matrix), f, p), sums(len(matrix), 2)
        call("kws_widen", size, x, matrix, len(matrix), u, moments)
        widened = Widened(Folded(norm, b * f * frames).fold(moments), moments)
        ctx.save_for_backward(x, matrix, u)
        ctx.recorded = (size, widened)
        return u, widened

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, _: None) -> tuple[Tensor | None, ...]:
        """Turns the gradient of norm(u) into those of x and the weights."""
        (x, matrix, u), (size, widened) = ctx.saved_tensors, ctx.recorded
        found = widened.norm.back(widened.moments)
        of_x, of_matrix = torch.empty_like(x), sums(*matrix.shape)
        call("kws_widen_back", size, x, matrix, len(matrix), d, u, *found[2:].unbind(), of_x, of_matrix)
        return of_x, of_matrix.float(), found[0], found[1], None, None


class StemWiden(Function):
    """Features [B, 1, F, T] to `Widen` of the stem: a 5x5 convolution, its normalization and a ReLU.

    Takes x, the two normalizations, and the weights: kernel [C', 25], scale and shift, matrix [C, C'], scale
    and shift. The gradient of the features is not computed.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, norm: BatchNorm, widen_norm: BatchNorm, *weights: Tensor
    ) -> tuple[Tensor, Widened]:
        """Runs the two convolutions."""
        kernel, _, _, matrix, _, _ = weights
        b, _, f, t = x.shape
        (channels, window), outputs, rows = kernel.shape, len(matrix), (f - 1) // 2 + 1
        x = fn.pad(x, (0, padded(t) - t))
        size = Size(b, channels, f, rows, t, 2, 1, 1, torch.get_num_threads())
        windows, stem = sums(window + 1, window), Folded(norm, b * rows * t)
        if norm.training:
            call("kws_windows", size, x, windows)
        call("kws_stem_fold", stem.norm, channels, window, windows, kernel, stem.kept, *stem.load)
        u, moments = torch.empty(b, outputs, rows, x.shape[3]), sums(outputs, 2)
        call("kws_stem_widen", size, x, kernel, *stem.load, matrix, outputs, u, moments)
        widened = Widened(Folded(widen_norm, b * rows * t).fold(moments), moments)
        ctx.save_for_backward(x, kernel, matrix, u)
        ctx.recorded = (size, windows, stem, widened)
        return u, widened

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, _: None) -> tuple[Tensor | None, ...]:
        """Turns the gradient of norm(u) into those of the weights."""
        (x, kernel, matrix, u), (size, windows, stem, widened) = ctx.saved_tensors, ctx.recorded
        (channels, window), outputs = kernel.shape, len(matrix)
        found = widened.norm.back(widened.moments)
        every = sums(channels * (outputs + window + 1))
        of = (d, u, *found[2:].unbind())
        call("kws_stem_widen_back", size, x, kernel, *stem.load, matrix, outputs, *of, every)
        of_matrix, products, of_d = torch.split(every, [outputs * channels, channels * window, channels])
        of_kernel, of_norm = torch.empty_like(kernel), torch.empty(2, channels)
        given = (windows, kernel, stem.kept, products, of_d)
        call("kws_stem_fold_back", stem.norm, channels, window, *given, of_kernel, *of_norm.unbind())
        of_widen = (of_matrix.view_as(matrix).float(), found[0], found[1])
        return None, None, None, of_kernel, of_norm[0], of_norm[1], *of_widen


class BlockPlan(NamedTuple):
    """What a block does besides its weights.

    Attributes:
        frames: T.
        spectral_norm: normalization of C * `bands` channels after the convolution over frequency.
        temporal_norm: normalization after the convolution over time.
        bands: stretches of frequency normalized apart.
        stride: over frequency.
        dilation: over time, in frames.
        widened: what x is made from; None for a block that adds its input.
        products: [C, F, 4] sums of each row of x, and of its products with itself and the next two rows;
            None to have them computed.
        leads_to_residual: whether the next layer is a block that adds its input. Such a one needs the
            products of our output, and gives a gradient that is zero where our output is.
    """

    frames: int
    spectral_norm: BatchNorm
    temporal_norm: BatchNorm
    bands: int
    stride: int
    dilation: int
    widened: Widened | None
    products: Tensor | None
    leads_to_residual: bool


class Recorded(NamedTuple):
    """What the backward pass of a block needs besides tensors that autograd keeps."""

    plan: BlockPlan
    size: Size
    products: Tensor
    spectral: Folded
    temporal: Folded


class Block(Function):
    """A broadcasted residual block from x [B, C, F, P] to [B, C, F', P].

    x is what a ReLU gave, or what `Widen` gave. The weights come in the order of the computation: taps over
    frequency [C, 3], scale and shift, taps over time [C, 3], scale and shift, matrix [C, C], and the dropout
    mask [B, C] or None. The second output is the products that the plan may ask for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: BlockPlan, *weights: Tensor) -> tuple[Tensor, Tensor | None]:
        """Runs the block."""
        taps, _, _, temporal_taps, _, _, matrix, mask = weights
        b, c, f, p = x.shape
        rows = (f - 1) // plan.stride + 1
        size = Size(
            b, c, f, rows, plan.frames, plan.stride, plan.bands, plan.dilation, torch.get_num_threads()
        )
        load = _load(plan)
        products = sums(c, f, 4) if plan.products is None else plan.products
        if plan.products is None and plan.spectral_norm.training:
            call("kws_row_products", size, x, *load, products)
        spectral = Folded(plan.spectral_norm, b * plan.frames * rows // plan.bands)
        pool, pool_shift = torch.empty(c, f), torch.empty(c)
        to = (spectral.kept, *spectral.load, pool, pool_shift)
        call("kws_spectral_fold", size, spectral.norm, products, taps, *to)

        pooled, h = torch.empty(2, b, c, p).unbind()
        moments = sums(c, 2)
        call("kws_pool", size, x, *load, pool, pool_shift, temporal_taps, pooled, h, moments)
        temporal = Folded(plan.temporal_norm, b * plan.frames).fold(moments)

        out = torch.empty(b, c, rows, p)
        out_products = sums(c, rows, 4) if plan.leads_to_residual else None
        branch = (h, *temporal.load, matrix, mask, plan.widened is None)
        call("kws_combine", size, x, *load, taps, *spectral.load, *branch, out, out_products)
        ctx.save_for_backward(x, pooled, h, out, taps, temporal_taps, matrix, mask)
        ctx.recorded = Recorded(plan, size, products, spectral, temporal)
        if out_products is not None:
            ctx.mark_non_differentiable(out_products)
        return out, out_products

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        """Turns the gradient of the output, overwritten, into those of x and of the weights."""
        x, pooled, h, out, taps, temporal_taps, matrix, mask = ctx.saved_tensors
        plan, size, products, spectral, temporal = ctx.recorded
        c, f, d, load = x.shape[1], x.shape[2], d.contiguous(), _load(plan)
        width = 11 + 3 * (1 + f) + 4 * size.rows_out
        every, dy = sums(c * (width + c)), torch.empty_like(h)
        result = None if plan.leads_to_residual else out
        branch = (temporal_taps, pooled, h, *temporal.load, matrix, mask)
        call("kws_block_sums", size, x, *load, *branch, result, d, dy, every)

        of_taps, of_temporal_taps = torch.empty(2, c, 3).unbind()
        of_spectral, of_temporal = spectral.gradients(), temporal.gradients()
        given = (products, taps, spectral.kept, temporal.kept, every, width)
        found = (of_taps, *of_spectral.unbind(), of_temporal_taps, *of_temporal.unbind())
        call("kws_block_fold_back", size, spectral.norm, temporal.norm, *given, *found)

        of_x = d if size.stride == 1 else torch.empty_like(x)
        of_time = (temporal_taps, h, dy, *of_temporal[2:].unbind())
        moments = sums(c, 2) if plan.widened is None else plan.widened.moments
        rest = (d, plan.widened is None, of_x, moments)
        call("kws_block_input", size, x, *load, taps, *of_spectral[2:].unbind(), *of_time, *rest)
        of_matrix = every[c * width :].view(c, c).float()
        of_weights = (
            of_taps,
            of_spectral[0],
            of_spectral[1],
            of_temporal_taps,
            of_temporal[0],
            of_temporal[1],
        )
        return of_x, None, *of_weights, of_matrix, None


def _load(plan: BlockPlan) -> Load:
    return (None, None) if plan.widened is None else plan.widened.norm.load


class Depthwise(Function):
    """Convolves each channel of x [B, C, F, P] with its taps [C, 25], 5x5, to [B, C, F - 4, P]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, frames: int) -> Tensor:
        """Runs the convolution, padded over time only."""
        b, c, f, p = x.shape
        size = Size(b, c, f, f - 4, frames, 1, 1, 1, torch.get_num_threads())
        out = torch.empty(b, c, f - 4, p)
        call("kws_depthwise", size, x, taps, out)
        ctx.save_for_backward(x, taps)
        ctx.size = size
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, None]:
        """Turns the gradient of the output into those of x and taps."""
        x, taps = ctx.saved_tensors
        of_x, of_taps = torch.empty_like(x), sums(*taps.shape)
        call("kws_depthwise_back", ctx.size, x, taps, d.contiguous(), of_x, of_taps)
        return of_x, of_taps.float(), None
