"""LiteRT: a `.tflite` model for Android, iOS and microcontrollers, proven with its interpreter on this CPU.

LiteRT's converter is large, so that it is an extra of its own; converting and running happen in its
environment. The inputs of an integer model are quantized by the caller, as its own scale and zero point say.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kwsctl.export import elsewhere
from kwsctl.export.target import Extras

if TYPE_CHECKING:
    import onnx

    from kwsctl.export.quantization import Feed, Precision
    from kwsctl.export.running import Runner
    from kwsctl.export.target import Request

SUMMARY = "LiteRT (TensorFlow Lite): an integer .tflite of 8-bit weights, or in float"
MODEL = "model.tflite"
PRECISIONS: tuple[Precision, ...] = ("w8a8", "w8a16", "float")
STREAMS = False
EXTRA = "litert"


def missing() -> str:
    """Says what keeps the target from being made on this machine; empty if nothing does."""
    return elsewhere.missing(EXTRA)


def convert(
    graph: onnx.ModelProto, feeds: Sequence[Feed], precision: Precision, wide: Sequence[str]
) -> bytes:
    """Makes the model file.

    Args:
        graph: a safe graph in float.
        feeds: inputs of the calibration.
        precision: `w8a8`, `w8a16` or `float`.
        wide: not used: there is no mixed form.

    Returns:
        Its bytes.

    Raises:
        DeviceError: the extra is not there, or the graph cannot be converted.
    """
    with tempfile.TemporaryDirectory() as folder:
        program, given, out = (Path(folder) / name for name in ("graph.pt2", "feeds.npz", MODEL))
        elsewhere.save_program(graph, program)
        elsewhere.save_feeds(feeds, [i.name for i in graph.graph.input], given)
        elsewhere.call(EXTRA, "tflite", ["convert", program, given, precision, out])
        return out.read_bytes()


def runners(model: Path) -> Mapping[str, Runner]:
    """Gives the ways in which this machine can run the model file.

    Args:
        model: what `convert` made.

    Returns:
        Per name, what maps features [N, F, T] to the outputs.
    """
    return {"cpu": functools.partial(elsewhere.run, EXTRA, "tflite", model)}


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
    return Extras("numerically verified with LiteRT's interpreter on an x86 CPU; device latency not measured")
