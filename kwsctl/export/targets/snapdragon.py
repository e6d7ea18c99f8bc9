"""Snapdragon: a graph for the HTP of Qualcomm's chips, proven on the emulator, and compiled per chip.

Being placed on the HTP is not being computed rightly there: a graph may sit on it to the last node and be
destroyed. So a form with sixteen-bit activations, in which a healthy graph gives on the HTP what it gives on
a CPU, is compared first; then the form that ships.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from kwsctl.errors import ParityError
from kwsctl.export import htp
from kwsctl.export.chips import of_arch
from kwsctl.export.device_files import write_device_files
from kwsctl.export.parity import agreement, distance
from kwsctl.export.quantization import Feed, Precision, quantized
from kwsctl.export.running import Runner, cpu_session, run_windows
from kwsctl.export.target import Extras, Request

SUMMARY = "Qualcomm's HTP: a quantized graph, context binaries per chip, and a .dlc"
MODEL = "model.qdq.onnx"
STREAMS = True
PRECISIONS: tuple[Precision, ...] = ("w8a8", "w8a16", "mixed")
EMULATED = (75, 69)
"""Generations of the HTP that a model is run on; 73 to 81 give the same numbers, 68 and 69 others."""
STRUCTURE_ARCH, STRUCTURE_AGREEMENT = 75, 0.97
FARTHER = 1.5
"""How much farther from float the HTP may be than the same file on a CPU."""
FARTHER_FLOOR = 0.02
"""Distance that counts as none, as a share of the embedding's spread."""


def missing() -> str:
    """Says what keeps the target from being verified on this machine; empty if nothing does."""
    return htp.missing()


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
        The bytes of a QDQ graph.
    """
    return bytes(quantized(graph, feeds, precision, wide).SerializeToString())


def runners(model: Path) -> Mapping[str, Runner]:
    """Gives the ways in which this machine can run the model file.

    Args:
        model: what `convert` made.

    Returns:
        `cpu`, and with the extra `snapdragon` one emulator per generation of the HTP.
    """
    session = cpu_session(model)
    found: dict[str, Runner] = {"cpu": lambda features: run_windows(session, features)}
    if not missing():
        for arch in EMULATED:
            opened = htp.session(model, of_arch(arch))
            found[f"htp-v{arch}"] = functools.partial(run_windows, opened)
    return found


def verify(request: Request, model: Path) -> Mapping[str, Any]:
    """Proves that the HTP computes the graph, and not only takes it.

    Args:
        request: what is exported.
        model: the model file.

    Returns:
        Figures of the proof; none without the extra.

    Raises:
        ParityError: the graph is destroyed on the HTP.
    """
    if missing():
        return {}
    at = of_arch(STRUCTURE_ARCH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "structure.onnx"
        onnx.save(quantized(request.graph, request.feeds, "w8a16"), path)
        on_cpu, on_htp = _both(request, path, at)
    agreed = agreement(on_cpu, on_htp)
    facts = {
        "precision": "w8a16", "arch": STRUCTURE_ARCH, "n": len(request.heard),
        "agreement_htp_cpu": agreed, "error_htp_cpu": distance(on_cpu, on_htp),
    }  # fmt: skip
    if agreed < STRUCTURE_AGREEMENT:
        raise ParityError(
            f"On the HTP (v{STRUCTURE_ARCH}, w8a16) only {agreed:.1%} of {len(request.heard)} windows get "
            f"the answer of the same file on a CPU, where {STRUCTURE_AGREEMENT:.0%} would be healthy.",
            "An operator of this network is computed otherwise on the HTP; see docs/export.md.",
        )
    spread = float(request.exact.outputs[0].std())
    on_cpu, on_htp = _both(request, model, at)
    near, far = distance(request.exact, on_cpu), distance(request.exact, on_htp)
    if far > max(FARTHER * near, FARTHER_FLOOR * spread):
        raise ParityError(
            f"On the HTP (v{STRUCTURE_ARCH}) the embedding is {far:.4f} away from the float one, on a CPU "
            f"{near:.4f}: more than {FARTHER:g} times as far.",
            "Try --precision w8a16.",
        )
    return {"structure": facts, "distance": {"arch": STRUCTURE_ARCH, "htp_float": far, "cpu_float": near}}


def extras(request: Request, model: Path, folder: Path) -> Extras:
    """Compiles the model for each chip, and writes the container, the trace of operators and device files.

    Args:
        request: what is exported.
        model: the model file.
        folder: of the package.

    Returns:
        What was verified, and the sizes.

    Raises:
        DeviceError: a node is not on the HTP, or the graph does not compile.
    """
    write_device_files(folder, MODEL, request.chips)
    if missing():
        return Extras(
            "numerically verified on the CPU only, not on Qualcomm's emulator; device latency and power not "
            "measured",
            (
                f"placement on the HTP, numbers on its emulator, context binaries and the .dlc: {missing()}. "
                f"{htp.how_to_get()}",
            ),
        )
    contexts = {}
    for number, at in enumerate(request.chips):
        out = folder / f"context.{at.part}.onnx"
        made = htp.compile_context(model, out, at)
        reopened = htp.session(out, at)
        ran = run_windows(reopened, request.heard.features[:1])
        contexts[at.part] = {**made, "name": at.name, "arch": at.htp_arch, "runs": len(ran[0]) == 1}
        request.progress(number + 1, len(request.chips), chip=at.part)
    at = request.chips[0] if request.chips else of_arch(STRUCTURE_ARCH)
    htp.write_dlc(model, folder / "model.dlc", at)
    htp.write_op_trace(model, folder / "qnn_op_trace.json", at)
    trace = op_trace(folder / "qnn_op_trace.json")
    placed = htp.placement(htp.session(model, of_arch(STRUCTURE_ARCH)))
    return Extras(
        htp.WORDING,
        (),
        {"placement": placed, "contexts": contexts, "dlc_bytes": (folder / "model.dlc").stat().st_size,
         "onnxruntime_qnn": htp.sdk_version(), "op_trace": trace},
    )  # fmt: skip


def op_trace(path: Path) -> dict[str, Any]:
    """Sums a trace of operators up.

    Args:
        path: what Qualcomm's libraries wrote.

    Returns:
        How many of ONNX's operators became how many of Qualcomm's, and which could not.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    return {"summary": found.get("summary", {}), "unsupported": found.get("unsupported_nodes", [])}


def _both(request: Request, model: Path, at: Any) -> tuple[Any, Any]:
    """Answers of a file on the CPU and on the emulator."""
    session, opened = cpu_session(model), htp.session(model, at)
    return (
        request.judge.answers(lambda features: run_windows(session, features), request.heard),
        request.judge.answers(lambda features: run_windows(opened, features), request.heard),
    )
