"""Speaks with espeak-ng: eight English accents and many voices, formant synthesis, 0.01 CPU seconds a clip.

The library is GPL-3.0-or-later: an extra, loaded only in the worker process. Its synthesizer keeps
state from one utterance to the next, so each is spoken in a fork of the freshly loaded library:
then the same utterance gives the same samples, and a crash costs one clip.
"""

from __future__ import annotations

import ctypes
import os
import warnings

from kwsctl.data.voices._utterance import Speak, Speaker, Speech, Utterance, samples_of
from kwsctl.errors import ExtensionError

DISTRIBUTION = "espeakng-loader"
REMEDY = "pip install 'kwsctl[espeak]'"
LICENCE = (
    "espeak-ng: the library is GPL-3.0-or-later (run as a program of its own); what it says is not covered"
)
CPU_S_PER_CLIP = 0.01
WORKER_ENVIRONMENT: dict[str, str] = {}

_ACCENTS = (
    "en-us", "en-gb", "en-gb-x-rp", "en-us-nyc", "en-gb-scotland", "en-029", "en-gb-x-gbcwmd",
    "en-gb-x-gbclan",
)  # fmt: skip
_VARIANTS = (
    "f1", "m1", "klatt2", "f2", "m3", "edward", "f3", "m5", "victor", "f4", "m7", "steph",
    "f5", "m2", "max", "m4", "anika", "caleb", "m6", "announcer", "klatt4", "m8", "adam", "sandro",
)  # fmt: skip
_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _PITCH = 1, 3
_WORDS_PER_MINUTE = 160
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def prepare() -> None:
    """Checks that the library can be found and processes can be forked.

    Raises:
        ExtensionError: this system cannot fork.
    """
    import espeakng_loader  # noqa: F401

    if not hasattr(os, "fork"):
        raise ExtensionError("espeak-ng is driven through os.fork, which this system lacks.")


def speakers() -> tuple[Speaker, ...]:
    """Lists 48 pairs of accent and variant, going round both."""
    n = len(_ACCENTS)
    pairs = [(_ACCENTS[i % n], _VARIANTS[(i + 3 * (i // n)) % len(_VARIANTS)]) for i in range(6 * n)]
    return tuple(Speaker("espeak", f"{accent}+{variant}") for accent, variant in pairs)


def open_engine() -> Speak:
    """Loads the library and its phoneme data."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT)

    def speak(utterance: Utterance) -> Speech:
        reader, writer = os.pipe()
        with warnings.catch_warnings():  # the worker has one Python thread; others may belong to numpy
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                with os.fdopen(writer, "wb") as out:
                    out.write(_synthesize(library, utterance))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            pcm = pipe.read()
        os.waitpid(child, 0)
        return samples_of(pcm), rate_hz

    return speak


def _synthesize(library: ctypes.CDLL, utterance: Utterance) -> bytes:
    """Says one utterance in a library that has said nothing before, 16-bit samples."""
    parts: list[bytes] = []

    def collect(wave: ctypes._Pointer[ctypes.c_short], n_samples: int, _events: int | None) -> int:
        if wave and n_samples > 0:
            parts.append(ctypes.string_at(wave, 2 * n_samples))
        return 0

    speaker, text = utterance.speaker, utterance.text.encode() + b"\0"
    callback = _CALLBACK(collect)  # named, so that it lives as long as the library may call it
    library.espeak_SetSynthCallback(callback)
    library.espeak_ng_SetRandSeed(ctypes.c_long(utterance.take))
    library.espeak_SetVoiceByName(speaker.voice.encode())
    library.espeak_SetParameter(_RATE, round(_WORDS_PER_MINUTE * utterance.speed / speaker.formant), 0)
    pitch = round(50 * utterance.pitch * speaker.pitch / speaker.formant)
    library.espeak_SetParameter(_PITCH, min(99, max(0, pitch)), 0)
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return b"".join(parts)
