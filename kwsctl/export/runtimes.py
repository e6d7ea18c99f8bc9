"""What `kwsctl listen` listens with: a bundle or a package, in torch, ONNX Runtime, or on Qualcomm's HTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kwsctl.errors import InputError
from kwsctl.export import package as packages
from kwsctl.export import personal
from kwsctl.export.listening import GraphEngine, Graphs, of_bundle, of_package, voice_of_part
from kwsctl.export.running import cpu_session
from kwsctl.personal.encryption import Key
from kwsctl.streaming.engine import Engine
from kwsctl.streaming.listener import Voice

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle

RUNTIMES = ("onnx", "qnn", "torch")


@dataclass(frozen=True, eq=False)
class Listening:
    """A model that is ready to listen.

    Attributes:
        engine: makes an engine for one more stream.
        voice: for keywords that only one person may say.
        named: the model in words.
        runtime: one of `RUNTIMES`.
    """

    engine: Callable[[], Engine] = field(repr=False)
    voice: Voice | None = field(repr=False)
    named: str
    runtime: str


def check_runtime(runtime: str | None, *, packaged: bool) -> str:
    """Chooses what runs a model.

    Args:
        runtime: what was asked for; None for `onnx`.
        packaged: whether the model is an exported package.

    Returns:
        One of `RUNTIMES`.

    Raises:
        InputError: there is no such runtime, or not for this kind of model.
    """
    if runtime is None:
        return "onnx"
    if runtime not in RUNTIMES:
        raise InputError(f"There is no runtime {runtime!r}.", f"Use one of {', '.join(RUNTIMES)}.")
    if runtime == "torch" and packaged:
        raise InputError(
            "A package has graphs, no network of torch.",
            "Leave --runtime out, or give the bundle to --model.",
        )
    if runtime == "qnn" and not packaged:
        raise InputError(
            "The HTP runs quantized packages, not bundles.",
            "Type: kwsctl export --target snapdragon --out DIR, and give DIR to --model.",
        )
    return runtime


def listen_to_package(
    folder: Path, user: str | None, key: Key | None, runtime: str | None = None, htp_arch: int = 75
) -> Listening:
    """Opens a package to listen with it; needs no torch.

    Args:
        folder: of the package.
        user: whose keywords and thresholds to take; None for everybody's.
        key: opens what is the person's if it is sealed.
        runtime: `onnx`, or `qnn` for Qualcomm's emulator of the HTP on x86-64.
        htp_arch: generation of the HTP.

    Returns:
        What listens.

    Raises:
        InputError: it cannot be run so.
        BundleError: the package is damaged, or cannot stream.
        ProfileError: the person is not enrolled in it, or sealed without a key.
        DeviceError: a graph cannot be wholly on the HTP, or its libraries are not there.
    """
    chosen = check_runtime(runtime, packaged=True)
    package = packages.read(folder)
    part = None if user is None else personal.read_part(package, user, key)
    graphs = of_package(package, part, _on_htp(htp_arch) if chosen == "qnn" else cpu_session)
    whose = f" as {user} has it" if user else ""
    return Listening(lambda: GraphEngine(graphs), voice_of_part(part), f"{folder}{whose}", chosen)


def listen_to_bundle(
    bundle: Bundle, named: str, runtime: str | None = None, block_frames: int = 16
) -> Listening:
    """Makes a bundle ready to listen.

    Args:
        bundle: the model, which may be a person's.
        named: in words.
        runtime: `onnx`, which exports it in memory, or `torch`.
        block_frames: feature frames that are heard at a time.

    Returns:
        What listens.

    Raises:
        InputError: it cannot be run so, or the network cannot run frame by frame.
    """
    from kwsctl.personal.model import voice_check
    from kwsctl.streaming.torch_engine import TorchEngine

    chosen = check_runtime(runtime, packaged=False)
    voice = voice_check(bundle)
    if chosen == "torch":
        return Listening(lambda: TorchEngine(bundle), voice, named, chosen)
    graphs: Graphs = of_bundle(bundle, block_frames)
    return Listening(lambda: GraphEngine(graphs), voice, named, chosen)


def _on_htp(arch: int) -> Callable[[Path], Any]:
    """Opens graphs on the emulator of a generation of the HTP."""
    from kwsctl.errors import DeviceError
    from kwsctl.export import htp
    from kwsctl.export.chips import of_arch

    if reason := htp.missing():
        raise DeviceError(f"The HTP cannot be used: {reason}.", htp.how_to_get())
    return lambda path: htp.session(path, of_arch(arch))
