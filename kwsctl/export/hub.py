"""Measures a package on a real device in Qualcomm AI Hub's farm, with `qai-hub`; it uploads the model.

Not run by us: it needs an account and a token. What is tested is everything up to there. The package's own
windows go along, so that the device's answers can be compared with those of the CPU: the only way to tell
whether the emulator is the chip.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl.errors import DeviceError, InputError
from kwsctl.export import package as packages
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.storage import write_text

REPORT, MOST_WINDOWS = "on_device.json", 100
INSTALL = 'pip install "qai-hub>=0.56,<0.57"'
TOKEN = "sign in at aihub.qualcomm.com, Account, API token; then: qai-hub configure --api_token TOKEN"  # noqa: S105  # no token
RUNTIME = "qnn_context_binary"


@dataclass(frozen=True)
class Profiled:
    """What a device said.

    Attributes:
        device: which.
        url: of the job.
        latency_us: estimated time of one window, in microseconds; None if the hub told none.
        error_cpu: mean absolute difference of the embedding to that of the same file on this CPU.
        windows: that were compared.
        profile: what the hub measured, as it says it.
    """

    device: str
    url: str
    latency_us: float | None
    error_cpu: float | None
    windows: int
    profile: dict[str, Any]


def check(device: str, *, consent: bool) -> None:
    """Refuses to begin without consent, the client, or a token; nothing is sent.

    Args:
        device: as AI Hub names it.
        consent: whether the person agreed to the upload.

    Raises:
        InputError: no consent.
        DeviceError: the client is not installed, or has no token.
    """
    if not consent:
        raise InputError(
            f"--profile-on-device {device!r} uploads the model to Qualcomm's cloud.",
            "If you agree, add --consent-to-upload.",
        )
    if importlib.util.find_spec("qai_hub") is None:
        raise DeviceError("qai-hub is not installed.", f"{INSTALL}; then {TOKEN}")
    import qai_hub.client

    try:
        qai_hub.client.Client().config  # noqa: B018  # reads the token, sends nothing
    except Exception as error:  # its errors have no public common class
        raise DeviceError(f"qai-hub has no token: {_said(error)}", TOKEN) from None


def of_package(folder: Path, features: NDArray[np.float32], device: str) -> Profiled:
    """Profiles a package's model after consent was given, and adds what came of it to the report.

    Args:
        folder: of the package.
        features: [N, F, T] windows; a hundred of them are run.
        device: as AI Hub names it.

    Returns:
        What the device said.

    Raises:
        DeviceError: no token, no such device, or a job that failed; the package stays as it is.
    """
    opened = packages.read(folder)
    windows = features[:MOST_WINDOWS]
    on_cpu = run_windows(cpu_session(opened.model), windows)[0]
    found = profile(opened.model, windows, on_cpu, device, consent=True)
    write_text(folder / REPORT, json.dumps(dataclasses.asdict(found), indent=1, sort_keys=True) + "\n")
    packages.write_manifest(folder, opened.manifest)
    return found


def profile(
    model: Path, features: NDArray[np.float32], on_cpu: NDArray[np.float32], device: str, *, consent: bool
) -> Profiled:
    """Compiles a QDQ graph for a device in the farm, runs it there, and fetches what it measured.

    Args:
        model: `model.qdq.onnx`.
        features: [N, F, T] windows to run.
        on_cpu: [N, E] embeddings of the same file on this CPU.
        device: as AI Hub names it.
        consent: whether the person agreed to the upload.

    Returns:
        What the device said.

    Raises:
        InputError: no consent.
        DeviceError: no client, no token, no such device, or a job that failed.
    """
    check(device, consent=consent)
    import qai_hub as hub

    try:
        chosen = hub.Device(device)
        options = f"--target_runtime {RUNTIME}"
        compiled = hub.submit_compile_job(str(model), device=chosen, name="kwsctl", options=options)
        compiled.wait()
        target = compiled.get_target_model()
        if target is None:
            raise DeviceError(f"AI Hub could not compile the model: {compiled.url}")
        windows = [features[i : i + 1] for i in range(len(features))]
        job = hub.submit_inference_job(target, device=chosen, inputs={"features": windows}, profile=True)
        outputs, measured = job.download_output_data(), job.download_profile()
    except DeviceError:
        raise
    except Exception as error:  # its errors have no public common class
        raise DeviceError(f"AI Hub: {_said(error)}", TOKEN) from None
    found = np.concatenate([np.asarray(part) for part in next(iter(outputs.values()))]) if outputs else None
    summary = measured.get("execution_summary", {})
    return Profiled(
        device=device,
        url=job.url,
        latency_us=summary.get("estimated_inference_time"),
        error_cpu=None if found is None else float(np.abs(found.reshape(on_cpu.shape) - on_cpu).mean()),
        windows=len(features),
        profile=measured,
    )


def _said(error: Exception) -> str:
    """Gives the first line of a message that says something: some come in a drawn box."""
    lines = [line.strip(" |") for line in str(error).splitlines()]
    return next((line for line in lines if any(map(str.isalnum, line))), type(error).__name__)
