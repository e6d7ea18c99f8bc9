from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from kwsctl.audio import rooms
from kwsctl.errors import InputError

ROOM = rooms.Shoebox((4.1, 3.2, 2.6), (1.0, 1.3, 1.1), (2.7, 2.2, 1.4), rt60_s=0.3)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def decay_time_s(response: np.ndarray, rate_hz: int) -> float:
    """RT60 from the fall of Schroeder's backward integral between -5 and -25 dB."""
    left = np.cumsum(np.square(response[::-1].astype(np.float64)))[::-1]
    left_db = 10 * np.log10(left / left[0] + 1e-12)
    return 3 * float(np.argmax(left_db < -25) - np.argmax(left_db < -5)) / rate_hz


def reflections(response: np.ndarray) -> np.ndarray:
    return response[1:].astype(np.float64)


@pytest.mark.parametrize("rt60_s", [0.1, 0.35, 0.9])
def test_noise_decays_by_sixty_decibels_in_the_asked_time(rt60_s: float):
    response = rooms.exponential_response(generator(), 16_000, rt60_s, direct_to_reverberant_db=-20)
    assert decay_time_s(response, 16_000) == pytest.approx(rt60_s, rel=0.1)
    assert len(response) == round(16_000 * rt60_s)


@pytest.mark.parametrize("ratio_db", [-5.0, 3.0, 12.0])
def test_direct_sound_is_one_and_stands_above_the_rest_as_asked(ratio_db: float):
    response = rooms.exponential_response(generator(), 16_000, 0.4, direct_to_reverberant_db=ratio_db)
    assert response[0] == 1
    assert -10 * np.log10(np.square(reflections(response)).sum()) == pytest.approx(ratio_db, abs=0.01)
    assert not response[1:40].any()  # 2.5 ms until the first reflection
    assert response.dtype == np.float32


def image_sources_one_by_one(room: rooms.Shoebox, rate_hz: int) -> np.ndarray:
    """The sum over mirrored sources in its slow and obvious form, before the high-pass filter."""
    length, width, height = room.size_m
    area = 2 * (length * width + width * height + height * length)
    absorption = 1 - np.exp(-0.1611 * length * width * height / (area * room.rt60_s))
    response = np.zeros(round(room.rt60_s * rate_hz))
    direct = np.linalg.norm(np.subtract(room.source_m, room.microphone_m))
    for cell in itertools.product(range(-4, 5), range(-5, 6), range(-6, 7)):
        for mirror in itertools.product((0, 1), repeat=3):
            image = [
                (1 - 2 * q) * s + 2 * n * size
                for q, s, n, size in zip(mirror, room.source_m, cell, room.size_m, strict=True)
            ]
            bounces = sum(abs(n - q) + abs(n) for n, q in zip(cell, mirror, strict=True))
            distance = np.linalg.norm(np.subtract(image, room.microphone_m))
            at = round((distance - direct) * rate_hz / 343.0)
            if at < len(response):
                response[at] += np.sqrt(1 - absorption) ** bounces * direct / distance
    return response


def test_a_shoebox_equals_the_sum_over_mirrored_sources():
    room = rooms.Shoebox((4.1, 3.2, 2.6), (1.0, 1.3, 1.1), (2.7, 2.2, 1.4), rt60_s=0.07)
    expected = image_sources_one_by_one(room, 8_000)
    angle = 2 * np.pi * 100 / 8_000
    poles = np.exp(-angle + 1j * angle), np.exp(-angle - 1j * angle)
    expected = scipy.signal.lfilter(np.poly([1, np.exp(-angle)]), np.poly(poles).real, expected)
    response = rooms.shoebox_response(generator(), 8_000, room=room, jitter_m=0)
    assert response[0] == 1
    np.testing.assert_allclose(response, expected, atol=2e-3)


@pytest.mark.parametrize("rt60_s", [0.2, 0.3, 0.5])
def test_a_shoebox_decays_about_as_asked(rt60_s: float):
    room = rooms.Shoebox(ROOM.size_m, ROOM.source_m, ROOM.microphone_m, rt60_s)
    assert decay_time_s(rooms.shoebox_response(generator(), 16_000, room=room), 16_000) == pytest.approx(
        rt60_s, rel=0.25
    )


def test_the_first_reflection_arrives_when_geometry_says():
    response = rooms.shoebox_response(generator(), 16_000, room=ROOM, jitter_m=0)
    floor_m = np.linalg.norm([1.7, 0.9, 2.5]) - np.linalg.norm([1.7, 0.9, 0.3])  # mirrored in the floor
    at = round(floor_m * 16_000 / 343.0)
    assert response[at] > 0.2
    assert np.abs(response[1 : at - 1]).max() < 0.1


def test_jitter_moves_reflections_and_never_the_direct_sound():
    exact = rooms.shoebox_response(generator(), 16_000, room=ROOM, jitter_m=0)
    moved = rooms.shoebox_response(generator(), 16_000, room=ROOM)
    again = rooms.shoebox_response(generator(), 16_000, room=ROOM)
    assert moved[0] == exact[0] == 1
    assert np.abs(moved - exact).max() > 0.05
    np.testing.assert_array_equal(moved, again)
    silent = slice(1, 40)  # before the first reflection, jitter and all
    for seed in range(5):
        assert np.abs(rooms.shoebox_response(generator(seed), 16_000, room=ROOM)[silent]).max() < 0.1
    assert np.square(reflections(moved)).sum() == pytest.approx(np.square(reflections(exact)).sum(), rel=0.3)


def test_a_room_without_a_name_is_drawn():
    first = rooms.shoebox_response(generator(1), 16_000)
    second = rooms.shoebox_response(generator(2), 16_000)
    assert first[0] == second[0] == 1
    assert len(first) != len(second)
    for seed in range(50):
        room = rooms.random_shoebox(generator(seed))
        assert 0.3 <= np.linalg.norm(np.subtract(room.source_m, room.microphone_m)) <= 4
        assert 0.15 <= room.rt60_s <= 0.7


@pytest.mark.parametrize(
    ("source_m", "rt60_s", "fault"),
    [
        ((1.0, 1.0, 3.0), 0.3, "is not a room"),
        ((1.0, 1.0, 0.0), 0.3, "is not a room"),
        ((1.0, 1.0, 1.0), 0.0, "is not a room"),
        ((1.0, 1.0, 1.0), float("nan"), "is not a room"),
        ((1.0, 1.0, 1.0), 5.0, "image sources"),
    ],
)
def test_a_room_that_cannot_be_is_refused(source_m: tuple[float, float, float], rt60_s: float, fault: str):
    with pytest.raises(InputError, match=fault):
        rooms.Shoebox((4.0, 3.0, 2.5), source_m, (2.0, 2.0, 1.0), rt60_s)


@pytest.mark.parametrize("rt60_s", [0.0, 100.0, float("nan")])
def test_a_reverberation_time_that_cannot_be_is_refused(rt60_s: float):
    with pytest.raises(InputError, match="reverberation time"):
        rooms.exponential_response(generator(), 16_000, rt60_s)


def test_recorded_responses_begin_with_their_direct_sound(tmp_path: Path):
    recorded = np.zeros((4_000, 2))
    recorded[500:2_000, 0] = -0.4 * np.exp(-np.arange(1_500) / 300)
    recorded[510:, 1] = 0.9  # a second microphone must not be mixed in
    soundfile.write(tmp_path / "b.wav", recorded, 16_000, subtype="FLOAT")
    (tmp_path / "deep").mkdir()
    soundfile.write(tmp_path / "deep" / "a.FLAC", recorded[:, 0] / 2, 16_000, subtype="PCM_24")
    (tmp_path / "readme.txt").write_text("not a response")
    first, second = rooms.read_responses(tmp_path, 16_000)
    np.testing.assert_allclose(first[:1_500], np.exp(-np.arange(1_500) / 300), atol=1e-5)
    np.testing.assert_allclose(second, first, atol=1e-5)
    assert len(first) == 3_500


def test_a_folder_without_responses_or_with_a_broken_one_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="holds no room responses"):
        rooms.read_responses(tmp_path, 16_000)
    with pytest.raises(InputError, match="holds no room responses"):
        rooms.read_responses(tmp_path / "missing", 16_000)
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"bad\.wav is not audio"):
        rooms.read_responses(tmp_path, 16_000)
