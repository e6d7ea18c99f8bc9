"""Quantizes a graph after training, in the form that Qualcomm's execution provider takes onto the HTP.

Weights have eight bits, one scale per output channel; activations eight or sixteen. ONNX Runtime's quantizer
inserts pairs of QuantizeLinear and DequantizeLinear (QDQ); ranges are the lowest and highest activations over
the calibration clips.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

from kwsctl.export.htp_safe import check_safe
from kwsctl.export.running import run_cpu

Precision = Literal["w8a8", "w8a16", "mixed", "float"]
Feed = Mapping[str, NDArray[np.float32]]
SENSITIVE_SHARE = 0.25
PROBES = 24


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the package ships no types
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Gives the next inputs, None after the last."""
        found = next(self._feeds, None)
        return None if found is None else dict(found)


def quantized(
    model: onnx.ModelProto, feeds: Sequence[Feed], precision: Precision, wide: Sequence[str] = ()
) -> onnx.ModelProto:
    """Quantizes a graph.

    Args:
        model: a safe graph of static shape.
        feeds: inputs of the calibration, one window each.
        precision: `w8a8`, `w8a16`, or `mixed`: eight bits but for the tensors `wide`.
        wide: tensors with activations of sixteen bits in a `mixed` graph.

    Returns:
        The QDQ graph; its inputs and outputs are float.

    Raises:
        InputError: the graph was not rewritten for the HTP.
    """
    check_safe(model)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, prepared, out = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "out"))
        onnx.save(model, source)
        # It writes nothing where it has nothing to change.
        used = prepared if qnn_preprocess_model(source, prepared) else source
        kind = QuantType.QUInt16 if precision == "w8a16" else QuantType.QUInt8
        overrides = {name: [_wide()] for name in wide} if precision == "mixed" else None
        config = get_qnn_qdq_config(
            used,
            _Reader(feeds),
            activation_type=kind,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            init_overrides=overrides,
        )
        quantize(used, out, config)
        found = onnx.load(out)
    found.producer_name = "kwsctl"
    return found


def sensitive(
    model: onnx.ModelProto, feeds: Sequence[Feed], share: float = SENSITIVE_SHARE
) -> tuple[str, ...]:
    """Finds the tensors that suffer most from eight bits.

    For each activation, the error that rounding it alone to eight bits makes is compared with its spread
    (signal to quantization noise); the worst come first.

    Args:
        model: a safe graph of static shape.
        feeds: inputs of the calibration.
        share: of the activations to name.

    Returns:
        Names of tensors, the worst first.
    """
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    constants = {i.name for i in model.graph.initializer}
    known = {output.name for output in model.graph.output}
    names = [o for node in model.graph.node for o in node.output if o not in constants]
    for name in names:
        if name not in known:
            opened.graph.output.append(onnx.ValueInfoProto(name=name))
    runs = run_cpu(opened, feeds[:PROBES])
    outputs = [output.name for output in opened.graph.output]
    noise = []
    for place, name in enumerate(outputs):
        values = np.concatenate([run[place].ravel() for run in runs])
        step = float(values.max() - min(0.0, values.min())) / 255
        spread = float(values.std())
        noise.append((step / spread if spread > 0 else 0.0, name))
    return tuple(name for _, name in sorted(noise, reverse=True)[: max(1, round(share * len(names)))])


def graph_bytes(model: onnx.ModelProto) -> int:
    """Counts the bytes of the numbers in a graph, which is what a device keeps of it."""
    return sum(numpy_helper.to_array(i).nbytes for i in model.graph.initializer)


def _wide() -> dict[str, Any]:
    return {"quant_type": QuantType.QUInt16}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the advice of the quantizer to preprocess from the terminal: it was done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
