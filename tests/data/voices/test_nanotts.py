from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from kwsctl.data import speaking
from kwsctl.data.voices._utterance import Speaker, Utterance


def spectral_centre_hz(path: Path) -> float:
    samples, rate_hz = soundfile.read(path)
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((np.fft.rfftfreq(len(samples), 1 / rate_hz) * power).sum() / power.sum())


def test_formants_move_and_the_pace_stays(tmp_path: Path) -> None:
    said = speaking.speak(
        [Utterance(Speaker("nanotts", "en-GB", formant=f), "How are you today?") for f in (0.86, 1.0, 1.18)],
        tmp_path,
        workers=1,
    )
    low, plain, high = (spectral_centre_hz(one.path) for one in said)
    assert low < plain < high
    seconds = [soundfile.info(one.path).duration for one in said]
    assert max(seconds) < 1.1 * min(seconds)
