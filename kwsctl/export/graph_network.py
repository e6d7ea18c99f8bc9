"""Turns a safe ONNX graph back into a network of torch, which other converters start from.

So every target is made of the very same rewritten graph. Only the operators that our graphs have are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.errors import InputError

Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Attributes], Any]
SETTINGS = frozenset({"Reshape", "Slice", "Unsqueeze", "Squeeze", "Split", "Expand", "Pad", "Clip"})
"""Operators whose inputs after the first say how, not what, and have to be known beforehand."""


class GraphNetwork(nn.Module):
    """A graph as a network.

    Args:
        graph: a safe graph of static shape.

    Raises:
        InputError: an operator that no graph of ours has.
    """

    def __init__(self, graph: onnx.ModelProto) -> None:
        super().__init__()
        self.nodes = list(graph.graph.node)
        unknown = sorted({node.op_type for node in self.nodes} - set(OPERATORS))
        if unknown:
            raise InputError(f"The operators {', '.join(unknown)} cannot be taken to this target.")
        self.inputs = [i.name for i in graph.graph.input]
        self.outputs = [o.name for o in graph.graph.output]
        constants = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
        self.places: dict[str, str] = {}
        self.settings: dict[str, list[Any]] = {}
        where = {n for node in self.nodes if node.op_type in SETTINGS for n in node.input[1:]}
        for number, (name, value) in enumerate(constants.items()):
            if name in where:
                self.settings[name] = np.atleast_1d(value).tolist()
            else:
                self.places[name] = f"constant_{number}"
                self.register_buffer(self.places[name], torch.from_numpy(np.array(value, np.float32)))
        self.attributes = [
            {a.name: helper.get_attribute_value(a) for a in node.attribute} | {"outputs": len(node.output)}
            for node in self.nodes
        ]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs the graph, and gives its outputs in their order."""
        known: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True))
        known |= self.settings
        known |= {name: self.get_buffer(place) for name, place in self.places.items()}
        for node, attributes in zip(self.nodes, self.attributes, strict=True):
            given = [known[name] if name else None for name in node.input]
            found = OPERATORS[node.op_type](given, attributes)
            known |= dict(zip(node.output, found if isinstance(found, tuple) else (found,), strict=True))
        return tuple(known[name] for name in self.outputs)


def _conv(x: Sequence[Any], a: Attributes) -> Tensor:
    pads, n = list(a.get("pads", ())), x[1].ndim - 2
    data = x[0]
    if pads and pads[:n] != pads[n:]:  # torch pads both ends alike
        data, pads = (
            fn.pad(data, [p for axis in reversed(range(n)) for p in (pads[axis], pads[axis + n])]),
            [],
        )
    run: Any = fn.conv1d if n == 1 else fn.conv2d
    return cast(
        Tensor,
        run(
            data,
            x[1],
            x[2] if len(x) > 2 else None,
            tuple(a.get("strides", [1] * n)),
            tuple(pads[:n] or [0] * n),
            tuple(a.get("dilations", [1] * n)),
            int(a.get("group", 1)),
        ),
    )


def _average(x: Sequence[Any], a: Attributes) -> Tensor:
    run: Any = fn.avg_pool1d if x[0].ndim == 3 else fn.avg_pool2d
    return cast(Tensor, run(x[0], tuple(a["kernel_shape"]), tuple(a.get("strides", a["kernel_shape"]))))


def _slice(x: Sequence[Any], a: Attributes) -> Tensor:
    starts, ends = x[1], x[2]
    axes = x[3] if len(x) > 3 else list(range(len(starts)))
    data = x[0]
    for axis, start, end in zip(axes, starts, ends, strict=True):
        size = data.shape[axis]
        first, last = (max(0, at + size) if at < 0 else min(at, size) for at in (start, end))
        data = data.narrow(axis, first, last - first)
    return cast(Tensor, data)


def _pad(x: Sequence[Any], a: Attributes) -> Tensor:
    pads, n = x[1], x[0].ndim
    return fn.pad(x[0], [p for axis in reversed(range(n)) for p in (pads[axis], pads[axis + n])])


def _mean(x: Sequence[Any], a: Attributes) -> Tensor:
    return cast(Tensor, x[0].mean(tuple(a["axes"]), keepdim=bool(a.get("keepdims", 1))))


def _length(x: Sequence[Any], a: Attributes) -> Tensor:
    squares = (x[0] * x[0]).sum(tuple(a["axes"]), keepdim=bool(a.get("keepdims", 1)))
    return cast(Tensor, squares.sqrt())


def _reshape(x: Sequence[Any], a: Attributes) -> Tensor:
    kept = [x[0].shape[i] if size == 0 else size for i, size in enumerate(x[1])]
    return cast(Tensor, x[0].reshape(kept))


def _instance(x: Sequence[Any], a: Attributes) -> Tensor:
    axes = tuple(range(2, x[0].ndim))
    centred = x[0] - x[0].mean(axes, keepdim=True)
    scaled = centred / ((centred * centred).mean(axes, keepdim=True) + float(a["epsilon"])).sqrt()
    shape = [1, -1] + [1] * len(axes)
    return cast(Tensor, scaled * x[1].reshape(shape) + x[2].reshape(shape))


def _unsqueeze(x: Sequence[Any], a: Attributes) -> Tensor:
    data = x[0]
    for axis in sorted(x[1]):
        data = data.unsqueeze(axis)
    return cast(Tensor, data)


def _squeeze(x: Sequence[Any], a: Attributes) -> Tensor:
    return cast(Tensor, x[0].squeeze(tuple(x[1])))


def _split(x: Sequence[Any], a: Attributes) -> tuple[Tensor, ...]:
    axis = int(a.get("axis", 0))
    sizes = x[1] if len(x) > 1 else [x[0].shape[axis] // a["outputs"]] * a["outputs"]
    return tuple(torch.split(x[0], sizes, dim=axis))


OPERATORS: Mapping[str, Operator] = {
    "Conv": _conv, "AveragePool": _average, "Slice": _slice, "Pad": _pad, "ReduceMean": _mean,
    "ReduceL2": _length, "Reshape": _reshape, "InstanceNormalization": _instance, "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze, "Split": _split,
    "Relu": lambda x, a: fn.relu(x[0]),
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Sqrt": lambda x, a: torch.sqrt(x[0]),
    "Add": lambda x, a: x[0] + x[1],
    "Sub": lambda x, a: x[0] - x[1],
    "Mul": lambda x, a: x[0] * x[1],
    "Div": lambda x, a: x[0] / x[1],
    "MatMul": lambda x, a: x[0] @ x[1],
    "Clip": lambda x, a: torch.clamp(x[0], *(None if bound is None else bound[0] for bound in x[1:])),
    "Concat": lambda x, a: torch.cat(list(x), dim=int(a["axis"])),
    "Transpose": lambda x, a: x[0].permute(tuple(a["perm"])),
    "Expand": lambda x, a: x[0].expand(np.broadcast_shapes(x[0].shape, tuple(x[1]))),
}  # fmt: skip
