"""Runs ONNX graphs on the CPU with ONNX Runtime; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from kwsctl.errors import BundleError

if TYPE_CHECKING:
    import onnx

Feed = Mapping[str, NDArray[np.float32]]
Runner = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
"""Maps features [N, F, T] to the outputs of a model: the embedding [N, E] first, the voice after it."""


def cpu_session(model: onnx.ModelProto | Path | bytes) -> Any:
    """Opens a graph on the CPU.

    Args:
        model: the graph, its file, or the bytes of it.

    Returns:
        A session of ONNX Runtime on one thread, because these networks are too small for more.

    Raises:
        BundleError: it is no graph, or one that ONNX Runtime does not know.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source: str | bytes
    if isinstance(model, Path):
        source = str(model)
    else:
        source = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        named = model if isinstance(model, Path) else "The graph"
        raise BundleError(
            f"{named} cannot be opened: {str(error).splitlines()[0]}", "Export the model again."
        ) from None


def run_cpu(model: onnx.ModelProto | Path | bytes, feeds: Iterable[Feed]) -> list[list[NDArray[np.float32]]]:
    """Runs a graph over inputs, one after the other.

    Args:
        model: the graph, or its file.
        feeds: the inputs.

    Returns:
        Per input, the outputs in the order of the graph.
    """
    session = cpu_session(model)
    return [session.run(None, dict(feed)) for feed in feeds]


def run_windows(session: Any, features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Runs a graph of one window over many.

    Args:
        session: of a graph that takes features [1, F, T].
        features: [N, F, T].

    Returns:
        Per output, [N, ...].
    """
    name = session.get_inputs()[0].name
    runs = [session.run(None, {name: features[i : i + 1]}) for i in range(len(features))]
    if not runs:
        return [np.zeros((0, *output.shape[1:]), np.float32) for output in session.get_outputs()]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]
