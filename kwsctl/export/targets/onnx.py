"""Any device with ONNX Runtime: a quantized or float graph that runs on the CPU, proven on this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from kwsctl.export.quantization import Feed, Precision, quantized
from kwsctl.export.running import Runner, cpu_session, run_windows
from kwsctl.export.target import Extras, Request

SUMMARY = "ONNX Runtime on a CPU: float, or quantized to 8-bit weights with 8- or 16-bit activations"
MODEL = "model.onnx"
STREAMS = True
PRECISIONS: tuple[Precision, ...] = ("w8a8", "w8a16", "mixed", "float")
TOLERANCE = 1e-4
"""Largest difference of the float graph's embedding from torch's."""


def missing() -> str:
    """Says what keeps the target from being verified; never anything."""
    return ""


def convert(
    graph: onnx.ModelProto, feeds: Sequence[Feed], precision: Precision, wide: Sequence[str]
) -> bytes:
    """Makes the model file.

    Args:
        graph: a safe graph in float.
        feeds: inputs of the calibration.
        precision: of weights and activations.
        wide: tensors of sixteen bits in a `mixed` graph.

    Returns:
        Its bytes.
    """
    made = graph if precision == "float" else quantized(graph, feeds, precision, wide)
    return bytes(made.SerializeToString())


def runners(model: Path) -> Mapping[str, Runner]:
    """Gives the ways in which this machine can run the model file.

    Args:
        model: what `convert` made.

    Returns:
        Per name, what maps features [N, F, T] to the outputs.
    """
    session = cpu_session(model)
    return {"cpu": lambda features: run_windows(session, features)}


def verify(request: Request, model: Path) -> Mapping[str, Any]:
    """Has nothing to verify beyond parity, which every target is held to."""
    return {}


def extras(request: Request, model: Path, folder: Path) -> Extras:
    """Has no files of its own.

    Args:
        request: what is exported.
        model: the model file.
        folder: of the package.

    Returns:
        What was verified.
    """
    return Extras(
        verified="numerically verified with ONNX Runtime on an x86 CPU; device latency not measured"
    )
