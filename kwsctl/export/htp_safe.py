"""Rewrites a graph so that Qualcomm's HTP computes it rightly.

A batch normalization that no convolution precedes (sub-spectral normalization, Chang et al. 2021) is placed
on the HTP like any other node and computed wrongly once quantized, while ONNX Runtime on a CPU computes the
same file rightly. As a multiplication and an addition it is right on both. A product with a constant matrix
on the left (the cosine transform of `dscnn`) does not fit on the smallest HTPs; as a convolution it does.
A mean over rows and frames at once (the pooling of `revbcresnet`) is destroyed in sixteen bits where the HTP
joins it to what comes before; over both laid out as one axis it is right.
`hazards` finds what was not rewritten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from kwsctl.errors import InputError

Constants = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A graph that is safe on the HTP.

    Attributes:
        model: the graph.
        batch_norms: normalizations that became a multiplication and an addition.
        identities: copies of constants that were folded.
        products: products with a constant on the left that became convolutions.
        means: means over several axes that became means over one.
    """

    model: onnx.ModelProto
    batch_norms: int
    identities: int
    products: int
    means: int


def htp_safe(model: onnx.ModelProto) -> Rewritten:
    """Folds constants, and replaces what the HTP computes wrongly.

    Args:
        model: a graph of static shape.

    Returns:
        The rewritten graph and what was done.
    """
    identities = sum(node.op_type == "Identity" for node in model.graph.node)
    folded = _folded(model)
    constants = {i.name: numpy_helper.to_array(i) for i in folded.graph.initializer}
    nodes, added, done = [], [], {"BatchNormalization": 0, "MatMul": 0, "ReduceMean": 0}
    for node in folded.graph.node:
        found = _rewritten(folded, node, constants)
        if found is None:
            nodes.append(node)
            continue
        nodes += found[0]
        added += found[1]
        done[node.op_type] += 1
    graph = folded.graph
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(added)
    _drop_unused(graph)
    del folded.metadata_props[:]  # the quantizer's preprocessing fails on models that have them
    onnx.checker.check_model(folded)
    return Rewritten(folded, done["BatchNormalization"], identities, done["MatMul"], done["ReduceMean"])


def hazards(model: onnx.ModelProto) -> tuple[str, ...]:
    """Finds what the HTP would compute wrongly or leave to the CPU although it seems to be placed.

    Args:
        model: a graph, quantized or not.

    Returns:
        One sentence per hazard; none if the graph is safe.
    """
    constants = {i.name for i in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    found = []
    for node in model.graph.node:
        name = node.name or (node.output[0] if node.output else "?")
        if node.op_type == "BatchNormalization":
            found.append(f"{name}: a stand-alone batch normalization is computed wrongly on the HTP")
        if node.op_type == "Identity" and node.input[0] in constants:
            found.append(f"{name}: a copied constant keeps the bias behind it from being quantized")
        if node.op_type == "MatMul" and node.input[0] in constants:
            found.append(f"{name}: a constant matrix on the left does not fit on the smallest HTPs")
        if node.op_type == "ReduceMean" and len(_axes(node)) > 1:
            found.append(f"{name}: a mean over several axes at once is computed wrongly in sixteen bits")
        if node.op_type in ("STFT", "Log", "Exp"):
            found.append(
                f"{name}: {node.op_type} loses its precision when quantized; keep it in the front end"
            )
    return tuple(found)


def check_safe(model: onnx.ModelProto) -> None:
    """Refuses a graph that was not rewritten.

    Args:
        model: a graph.

    Raises:
        InputError: it holds a hazard.
    """
    found = hazards(model)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise InputError(f"The graph is not safe on the HTP: {found[0]}{more}.", "Rewrite it with htp_safe.")


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Computes what depends on no input, by ONNX Runtime itself."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(path)
    used = {node.domain for node in folded.graph.node}
    kept = [opset for opset in folded.opset_import if opset.domain in used]
    del folded.opset_import[:]  # ONNX Runtime names every domain that it knows
    folded.opset_import.extend(kept)
    return onnx.shape_inference.infer_shapes(folded)


def _rewritten(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: Constants
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]] | None:
    """Gives what takes the place of a node, and its constants; None if the node may stay."""
    if node.op_type == "BatchNormalization" and all(name in constants for name in node.input[1:5]):
        return _scale_and_shift(node, constants, _rank(model, node.input[0]))
    if node.op_type == "MatMul" and node.input[0] in constants and _rank(model, node.input[1]) == 3:
        matrix = constants[node.input[0]]
        if matrix.ndim == 2:  # [M, K] @ [B, K, T]
            kernel = numpy_helper.from_array(np.ascontiguousarray(matrix[:, :, None]), f"{node.name}_kernel")
            return [helper.make_node("Conv", [node.input[1], kernel.name], list(node.output), node.name)], [
                kernel
            ]
    if node.op_type == "ReduceMean" and _axes(node) == [2, 3] and not _keeps_axes(node):
        shape = numpy_helper.from_array(
            np.array([0, 0, -1], np.int64), f"{node.name}_shape"
        )  # 0 keeps an axis
        flat = f"{node.name}_flat"
        return [
            helper.make_node("Reshape", [node.input[0], shape.name], [flat], f"{node.name}_reshape"),
            helper.make_node("ReduceMean", [flat], list(node.output), node.name, axes=[2], keepdims=0),
        ], [shape]
    return None


def _axes(node: onnx.NodeProto) -> list[int]:
    """Gives the axes that a node of opset 17 or earlier reduces; none if it reduces all."""
    return next((list(a.ints) for a in node.attribute if a.name == "axes"), [])


def _keeps_axes(node: onnx.NodeProto) -> bool:
    return next((bool(a.i) for a in node.attribute if a.name == "keepdims"), True)


def _scale_and_shift(
    node: onnx.NodeProto, constants: Constants, rank: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    scale, bias, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    name = node.name or node.output[0]
    shape = (1, -1, *(1,) * (rank - 2))
    weights = [
        numpy_helper.from_array(values.astype(np.float32).reshape(shape), f"{name}_{kind}")
        for kind, values in (("factor", factor), ("shift", bias - mean * factor))
    ]
    multiplied = f"{name}_multiplied"
    return [
        helper.make_node("Mul", [node.input[0], weights[0].name], [multiplied], name=f"{name}_mul"),
        helper.make_node("Add", [multiplied, weights[1].name], [node.output[0]], name=f"{name}_add"),
    ], weights


def _rank(model: onnx.ModelProto, name: str) -> int:
    for info in (*model.graph.value_info, *model.graph.input):
        if info.name == name:
            return len(info.type.tensor_type.shape.dim)
    return 4


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
