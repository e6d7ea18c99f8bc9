"""Streaming inference on one core: kwsctl beside other engines on the same audio, in turns.

    python benchmarks/streaming_speed.py AUDIO [--model BUNDLE]

AUDIO is a file or a folder of files; the first ten minutes are heard in pieces of 20 s, each by all engines
one after another, so that a busy machine slows all of them. The real-time factor is the CPU time of the
process divided by the length of the audio. kwsctl runs in PyTorch here, the others run TensorFlow Lite: these
are whole engines as one installs them, not networks in the same runtime.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn
from wake_word_peers import CHUNK, RATE_HZ, MicroWakeWords, OpenWakeWords, Samples

from kwsctl import architecture, bundle, registry
from kwsctl.audio import files
from kwsctl.audio.folders import audio_files
from kwsctl.features.streaming import StreamingLogMel
from kwsctl.types import FeatureSpec

PIECE_S = 20
HOP_S = 0.1
CLIP_S = 1.1

Hear = Callable[[Samples], None]


class WindowByWindow:
    """What `kwsctl evaluate` does, chunk by chunk: a whole window through the network every 100 ms.

    Args:
        model: the network.
        spec: of the features.
        clip_s: length of a window, in s.
    """

    def __init__(self, model: nn.Module, spec: FeatureSpec, clip_s: float) -> None:
        self.model, self.spec = model, spec
        self.features = StreamingLogMel(spec)
        self.window = torch.zeros(1, spec.mel_bins, spec.frames(clip_s))

    @torch.inference_mode()
    def hear(self, samples: Samples) -> None:
        """Hears audio in chunks of one hop."""
        hop = self.spec.samples(HOP_S)
        for first in range(0, len(samples) - hop + 1, hop):
            chunk = samples[first : first + hop].astype(np.float32) / np.float32(32768)
            frames = torch.from_numpy(self.features.push(chunk))
            self.window = torch.cat([self.window[:, :, frames.shape[1] :], frames[None]], dim=2)
            self.model(self.window).sigmoid()


class FrameByFrame:
    """The incremental form of an architecture: every frame goes through the network once.

    Args:
        module: the file in `models/`.
        model: the network.
        spec: of the features.
    """

    def __init__(self, module: ModuleType, model: nn.Module, spec: FeatureSpec) -> None:
        self.network, self.spec = module.stream(model), spec
        self.features = StreamingLogMel(spec)
        self.state = self.network.initial_state()

    @torch.inference_mode()
    def hear(self, samples: Samples) -> None:
        """Hears audio in chunks of one hop."""
        hop = self.spec.samples(HOP_S)
        for first in range(0, len(samples) - hop + 1, hop):
            chunk = samples[first : first + hop].astype(np.float32) / np.float32(32768)
            frames = torch.from_numpy(self.features.push(chunk))
            _, self.state = self.network(frames[None], self.state)


def _in_chunks(engine: MicroWakeWords | OpenWakeWords) -> Hear:
    def hear(samples: Samples) -> None:
        for first in range(0, len(samples) - CHUNK + 1, CHUNK):
            engine.push(samples[first : first + CHUNK])

    return hear


def engines(model_path: Path | None, arch: str) -> dict[str, Hear]:
    """Makes all engines, each for one wake word.

    Args:
        model_path: a bundle; without it an untrained network is taken, which is as fast.
        arch: of that untrained network.
    """
    spec, clip_s, kind = FeatureSpec(), CLIP_S, arch
    if model_path is None:
        model = architecture.build(arch, {}, 1, spec.mel_bins).eval()
    else:
        found = bundle.load(model_path)
        model, spec, clip_s, kind = found.model(), found.features, found.clip_s, found.arch
    module = registry.load(architecture.MODELS, kind)
    made: dict[str, Hear] = {
        f"kwsctl {kind}, a window of {clip_s:g} s every {HOP_S:g} s": WindowByWindow(model, spec, clip_s).hear
    }
    if hasattr(module, "stream"):
        made[f"kwsctl {kind}, frame by frame"] = FrameByFrame(module, model, spec).hear
    else:
        print(f"{kind} has no incremental form: {getattr(module, 'NO_STREAM', 'none is written yet')}.")
    made["pymicro-wakeword alexa"] = _in_chunks(MicroWakeWords(("alexa",)))
    made["pyopen-wakeword alexa"] = _in_chunks(OpenWakeWords(("alexa",)))
    return made


def measure(hearing: Mapping[str, Hear], pieces: list[Samples]) -> dict[str, list[float]]:
    """Gives the real-time factor of each engine on each piece; the first piece warms up."""
    factors: dict[str, list[float]] = {name: [] for name in hearing}
    for index, piece in enumerate(pieces):
        names = list(hearing)
        for name in names[index % len(names) :] + names[: index % len(names)]:  # nobody is always first
            began = time.process_time()
            hearing[name](piece)
            factors[name].append((time.process_time() - began) / (len(piece) / RATE_HZ))
    return {name: values[1:] for name, values in factors.items()}


def pieces_of(path: Path, minutes: float) -> list[Samples]:
    """Cuts the beginning of the audio into pieces of `PIECE_S`."""
    size, wanted = PIECE_S * RATE_HZ, round(minutes * 60 * RATE_HZ)
    audio = np.zeros(0, dtype=np.float32)
    for file in audio_files(path):
        audio = np.concatenate([audio, files.read(file, rate_hz=RATE_HZ)])
        if len(audio) >= wanted:
            break
    whole = (np.clip(audio, -1, 1) * 32767).astype(np.int16)[:wanted]
    return [whole[first : first + size] for first in range(0, len(whole) - size + 1, size)]


def main() -> None:
    """Prints a line for each engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", type=Path)
    parser.add_argument("--model", type=Path, help="a bundle of a wake word")
    parser.add_argument("--arch", default="tcresnet", help="without --model")
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    pieces = pieces_of(chosen.audio, chosen.minutes)
    factors = measure(engines(chosen.model, chosen.arch), pieces)
    first = next(iter(factors.values()))
    print(f"{len(pieces) - 1} pieces of {PIECE_S} s, one thread, CPU time of the process")
    print("| Engine | Real-time factor: median (middle half) | Times kwsctl's: median of pairs |")
    print("|---|---|---|")
    for name, values in factors.items():
        low, _, high = statistics.quantiles(values, n=4)
        ratio = statistics.median(own / other for own, other in zip(values, first, strict=True))
        print(f"| {name} | {statistics.median(values):.4f} ({low:.4f} to {high:.4f}) | {ratio:.2f} |")


if __name__ == "__main__":
    main()
