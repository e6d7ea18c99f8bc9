"""The head as ordinary ONNX graphs: one that scores, and one that is a step of learning.

ONNX Runtime's training package is no longer made, so the gradient is written out: for the softmax with cross
entropy, and for the sigmoid with the logistic loss, it is the score less the target (Bishop 2006, equations
4.109 and 4.91). With it, a stock ONNX Runtime learns a head on the device.

A step may be held back to some rows, may weigh clips, and may pull towards a first head (L2-SP, Li et al.
2018, arXiv 1802.01483, equation 2). A new word is learned on top of a head by growing it by one row and
holding the others: the softmax then is the logistic loss of the row against the log of the sum of all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kwsctl.export.frontend import checked

OPSET = 17
WEIGHT, BIAS, EMBEDDING = "weight", "bias", "embedding"


def head_graph(task: str) -> onnx.ModelProto:
    """Makes the graph that maps embeddings [B, E] and a head to scores [B, L].

    Args:
        task: `keywords` for a softmax over labels, `wake` for a sigmoid each.

    Returns:
        The graph; its inputs are `embedding` [B, E], `weight` [L, E] and `bias` [L].
    """
    graph = helper.make_graph(
        _scores(task),
        "head",
        [_input(EMBEDDING, "B", "E"), _input(WEIGHT, "L", "E"), _input(BIAS, "L")],
        [_input("scores", "B", "L")],
    )
    return checked(graph, OPSET)


def head_step_graph(task: str) -> onnx.ModelProto:
    """Makes the graph of one step of stochastic gradient descent with momentum.

    Inputs: `embedding` [B, E], `target` [B, L] (rows of ones and zeros, or shares), `clip_weight` [B],
    `weight` [L, E], `bias` [L], `weight_momentum` [L, E], `bias_momentum` [L], `first_weight` [L, E] (what
    the head stays near), `row_mask` [L] (1 for rows that learn), and the scalars `rate`, `momentum` and
    `strength`. Outputs: the first four of the head with `next_` before the name, and `loss`.

    The loss is the mean over clips, weighed, plus strength times the squared distance to `first_weight`.

    Args:
        task: `keywords` for a softmax over labels, `wake` for a sigmoid each.

    Returns:
        The graph, with the numbers of torch's SGD with momentum.
    """
    make = helper.make_node
    nodes = [
        *_scores(task),
        # dLoss/dLogits of both losses
        make("Sub", ["scores", "target"], ["error"]),
        make("ReduceSum", ["clip_weight"], ["mass"], keepdims=0),
        make("Div", ["clip_weight", "mass"], ["share"]),
        make("Unsqueeze", ["share", "last"], ["share_column"]),
        make("Mul", ["error", "share_column"], ["pull"]),
        make("Transpose", ["pull"], ["pull_by_label"], perm=[1, 0]),
        make("MatMul", ["pull_by_label", EMBEDDING], ["weight_pull"]),
        make("ReduceSum", ["pull", "first"], ["bias_pull"], keepdims=0),
        # the pull towards the first head
        make("Sub", [WEIGHT, "first_weight"], ["away"]),
        make("Mul", ["strength", "two"], ["twice"]),
        make("Mul", ["away", "twice"], ["back"]),
        make("Add", ["weight_pull", "back"], ["weight_gradient_all"]),
        make("Unsqueeze", ["row_mask", "last"], ["mask_column"]),
        make("Mul", ["weight_gradient_all", "mask_column"], ["weight_gradient"]),
        make("Mul", ["bias_pull", "row_mask"], ["bias_gradient"]),
        *_moved(WEIGHT),
        *_moved(BIAS),
        *_loss(task),
    ]
    constants: dict[str, np.ndarray[Any, Any]] = {
        "two": np.array(2, np.float32),
        "first": np.array([0], np.int64),
        "last": np.array([1], np.int64),
        "tiny": np.array(1e-30, np.float32),
        "one": np.array(1, np.float32),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "head_step",
        [
            _input(EMBEDDING, "B", "E"), _input("target", "B", "L"), _input("clip_weight", "B"),
            _input(WEIGHT, "L", "E"), _input(BIAS, "L"), _input("weight_momentum", "L", "E"),
            _input("bias_momentum", "L"), _input("first_weight", "L", "E"), _input("row_mask", "L"),
            _input("rate"), _input("momentum"), _input("strength"),
        ],
        [
            _input("next_weight", "L", "E"), _input("next_bias", "L"),
            _input("next_weight_momentum", "L", "E"), _input("next_bias_momentum", "L"), _input("loss"),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )  # fmt: skip
    return checked(graph, OPSET)


def _input(name: str, *shape: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _scores(task: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gemm", [EMBEDDING, WEIGHT, BIAS], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1)
        if task == "keywords"
        else helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]


def _moved(name: str) -> list[onnx.NodeProto]:
    """Momentum as torch has it: the velocity is not damped, and the step is the rate times the velocity."""
    return [
        helper.make_node("Mul", [f"{name}_momentum", "momentum"], [f"{name}_kept"]),
        helper.make_node("Add", [f"{name}_kept", f"{name}_gradient"], [f"next_{name}_momentum"]),
        helper.make_node("Mul", [f"next_{name}_momentum", "rate"], [f"{name}_move"]),
        helper.make_node("Sub", [name, f"{name}_move"], [f"next_{name}"]),
    ]


def _loss(task: str) -> list[onnx.NodeProto]:
    make = helper.make_node
    if task == "keywords":
        each = [make("LogSoftmax", ["logits"], ["log_scores"], axis=-1)]
        each += [make("Mul", ["target", "log_scores"], ["likelihood"])]
    else:  # -log(1 + exp(x)) keeps its precision where the sigmoid is 0 or 1
        each = [
            make("Softplus", ["logits"], ["log_sum"]),
            make("Mul", ["target", "logits"], ["chosen"]),
            make("Sub", ["chosen", "log_sum"], ["likelihood"]),
        ]
    return [
        *each,
        make("Mul", ["likelihood", "share_column"], ["weighed"]),
        make("ReduceSum", ["weighed"], ["likelihood_sum"], keepdims=0),
        make("Mul", ["away", "away"], ["away_squared"]),
        make("ReduceSum", ["away_squared"], ["distance"], keepdims=0),
        make("Mul", ["strength", "distance"], ["penalty"]),
        make("Sub", ["penalty", "likelihood_sum"], ["loss"]),
    ]
