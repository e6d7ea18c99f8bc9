"""Other people's wake-word engines behind one interface, for the benchmarks beside this file.

All three come with their models: `pip install "kwsctl[peers]"`. Each hears 16 kHz int16 audio in chunks of
80 ms, as from a microphone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kwsctl.evaluation.streams import ScoreStream

Samples = NDArray[np.int16]
RATE_HZ = 16_000
CHUNK = 1280
CLOSEST = {"alexa": "alexa", "jarvis": "hey_jarvis"}  # models of two packages for our words


@dataclass(frozen=True)
class Peer:
    """One engine.

    Attributes:
        package: on the package index.
        own_threshold: of each word, where it comes with one, on the scale of `score`.
        score: gives the scores of each word along a stretch of audio.
    """

    package: str
    own_threshold: Mapping[str, float]
    score: Callable[[Samples], dict[str, ScoreStream]]

    @property
    def version(self) -> str:
        """Name and version."""
        return f"{self.package} {metadata.version(self.package)}"


class MicroWakeWords:
    """pymicro-wakeword: int8 networks of 50-80 KB on TensorFlow Lite, scores averaged over 5 windows."""

    def __init__(self, words: tuple[str, ...] = ("alexa", "jarvis")) -> None:
        from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

        self.features = MicroWakeWordFeatures()
        self.models = {word: MicroWakeWord.from_builtin(Model(CLOSEST[word])) for word in words}

    def push(self, chunk: Samples) -> dict[str, float]:
        """Hears the next chunk and gives the highest score of each word in it."""
        best = dict.fromkeys(self.models, 0.0)
        for frame in self.features.process_streaming(chunk.tobytes()):
            for word, model in self.models.items():
                best[word] = max(best[word], model.process_streaming_prob(frame) or 0.0)
        return best


class OpenWakeWords:
    """pyopen-wakeword: a speech embedding shared by all words and a small network for each."""

    def __init__(self, words: tuple[str, ...] = ("alexa", "jarvis")) -> None:
        from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

        self.features = OpenWakeWordFeatures.from_builtin()
        self.models = {word: OpenWakeWord.from_builtin(Model(CLOSEST[word])) for word in words}
        self.push(np.zeros(CHUNK, dtype=np.int16))  # the first chunk comes with 8 s of silence before it

    def push(self, chunk: Samples) -> dict[str, float]:
        """Hears the next chunk and gives the highest score of each word in it."""
        best = dict.fromkeys(self.models, 0.0)
        for frame in self.features.process_streaming(chunk.tobytes()):
            for word, model in self.models.items():
                best[word] = max(best[word], *model.process_streaming(frame), 0.0)
        return best


def _along(engine: MicroWakeWords | OpenWakeWords, samples: Samples) -> dict[str, ScoreStream]:
    chunks = [samples[first : first + CHUNK] for first in range(0, len(samples) - CHUNK + 1, CHUNK)]
    heard = [engine.push(chunk) for chunk in chunks]
    times_s = CHUNK * np.arange(1, len(chunks) + 1) / RATE_HZ
    return {
        word: ScoreStream(
            labels=(word,),
            values=np.array([[scores[word]] for scores in heard], dtype=np.float32),
            times_s=times_s,
            hop_s=CHUNK / RATE_HZ,
            seconds=len(samples) / RATE_HZ,
        )
        for word in engine.models
    }


SPHINX_WORDS = ("alexa", "computer", "jarvis")
_SPHINX_LOWEST = 1e-60


def sphinx_score(kws_threshold: float) -> float:
    """Gives the score that PocketSphinx reports of a detection that just reaches a `kws_threshold`.

    Its keyword search compares, in steps of 1024 log units to the base 1.0001, the keyword with the
    best loop of phones, and reports the difference less 1500 of these steps as a probability.
    """
    steps = np.log(kws_threshold) / np.log(1.0001) / 1024
    return float(1.0001 ** (steps - 1500))


def sphinx_threshold_log10(score: float) -> float:
    """Gives the logarithm of the `kws_threshold` that a reported score just reaches."""
    return float((np.log(score) / np.log(1.0001) + 1500) * 1024 * np.log10(1.0001))


def _pocketsphinx(samples: Samples) -> dict[str, ScoreStream]:
    """Spots all words in one pass with a threshold that lets everything through; keeps their scores.

    The threshold does not change the search, only what of it is reported, so that one pass serves for
    every threshold above.
    """
    from pocketsphinx import Decoder, get_model_path

    model = Path(get_model_path("en-us"))
    with tempfile.NamedTemporaryFile("w", suffix=".list") as keyphrases:
        keyphrases.write("".join(f"{word} /{_SPHINX_LOWEST}/\n" for word in SPHINX_WORDS))
        keyphrases.flush()
        decoder = Decoder(
            hmm=str(model / "en-us"),
            dict=str(model / "cmudict-en-us.dict"),
            lm=None,
            kws=keyphrases.name,
            loglevel="FATAL",
        )
    decoder.start_utt()
    for first in range(0, len(samples), CHUNK):
        decoder.process_raw(samples[first : first + CHUNK].tobytes(), False, False)
    decoder.end_utt()
    found = sorted((s.end_frame / 100, s.word.strip(), s.prob) for s in decoder.seg() or ())
    streams = {}
    for word in SPHINX_WORDS:
        own = [(time_s, score) for time_s, name, score in found if name == word]
        streams[word] = ScoreStream(
            labels=(word,),
            values=np.array([score for _, score in own], dtype=np.float32).reshape(-1, 1),
            times_s=np.array([time_s for time_s, _ in own], dtype=np.float64),
            hop_s=0.01,
            seconds=len(samples) / RATE_HZ,
        )
    return streams


PEERS: Mapping[str, Peer] = {
    "pymicro-wakeword": Peer(
        "pymicro-wakeword", {"alexa": 0.9, "jarvis": 0.97}, lambda samples: _along(MicroWakeWords(), samples)
    ),
    "pyopen-wakeword": Peer(
        "pyopen-wakeword", {"alexa": 0.5, "jarvis": 0.5}, lambda samples: _along(OpenWakeWords(), samples)
    ),
    "pocketsphinx": Peer("pocketsphinx", dict.fromkeys(SPHINX_WORDS, sphinx_score(1e-30)), _pocketsphinx),
}
