"""What a graph costs on a device: bytes of its weights, and of the activations that are alive at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

ACTIVATION_BYTES = {"w8a8": 1, "w8a16": 2, "mixed": 2, "float": 4}


@dataclass(frozen=True)
class GraphCost:
    """What one run of a graph takes.

    Attributes:
        weight_bytes: numbers that do not change, one byte each when quantized.
        activation_peak_bytes: the most that is alive between two nodes, executed in the order of the graph.
    """

    weight_bytes: int
    activation_peak_bytes: int


def graph_cost(model: onnx.ModelProto, precision: str) -> GraphCost:
    """Counts bytes.

    Args:
        model: a float graph of static shape.
        precision: of the form that ships; in a mixed form all activations are counted as wide ones.

    Returns:
        Weights and the peak of activations.
    """
    shaped = onnx.shape_inference.infer_shapes(model)
    infos = (*shaped.graph.value_info, *shaped.graph.input, *shaped.graph.output)
    size = {
        info.name: int(np.prod([d.dim_value for d in info.type.tensor_type.shape.dim], dtype=np.int64))
        for info in infos
    }
    last = {name: at for at, node in enumerate(shaped.graph.node) for name in node.input}
    last |= {output.name: len(shaped.graph.node) for output in shaped.graph.output}
    alive = {i.name for i in shaped.graph.input}
    peak = 0
    for at, node in enumerate(shaped.graph.node):
        alive |= set(node.output)
        peak = max(peak, sum(size.get(name, 0) for name in alive))
        alive = {name for name in alive if last.get(name, -1) > at}
    weights = sum(numpy_helper.to_array(i).size for i in shaped.graph.initializer)
    per_weight = 4 if precision == "float" else 1
    return GraphCost(weights * per_weight, peak * ACTIVATION_BYTES[precision])
