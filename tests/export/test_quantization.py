"""Quantized graphs: finer is nearer, and what suffers most is found."""

from __future__ import annotations

import functools

import numpy as np
import onnx

from kwsctl.export import cost, graphs
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.quantization import quantized, sensitive
from kwsctl.export.running import cpu_session, run_windows
from tests.export.exported import some, untrained, windows


@functools.cache
def graph() -> onnx.ModelProto:
    return htp_safe(graphs.window_graph(untrained("tcresnet"))).model


def error_of(model: onnx.ModelProto) -> float:
    x = windows(8, seed=1)
    exact, found = (run_windows(cpu_session(m), x)[0] for m in (graph(), model))
    return float(np.abs(exact - found).mean())


def test_finer_is_nearer_to_float_and_mixed_lies_between() -> None:
    feeds = list(some().feeds("features"))
    wide = sensitive(graph(), feeds)
    made = {p: quantized(graph(), feeds, p, wide if p == "mixed" else ()) for p in ("w8a8", "mixed", "w8a16")}
    errors = {name: error_of(model) for name, model in made.items()}
    assert errors["w8a16"] < errors["w8a8"]
    assert errors["mixed"] < errors["w8a8"]
    for model in made.values():
        assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
        assert kinds == {onnx.TensorProto.FLOAT}


def test_what_suffers_most_is_named_first() -> None:
    feeds = list(some().feeds("features"))
    all_of_them = sensitive(graph(), feeds, share=1.0)
    assert sensitive(graph(), feeds, share=0.1) == all_of_them[: round(0.1 * len(all_of_them))]
    known = {name for node in graph().graph.node for name in node.output}
    assert set(all_of_them) == known


def test_costs_are_counted_in_bytes_of_the_form_that_ships() -> None:
    coarse, fine = (cost.graph_cost(graph(), precision) for precision in ("w8a8", "w8a16"))
    assert fine.activation_peak_bytes == 2 * coarse.activation_peak_bytes
    assert fine.weight_bytes == coarse.weight_bytes
    n_features = 40 * 98  # the input alone is alive at first
    assert coarse.activation_peak_bytes > n_features
