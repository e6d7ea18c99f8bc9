"""Turns a network into ONNX graphs of static shape: of one window, and of a stream with explicit state.

Both graphs end in the embedding. The head stays outside, because it is what becomes personal, and a compiled
graph is frozen. The layers of normalization are left as the exporter gives them; `htp_safe` rewrites them.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn

from kwsctl import architecture, registry
from kwsctl.bundle import Bundle
from kwsctl.features.logmel import POWER_FLOOR

OPSET = 17  # 18 and later split ReduceMean's axes off into an input, which the quantizer does not fold
FEATURES, EMBEDDING, VOICE = "features", "embedding", "voice"
CHUNK_FRAMES = 8
WARM_UP_S = 5.0


@dataclass(frozen=True, eq=False)
class StreamGraph:
    """A network that hears a few frames at a time.

    Attributes:
        model: features [1, F, t] and states to embedding [1, n, E] and states.
        chunk_frames: t.
        scores: n, windows that end within a chunk.
        states: names of the states, `state_0` and so on; the outputs are named `next_state_0` and so on.
        after_silence: per state, its value after a long silence, which is where a stream begins.
        delay_frames: feature frames that a score waits for beyond the last frame of its window.
    """

    model: onnx.ModelProto = field(repr=False)
    chunk_frames: int
    scores: int
    states: tuple[str, ...]
    after_silence: dict[str, Any] = field(repr=False)
    delay_frames: int


class _Window(nn.Module):
    """Word embedding, and the speaker embedding where there is one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Maps features [1, F, T] to the embedding, and the voice."""
        net = cast(Any, self.network)
        return cast("tuple[Tensor, Tensor]", net.both(features)) if has_voice(net) else net.embed(features)


class _Stream(nn.Module):
    """The streaming form with its nested states flattened; empty ones are left out."""

    def __init__(self, stream: nn.Module, pattern: Any) -> None:
        super().__init__()
        self.body, self.pattern = cast(Any, stream).body, pattern
        head = cast(Any, stream).head
        self.project = head[:-1] if isinstance(head, nn.Sequential) else nn.Identity()

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Maps features [1, F, t] and states to the embedding and the states after it."""
        pooled, after = self.body(features, _nested(self.pattern, iter(states)))
        return self.project(pooled.transpose(1, 2)), *_flat(after)


def has_voice(network: Any) -> bool:
    """Tells whether a network gives a speaker embedding, too."""
    return hasattr(network, "both")


def window_graph(bundle: Bundle) -> onnx.ModelProto:
    """Exports what maps features [1, F, T] to the embedding [1, E], and to the voice [1, S] if there is one.

    Args:
        bundle: the model.

    Returns:
        The graph, with the numbers of torch to 1e-5.
    """
    network = _Window(bundle.model()).eval()
    example = torch.zeros(1, bundle.features.mel_bins, bundle.n_frames)
    names = [EMBEDDING, VOICE] if has_voice(network.network) else [EMBEDDING]
    return _exported(network, (example,), [FEATURES], names)


def stream_graph(bundle: Bundle, chunk_frames: int = CHUNK_FRAMES) -> StreamGraph | str:
    """Exports the streaming form.

    Args:
        bundle: the model.
        chunk_frames: feature frames a run, rounded up to whole strides.

    Returns:
        The graph; or, where the network cannot stream, why.
    """
    module = registry.load(architecture.MODELS, bundle.arch)
    if hasattr(module, "NO_STREAM"):
        return str(module.NO_STREAM)
    try:
        # Without gradients, because the stages share weights that the exporter then sees as constants.
        stream = module.stream(bundle.model().requires_grad_(False), bundle.n_frames)
    except ValueError as error:
        return str(error)
    chunk = stream.stride * -(-chunk_frames // stream.stride)
    silence = torch.full((1, bundle.features.mel_bins, chunk), POWER_FLOOR).log()
    state = stream.initial_state(1)
    with torch.no_grad():
        # The shapes settle once every layer has filled up; only then are they static.
        for _ in range(int(WARM_UP_S * 1000 / bundle.features.hop_ms) // chunk):
            scores, state = stream(silence, state)
    states = list(_flat(state))
    names = tuple(f"state_{i}" for i in range(len(states)))
    network = _Stream(stream, _shapes(state)).eval()
    outputs = [EMBEDDING, *(f"next_{name}" for name in names)]
    model = _exported(network, (silence, *states), [FEATURES, *names], outputs)
    begin = {name: value.numpy() for name, value in zip(names, states, strict=True)}
    return StreamGraph(model, chunk, scores.shape[1], names, begin, stream.delay_frames)


def _exported(
    network: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str]
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter of TorchScript is deprecated, but gives a third of the graph in a tenth of the time.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            inputs,
            buffer,  # type: ignore[arg-type]  # this exporter writes to open files, too
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=outputs,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    return model


def _flat(state: Any) -> Iterator[Tensor]:
    """Yields the states of a nest that hold something."""
    if isinstance(state, Tensor):
        if state.numel():
            yield state
        return
    for part in state:
        yield from _flat(part)


def _shapes(state: Any) -> Any:
    """Gives the nest with a shape in the place of each state."""
    return state.shape if isinstance(state, Tensor) else tuple(_shapes(part) for part in state)


def _nested(pattern: Any, states: Iterator[Tensor]) -> Any:
    """Puts flat states back into their nest."""
    if isinstance(pattern, torch.Size):
        return next(states) if pattern.numel() else torch.zeros(pattern)
    return tuple(_nested(part, states) for part in pattern)
