from __future__ import annotations

import numpy as np
import pytest

from kwsctl.data.voices._finishing import fault, finish, saturated

RATE_HZ = 24_000


def tone(seconds: float, hz: float = 400.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * 16_000 / len(samples))


def test_rate_level_and_margins() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    done = finish(
        np.concatenate([silence, tone(0.5), silence, tone(0.5), silence]), RATE_HZ, formant=1.0, level_db=-6.0
    )
    assert len(done) / 16_000 == pytest.approx(0.1 + 2.0 + 0.1, abs=0.03)
    assert np.abs(done).max() == pytest.approx(10 ** (-6 / 20))
    assert loudest_hz(done) == pytest.approx(400, abs=2)
    assert np.abs(done[:1400]).max() < 0.01


def test_speech_at_the_edge_gets_a_margin() -> None:
    done = finish(tone(0.5), RATE_HZ, formant=1.0, level_db=0.0)
    assert len(done) / 16_000 == pytest.approx(0.7, abs=0.02)


def test_formants_move_everything() -> None:
    done = finish(tone(1.0), RATE_HZ, formant=1.25, level_db=0.0)
    assert loudest_hz(done) == pytest.approx(500, abs=2)
    assert len(done) / 16_000 == pytest.approx(0.2 + 1 / 1.25, abs=0.02)


def test_what_passes_8_khz_is_gone() -> None:
    done = finish(tone(1.0) + tone(1.0, hz=9_500), RATE_HZ, formant=1.0, level_db=0.0)
    spectrum = np.abs(np.fft.rfft(done))
    folded = round(6_500 * len(done) / 16_000)
    assert spectrum[folded - 20 : folded + 20].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5), np.zeros(30_000)])
def test_silence_is_empty(samples: np.ndarray) -> None:
    assert len(finish(samples.astype(np.float32), RATE_HZ, formant=1.0, level_db=0.0)) == 0


@pytest.mark.parametrize(
    ("seconds", "text", "expected"),
    [
        (0.0, "hello", "silent"),
        (0.25, "hello there", "too short"),
        (9.0, "hello", "too long"),
        (0.8, "hello", ""),
    ],
)
def test_faults(seconds: float, text: str, expected: str) -> None:
    reason = fault(np.ones(round(seconds * 16_000), np.float32), text, speed=1.0)
    assert reason.startswith(expected)
    assert bool(reason) == bool(expected)


def test_saturation() -> None:
    assert not saturated(np.zeros(0, np.float32))
    assert not saturated(tone(1.0))
    assert saturated(np.clip(10 * tone(1.0), -1, 1))
