"""Listens with exported graphs: those of a package, or of a bundle that is exported in memory.

A run of ONNX Runtime costs a fraction of the same frames in torch, whose time goes into calling some fifty
layers for a handful of frames. A package is listened to without torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from kwsctl.errors import BundleError, InputError
from kwsctl.export.package import FRONTEND, Package
from kwsctl.export.personal import Part
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.runtime import Runtime
from kwsctl.export.scores import Floats, Head, probabilities
from kwsctl.export.streaming import StreamRunner
from kwsctl.features.frontend import FrontEnd
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.streaming.listener import Voice
from kwsctl.types import POWER_FLOOR, FeatureSpec

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle

Open = Callable[[Path], Any]
"""Opens a graph with a session of ONNX Runtime."""
FRONTEND_TOLERANCE = 1e-3
"""Largest difference of a package's log-mel energies from those computed here."""


@dataclass(frozen=True, eq=False)
class Graphs:
    """All that it takes to listen; many engines may share it.

    Attributes:
        features: how audio becomes features.
        n_frames: T, the feature frames of a window.
        head: from embeddings to logits.
        thresholds: per keyword, the score from which it counts as detected.
        sha256: identity of the model.
        stream: a session of the streaming graph; it keeps no state of its own.
        start: the states of a stream that has been silent for long.
        chunk_frames: feature frames a run.
        chunk_windows: windows a run.
        delay_frames: feature frames that a window waits for beyond its last one.
        window: opens the graph of one window, which tells of the voice.
    """

    features: FeatureSpec
    n_frames: int
    head: Head
    thresholds: Mapping[str, float]
    sha256: str
    stream: Any = field(repr=False)
    start: Mapping[str, Floats] = field(repr=False)
    chunk_frames: int
    chunk_windows: int
    delay_frames: int
    window: Callable[[], Any] = field(repr=False)


class GraphEngine:
    """Exported graphs, with the state of one stream; attributes and methods are those of `Engine`.

    Args:
        graphs: what runs.
    """

    def __init__(self, graphs: Graphs) -> None:
        self._graphs, self._head = graphs, graphs.head
        self.features, self.labels, self.thresholds = graphs.features, graphs.head.labels, graphs.thresholds
        self.sha256, self.n_frames, self.delay_frames = graphs.sha256, graphs.n_frames, graphs.delay_frames
        self.step_frames = graphs.chunk_frames
        self.stride = graphs.chunk_frames // graphs.chunk_windows
        self._front = FrontEnd(graphs.features)
        self._runner = StreamRunner(graphs.stream, graphs.start, graphs.chunk_frames)
        self.reset()

    def power(self, samples: Floats) -> Floats:
        """Maps samples [S] in [-1, 1] to mel power [F, t]."""
        return self._front.power(samples)

    def reset(self) -> None:
        """Begins a new stream."""
        self._runner.reset()
        # The graph also tells of windows that began in the silence before: so many come first.
        self._before = -(-(1 + self.delay_frames) // self.stride) + -(-self.n_frames // self.stride) - 2

    def run(self, features: Floats) -> Floats:
        """Maps the next log-mel frames [F, t] to embeddings [W, E] of the windows that ended."""
        found = self._runner.run(features)
        left_out = min(self._before, len(found))
        self._before -= left_out
        return found[left_out:]

    def logits(self, pooled: Floats) -> Floats:
        """Maps embeddings [W, E] to logits [W, L]."""
        return self._head.logits(pooled)

    def scores(self, logits: Floats) -> Floats:
        """Maps logits [W, L] to scores [W, L] in [0, 1]."""
        return probabilities(logits, self._head.task)

    def voice(self, features: Floats) -> Floats:
        """Maps the log-mel frames [F, T] of one window to the direction of the voice [S]."""
        found: Floats = run_windows(self._graphs.window(), features[None])[1][0]
        return found


def of_package(package: Package, part: Part | None = None, opened: Open = cpu_session) -> Graphs:
    """Opens a package to listen with it.

    Args:
        package: see `package.read`.
        part: of a person, if it is to hear as theirs.
        opened: opens its graphs; by default on the CPU.

    Returns:
        What engines run.

    Raises:
        BundleError: it has no streaming graph, or another front end than this version.
        InputError: a graph cannot be opened.
    """
    manifest = package.manifest
    if manifest.stream is None:
        raise BundleError(
            f"{package.folder} has no streaming graph, so that it cannot be listened with.",
            "Export it again with --set stream=true; its report tells why there is none.",
        )
    _check_front_end(package)
    head = Runtime(package).head() if part is None else part.head
    return Graphs(
        features=manifest.features,
        n_frames=manifest.n_frames,
        head=head,
        thresholds={**manifest.thresholds, **(part.thresholds if part else {})},
        sha256=package.sha256,
        stream=opened(package.folder / manifest.stream.file),
        start=safetensors.numpy.load_file(package.folder / manifest.stream.start),
        chunk_frames=manifest.stream.chunk_frames,
        chunk_windows=manifest.stream.scores,
        delay_frames=manifest.stream.delay_frames,
        window=functools.cache(lambda: opened(package.model)),
    )


def of_bundle(bundle: Bundle, chunk_frames: int) -> Graphs:
    """Exports a bundle in memory, in float, to listen with it.

    Args:
        bundle: the model.
        chunk_frames: feature frames a run, at least.

    Returns:
        What engines run.

    Raises:
        InputError: the network cannot run frame by frame.
    """
    import dataclasses

    from kwsctl.bundle import Bundle as Plain
    from kwsctl.export.graphs import stream_graph, window_graph
    from kwsctl.export.proving import float_head

    # The plain network, not what a person's bundle puts around it.
    plain = Plain(**{f.name: getattr(bundle, f.name) for f in dataclasses.fields(Plain)})
    stream = stream_graph(plain, chunk_frames)
    if isinstance(stream, str):
        raise InputError(f"This model cannot listen to a stream: {stream}")
    return Graphs(
        features=plain.features,
        n_frames=plain.n_frames,
        head=float_head(plain),
        thresholds=plain.thresholds,
        sha256=bundle.sha256,
        stream=cpu_session(stream.model),
        start=stream.after_silence,
        chunk_frames=stream.chunk_frames,
        chunk_windows=stream.scores,
        delay_frames=stream.delay_frames,
        window=functools.cache(lambda: cpu_session(window_graph(plain))),
    )


def voice_of_part(part: Part | None) -> Voice | None:
    """Tells whose voice a listener has to ask for; None if anybody's will do."""
    if part is None or part.voice is None or not part.only:
        return None
    return Voice(part.voice, part.only, VOICE_WEIGHT, VOICE_OFFSET)


def _check_front_end(package: Package) -> None:
    """Refuses a package whose front end gives other numbers than the one that is used here."""
    spec = package.manifest.features
    draw = np.random.default_rng(0)
    samples = (0.1 * draw.normal(size=spec.window_samples + spec.hop_samples)).astype(np.float32)
    session = cpu_session(package.folder / FRONTEND)
    told = session.run(None, {"waves": samples[None]})[0][0]
    own = np.log(FrontEnd(spec).power(samples) + np.float32(POWER_FLOOR))
    if told.shape != own.shape or float(np.abs(told - own).max()) > FRONTEND_TOLERANCE:
        raise BundleError(
            f"The front end of {package.folder} gives other numbers than this version of kwsctl.",
            "Export it again with this version.",
        )
