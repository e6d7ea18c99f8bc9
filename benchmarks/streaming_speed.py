"""Streaming inference on one core: kwsctl beside other engines on the same audio, in turns.

    python benchmarks/streaming_speed.py AUDIO [--model BUNDLE]

AUDIO is a file or a folder of files; the first ten minutes are heard in pieces of 20 s, each by all engines
one after another, so that a busy machine slows all of them. The real-time factor is the CPU time of the
process divided by the length of the audio. These are whole engines as one installs them, not networks in
the same runtime: kwsctl runs ONNX Runtime or PyTorch, the others run TensorFlow Lite. Without --model, the
model is the one that is shipped with kwsctl.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from wake_word_peers import CHUNK, RATE_HZ, MicroWakeWords, OpenWakeWords, Samples

from kwsctl import bundle
from kwsctl.audio import files
from kwsctl.audio.folders import audio_files
from kwsctl.cli.parameters import pretrained_bundle
from kwsctl.export import runtimes
from kwsctl.features.streaming import StreamingLogMel
from kwsctl.streaming.listener import Listener
from kwsctl.types import FeatureSpec

PIECE_S = 20
HOP_S = 0.1

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


class Listening:
    """All of `kwsctl listen`: gate, front end, streaming network, smoothing and events.

    Args:
        model: what listens, see `kwsctl.export.runtimes`.
    """

    def __init__(self, model: runtimes.Listening) -> None:
        self.listener = Listener(model.engine(), voice=model.voice, threshold=0.9)

    def hear(self, samples: Samples) -> None:
        """Hears audio in chunks of one hop, as a microphone gives them."""
        hop = round(HOP_S * RATE_HZ)
        for first in range(0, len(samples), hop):
            self.listener.push(samples[first : first + hop].astype(np.float32) / np.float32(32768))


def _in_chunks(engine: MicroWakeWords | OpenWakeWords) -> Hear:
    def hear(samples: Samples) -> None:
        for first in range(0, len(samples) - CHUNK + 1, CHUNK):
            engine.push(samples[first : first + CHUNK])

    return hear


def engines(found: bundle.Bundle, named: str) -> dict[str, Hear]:
    """Makes all engines: ours with all keywords of the model, the others with one wake word.

    Args:
        found: the model.
        named: in words.
    """
    about = f"{found.arch} of {named}, {len(found.labels)} labels"
    made: dict[str, Hear] = {
        f"kwsctl listen, {about}, {runtime}": Listening(runtimes.listen_to_bundle(found, named, runtime)).hear
        for runtime in ("onnx", "torch")
    }
    window = WindowByWindow(found.model(), found.features, found.clip_s)
    made[f"the same network, a window of {found.clip_s:g} s every {HOP_S:g} s"] = window.hear
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
    parser.add_argument("--model", type=Path, help="a bundle", default=pretrained_bundle())
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    pieces = pieces_of(chosen.audio, chosen.minutes)
    factors = measure(engines(bundle.load(chosen.model), chosen.model.stem), pieces)
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
