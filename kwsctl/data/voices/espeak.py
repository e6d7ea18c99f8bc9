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
_VARIANTS = (  # those that a speech recognizer understood at least as often as the plain voice
    "f1", "m1", "klatt2", "f2", "m2", "edward", "f3", "klatt", "caleb", "f5", "m6", "adam",
    "klatt3", "mike2", "announcer", "klatt4", "sandro", "benjamin", "michel", "robosoft", "whisper", "Gene",
    "klatt5", "klatt6",
)  # fmt: skip
_UNCLEAR = (
    "en-029+f1",
    "en-gb-x-gbclan+m6",
    "en-gb-x-gbcwmd+f3",
    "en-gb-x-gbcwmd+m1",
)  # mostly not understood
_MANNERS = ((1.0, 1.0), (0.86, 1.04), (1.2, 0.97), (1.1, 1.06), (0.93, 0.95))
_ASKED_AS = {"en-gb": "en"}  # the library takes "en-gb", but then ignores the variant
_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_WORDS_PER_MINUTE = 160
_PERCENT = 60  # of the usual volume: at 100 some voices reach full scale
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
    """Lists 44 pairs of accent and variant, going round both, in five manners."""
    found = []
    for i in range(2 * len(_VARIANTS)):
        accent = _ACCENTS[i % len(_ACCENTS)]
        variant = _VARIANTS[(i + 3 * (i // len(_VARIANTS))) % len(_VARIANTS)]
        if f"{accent}+{variant}" not in _UNCLEAR:
            found.append(Speaker("espeak", f"{accent}+{variant}", *_MANNERS[i % len(_MANNERS)]))
    return tuple(found)


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
    accent, _, variant = speaker.voice.partition("+")
    library.espeak_SetVoiceByName(f"{_ASKED_AS.get(accent, accent)}+{variant}".encode())
    library.espeak_SetParameter(_VOLUME, _PERCENT, 0)
    library.espeak_SetParameter(_RATE, round(_WORDS_PER_MINUTE * utterance.speed / speaker.formant), 0)
    pitch = round(50 * utterance.pitch * speaker.pitch / speaker.formant)
    library.espeak_SetParameter(_PITCH, min(99, max(0, pitch)), 0)
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return b"".join(parts)
