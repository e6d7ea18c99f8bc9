"""Runs, checks and compiles graphs with Qualcomm's HTP libraries, on the emulator that they bring for x86.

Needs the extra `snapdragon`. The libraries are proprietary; nothing of them goes into a package. What is
measured here is numbers, never time: the emulator is a hundred times slower than the chip.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from onnx import helper

from kwsctl.errors import DeviceError
from kwsctl.export.chips import Chip, chip

PROVIDER = "QNNExecutionProvider"
INSTALL = 'pip install "kwsctl[snapdragon]"'
WORDING = (
    "compiled for and numerically verified on Qualcomm's x86 HTP emulator; "
    "device latency and power not measured"
)


def missing() -> str:
    """Says what keeps the HTP libraries from being used; empty if they are there."""
    if importlib.util.find_spec("onnxruntime_qnn") is not None:
        return ""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return (
            f"onnxruntime-qnn has the emulator for x86-64 Linux only, this is {platform.system()} "
            f"{platform.machine()}"
        )
    return "onnxruntime-qnn is not installed"


def how_to_get() -> str:
    """Says how to get the libraries."""
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        return f"{INSTALL} (glibc 2.35 or newer; Qualcomm's licence applies)"
    return f"On x86-64 Linux with glibc 2.35 or newer: {INSTALL}"


def sdk_version() -> str:
    """Gives the version of the installed libraries, empty without them."""
    import importlib.metadata

    return "" if missing() else importlib.metadata.version("onnxruntime-qnn")


def check() -> None:
    """Loads the libraries.

    Raises:
        DeviceError: they are not there, or do not load on this machine.
    """
    _devices()


def session(model: Path, at: Chip, **options: str) -> Any:
    """Opens a graph on the emulator of a chip, wholly or not at all.

    Args:
        model: a QDQ graph, or a context binary.
        at: the chip.
        **options: more of the execution provider's options.

    Returns:
        A session that fails rather than fall back to the CPU, be it when it is opened or when it runs.

    Raises:
        DeviceError: the libraries are not there, or a node cannot be on the HTP.
    """
    chosen = _session_options(at, options, allow_cpu=False)
    chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        with _talking_to_stderr():
            opened = ort.InferenceSession(str(model), sess_options=chosen)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise DeviceError(
            f"{model.name} cannot be wholly on the HTP of {at.part}: {str(error).splitlines()[0]}",
            f"Not there: {', '.join(off_the_htp(model, at)) or 'unknown'}.",
        ) from None
    opened.disable_fallback()  # otherwise an error while running is hidden by the CPU
    return opened


def placement(opened: Any) -> dict[str, int]:
    """Counts the nodes of a session by execution provider."""
    return {a.ep_name: len(a.get_nodes()) for a in opened.get_provider_graph_assignment_info()}


def off_the_htp(model: Path, at: Chip) -> tuple[str, ...]:
    """Names the operators of a graph that the HTP does not take.

    Args:
        model: a QDQ graph.
        at: the chip.

    Returns:
        Types of operators, sorted; none if all are taken.
    """
    chosen = _session_options(at, {}, allow_cpu=True)
    chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chosen.log_severity_level = 4
    try:
        with _talking_to_stderr():
            opened = ort.InferenceSession(str(model), sess_options=chosen)
    except Exception:  # only explains another error
        return ()
    return tuple(
        sorted(
            {
                node.op_type
                for a in opened.get_provider_graph_assignment_info()
                if a.ep_name != PROVIDER
                for node in a.get_nodes()
            }
        )
    )


def compile_context(model: Path, out: Path, at: Chip) -> dict[str, Any]:
    """Compiles a graph for one chip.

    Args:
        model: a QDQ graph.
        out: the context binary in its ONNX wrapping; replaced if it is there.
        at: the chip.

    Returns:
        Bytes of the file, version of the libraries, and what the file says it was made for.

    Raises:
        DeviceError: the graph does not compile into one context.
    """
    out.unlink(missing_ok=True)  # an existing file is an error to the compiler
    try:
        compiler = ort.ModelCompiler(
            _session_options(at, {}, allow_cpu=False),
            str(model),
            embed_compiled_data_into_model=True,
            flags=ort.OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED,
        )
        with _talking_to_stderr():
            compiler.compile_to_file(str(out))
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise DeviceError(f"{model.name} does not compile for {at.part}: {error}") from None
    made = onnx.load(out)
    ops = [node.op_type for node in made.graph.node]
    if ops != ["EPContext"]:
        raise DeviceError(f"{model.name} compiled for {at.part} into {', '.join(ops)}, not into one context.")
    attributes = {a.name: helper.get_attribute_value(a) for a in made.graph.node[0].attribute}
    return {
        "bytes": out.stat().st_size,
        "sdk": attributes["ep_sdk_version"].decode(),
        "made_for": {p.key: p.value for p in made.metadata_props}.get(
            f"ep_compatibility_info.{PROVIDER}", ""
        ),
    }


def write_dlc(model: Path, out: Path, at: Chip) -> None:
    """Writes a graph as a deep-learning container, for Qualcomm's own tools; in a process of its own.

    Args:
        model: a QDQ graph.
        out: the `.dlc`.
        at: any chip: the container is for all.

    Raises:
        DeviceError: nothing was written.
    """
    _in_process("dlc", model, out, at)


def write_op_trace(model: Path, out: Path, at: Chip) -> None:
    """Writes which operator became which of Qualcomm's, as JSON; in a process of its own.

    Args:
        model: a QDQ graph.
        out: the JSON file.
        at: the chip.

    Raises:
        DeviceError: nothing was written.
    """
    _in_process("trace", model, out, at)


def _in_process(what: str, model: Path, out: Path, at: Chip) -> None:
    """Runs this file as a program: a session that writes such files cannot run, and may end its process."""
    command = [sys.executable, "-m", "kwsctl.export.htp", what, str(model), str(out), at.part]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own file
    if done.returncode or not out.is_file():
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise DeviceError(f"{out.name} was not written: {said}")


def _write(what: str, model: Path, out: Path, at: Chip) -> None:
    import onnxruntime_qnn as qnn

    with tempfile.TemporaryDirectory() as folder:
        if what == "dlc":
            backend = str(Path(qnn.LIB_DIR_FULL_PATH) / "libQnnIr.so")
            session(model, at, dump_qnn_ir_dlc="1", dump_qnn_ir_dlc_dir=folder, qnn_ir_backend_path=backend)
        else:
            session(model, at, enable_framework_op_trace="1", framework_op_trace_dir=folder)
        made = sorted(
            p for p in Path(folder).rglob("*") if p.suffix == (".dlc" if what == "dlc" else ".json")
        )
        out.write_bytes(made[0].read_bytes())


def _session_options(at: Chip, more: dict[str, str], *, allow_cpu: bool) -> Any:
    qnn, devices = _devices()
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 3
    if not allow_cpu:
        chosen.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen.add_provider_for_devices(
        devices,
        {
            "backend_path": qnn.get_qnn_htp_path(),
            "soc_model": str(at.soc_model),
            "htp_arch": str(at.htp_arch),
            "vtcm_mb": str(at.vtcm_mb),
            **more,
        },
    )
    return chosen


@contextlib.contextmanager
def _talking_to_stderr() -> Iterator[None]:
    """Sends what the libraries print on stdout to stderr: stdout holds results only."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _devices() -> tuple[Any, list[Any]]:
    if reason := missing():
        raise DeviceError(f"{reason}.", how_to_get())
    import onnxruntime_qnn as qnn

    try:
        with _talking_to_stderr():
            ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
    except Exception as error:  # ONNX Runtime's errors have no common class
        if "already registered" not in str(error):
            raise DeviceError(f"Qualcomm's libraries do not load: {error}.", how_to_get()) from None
    found = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER][:1]
    if not found:
        raise DeviceError("Qualcomm's libraries offer no HTP here.", how_to_get())
    return qnn, found


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), chip(sys.argv[4]))
