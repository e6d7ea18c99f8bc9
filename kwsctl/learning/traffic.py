"""How many bytes move between memory and arithmetic when a layer is quantized, and why ranges decide it.

A layer computes sums in 32 bits. Where the range of its output is known before (static quantization), each
sum is rounded at once and leaves as 8 bits. Where the range is taken from the output itself (dynamic), all
sums go to memory in 32 bits, and come back to be rounded, because the range is known only with the last of
them (Fournarakis & Nagel 2021, "In-Hindsight Quantization Range Estimation for Quantized Training", arXiv
2105.04246).
"""

from __future__ import annotations

from dataclasses import dataclass

ACCUMULATOR_BITS = 32


@dataclass(frozen=True)
class Shape:
    """What one layer reads and writes in a step.

    Attributes:
        weights: numbers of its weight.
        inputs: numbers of its input, for the whole batch.
        outputs: numbers of its output, for the whole batch.
        passes_gradient: whether the gradient goes on to its input.
        learns: whether its weight is learned.
    """

    weights: int
    inputs: int
    outputs: int
    passes_gradient: bool = True
    learns: bool = True


@dataclass(frozen=True)
class Bits:
    """How wide numbers are.

    Attributes:
        weights: of weights.
        activations: of activations.
        gradients: of gradients of activations.
    """

    weights: int = 8
    activations: int = 8
    gradients: int = 8


@dataclass(frozen=True)
class Traffic:
    """Bytes that a layer moves in a step.

    Attributes:
        forward: with static ranges, W + X + Y.
        forward_dynamic: with dynamic ranges, the sums twice in addition.
        backward: with static ranges: the gradients of the input and of the weight.
        backward_dynamic: with dynamic ranges.
    """

    forward: int
    forward_dynamic: int
    backward: int
    backward_dynamic: int

    @property
    def static(self) -> int:
        """Forward and backward with static ranges."""
        return self.forward + self.backward

    @property
    def dynamic(self) -> int:
        """Forward and backward with dynamic ranges."""
        return self.forward_dynamic + self.backward_dynamic


def traffic(shape: Shape, bits: Bits) -> Traffic:
    """Counts the bytes that a layer moves in a training step.

    Weights and their gradients, which are kept in 32 bits, are counted once each per step.

    Args:
        shape: of the layer.
        bits: of its numbers.

    Returns:
        Bytes, rounded up.
    """
    weight = shape.weights * bits.weights
    spilled = 2 * ACCUMULATOR_BITS
    forward = weight + shape.inputs * bits.activations + shape.outputs * bits.activations
    backward = extra = 0
    if shape.passes_gradient:
        backward += weight + (shape.outputs + shape.inputs) * bits.gradients
        extra += shape.inputs * spilled
    if shape.learns:
        backward += shape.inputs * bits.activations + shape.outputs * bits.gradients
        backward += shape.weights * ACCUMULATOR_BITS
    return Traffic(
        _bytes(forward),
        _bytes(forward + shape.outputs * spilled),
        _bytes(backward),
        _bytes(backward + extra),
    )


def _bytes(bits: int) -> int:
    return -(-bits // 8)
