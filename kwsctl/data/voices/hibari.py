"""Speaks with the small neural voice that comes with kwsctl, in 24 manners: about 0.02 CPU seconds a clip.

Hibari predicts a spectral envelope and a pitch curve and then makes the wave from them (its
`dsp.synth`), so the pitch can be scaled without touching the vowels. All manners share one timbre.
"""

from __future__ import annotations

import numpy as np

from kwsctl.data.phonemes import phonemize
from kwsctl.data.voices._utterance import Speak, Speaker, Speech, Utterance

DISTRIBUTION = "hibari-tts"
REMEDY = "pip install hibari-tts"
LICENCE = "hibari (distilled from Kokoro-82M's af_heart): Apache-2.0"
CPU_S_PER_CLIP = 0.02
WORKER_ENVIRONMENT: dict[str, str] = {}

_MANNERS = (
    (1.0, 1.0), (0.55, 0.86), (1.35, 1.16), (0.7, 0.92), (1.15, 1.05), (0.62, 0.95), (0.85, 0.97),
    (1.25, 1.1), (0.78, 0.88), (1.08, 0.96), (0.92, 1.08), (0.6, 0.9),
)  # fmt: skip


def prepare() -> None:
    """Checks that the package loads."""
    import hibari  # noqa: F401


def speakers() -> tuple[Speaker, ...]:
    """Lists 12 manners with American and with British pronunciation."""
    return tuple(Speaker("hibari", accent, *manner) for manner in _MANNERS for accent in ("us", "gb"))


def open_engine() -> Speak:
    """Loads the model, 8 MB."""
    from hibari import Hibari, dsp

    model = Hibari()

    def speak(utterance: Utterance) -> Speech:
        speaker = utterance.speaker
        generator = np.random.default_rng(utterance.take)
        speed = np.array([utterance.speed / speaker.formant], np.float32)
        pitch = utterance.pitch * speaker.pitch / speaker.formant
        parts = []
        for phonemes in phonemize(utterance.text, speaker.voice):
            ids = np.array([model.ids(phonemes)], np.int64)
            outputs = model.sess.run(None, {"ids": ids, "speed": speed})
            *spectra, f0_hz = (output[0] for output in outputs)
            parts.append(dsp.synth(*spectra, f0_hz * np.float32(pitch), generator))
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return 0.5 * samples.astype(np.float32), Hibari.sample_rate  # halved: it may pass full scale

    return speak
