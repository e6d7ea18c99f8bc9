"""Speaks with SVOX Pico: five voices, three of them with a foreign accent, in many pitches.

About 0.01 CPU seconds a clip. Parametric: clearly a machine, but at 16 kHz and unlike the others.
"""

from __future__ import annotations

from kwsctl.data.voices._utterance import RATE_HZ, Speak, Speaker, Speech, Utterance, samples_of

DISTRIBUTION = "py-nanotts"
REMEDY = "pip install py-nanotts"
LICENCE = "SVOX Pico voices: Apache-2.0"
CPU_S_PER_CLIP = 0.01
# Pico reads memory that it never wrote. With a fixed threshold glibc hands out its working memory
# fresh from the kernel, all zeros, and the same utterance gives the same samples whatever came before.
WORKER_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "131072"}

_ENGLISH = ("en-GB", "en-US")
_ACCENTED = ("fr-FR", "de-DE", "es-ES")
_MANNERS = (
    (1.0, 1.0),
    (0.7, 0.9),
    (1.3, 1.12),
    (0.82, 0.95),
    (1.15, 1.06),
    (0.6, 0.86),
    (1.5, 1.18),
    (0.9, 1.08),
)
_VOLUME = 0.5  # at 1 the loudest peaks reach full scale


def prepare() -> None:
    """Checks that the package loads."""
    import py_nanotts  # noqa: F401


def speakers() -> tuple[Speaker, ...]:
    """Lists the English voices in eight manners each and the accented ones in four."""
    english = [Speaker("nanotts", voice, *manner) for manner in _MANNERS for voice in _ENGLISH]
    accented = [Speaker("nanotts", voice, *manner) for manner in _MANNERS[:4] for voice in _ACCENTED]
    return (*english, *accented)


def open_engine() -> Speak:
    """Loads the native library."""
    from py_nanotts import NanoTTS

    model = NanoTTS()

    def speak(utterance: Utterance) -> Speech:
        speaker = utterance.speaker
        pcm = model.speak(
            utterance.text,
            voice=speaker.voice,
            speed=utterance.speed / speaker.formant,
            pitch=utterance.pitch * speaker.pitch / speaker.formant,
            volume=_VOLUME,
        )
        return samples_of(pcm), RATE_HZ

    return speak
