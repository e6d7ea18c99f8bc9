"""Room impulse responses: decaying noise, a shoebox by image sources, or the user's recordings.

All begin with their direct path, of height 1, so that direct sound keeps its level and place in time
(`mixing.apply_room`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from kwsctl.audio.files import read
from kwsctl.errors import InputError

SPEED_OF_SOUND_M_S = 343.0
"""In air at 20 degrees Celsius."""

RESPONSE_SUFFIXES = (".wav", ".flac", ".ogg", ".aif", ".aiff")
"""Files that `read_responses` looks for."""

_LONGEST_RESPONSE_S = 10.0  # longer recordings are not of a room
_ONSET_S = 0.0025  # first reflection after the direct sound, in the decaying-noise response
_HIGH_PASS_HZ = 100.0  # Allen & Berkley's choice: images of one sign would add up to a bias
_MOST_IMAGES = 20e6  # some seconds of work


@dataclass(frozen=True)
class Shoebox:
    """A rectangular room with a talker and a microphone.

    Attributes:
        size_m: length, width and height, in m.
        source_m: where the mouth is, from one corner, in m.
        microphone_m: where the microphone is, from the same corner, in m.
        rt60_s: time in which sound falls by 60 dB, in s.
    """

    size_m: tuple[float, float, float]
    source_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    rt60_s: float

    def __post_init__(self) -> None:
        places = [
            *zip(self.source_m, self.size_m, strict=True),
            *zip(self.microphone_m, self.size_m, strict=True),
        ]
        if not all(0 < at < size for at, size in places) or not 0 < self.rt60_s < 10:
            raise InputError(f"{self} is not a room.", "Place both inside, with rt60_s in 0-10 s.")
        images = 4 / 3 * np.pi * (self.rt60_s * SPEED_OF_SOUND_M_S) ** 3 / np.prod(self.size_m)
        if images > _MOST_IMAGES:
            raise InputError(
                f"{self} needs {images:.2g} image sources.", "Use a larger room or a shorter rt60_s."
            )


def exponential_response(
    generator: np.random.Generator, rate_hz: int, rt60_s: float, *, direct_to_reverberant_db: float = 3.0
) -> NDArray[np.float32]:
    """Draws noise that decays exponentially, the diffuse field of a room (Polack 1988).

    Args:
        generator: draws the noise.
        rate_hz: sample rate, in Hz.
        rt60_s: time in which the reverberation falls by 60 dB, in s.
        direct_to_reverberant_db: energy of the direct sound over that of the rest, in dB.

    Returns:
        [R] = `rt60_s` of response, the first sample 1.

    Raises:
        InputError: an rt60 outside 0.02-10 s.
    """
    if not 0.02 <= rt60_s <= 10:
        raise InputError(f"A reverberation time of {rt60_s:g} s cannot be made.", "Use 0.02-10 s.")
    time_s = np.arange(round(rt60_s * rate_hz)) / rate_hz
    tail = generator.standard_normal(len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    tail[time_s < _ONSET_S] = 0
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1
    return tail.astype(np.float32)


def random_shoebox(generator: np.random.Generator) -> Shoebox:
    """Draws a living room, office or kitchen with a talker 0.3-4 m from the microphone.

    Args:
        generator: draws size, places and reverberation time.

    Returns:
        A room of 2.5-8 by 2.5-6 by 2.3-3.5 m with an rt60 of 0.15-0.7 s.
    """
    size = generator.uniform((2.5, 2.5, 2.3), (8.0, 6.0, 3.5))
    while True:
        source, microphone = generator.uniform(0.2, size - 0.2, size=(2, 3))
        if 0.3 <= np.linalg.norm(source - microphone) <= 4:
            break
    length, width, height = size.tolist()
    return Shoebox(
        (length, width, height),
        tuple(source.tolist()),
        tuple(microphone.tolist()),
        generator.uniform(0.15, 0.7),
    )


def shoebox_response(
    generator: np.random.Generator, rate_hz: int, *, room: Shoebox | None = None, jitter_m: float = 0.08
) -> NDArray[np.float32]:
    """Computes a rectangular room by image sources (Allen & Berkley 1979, eq. 10).

    Walls absorb alike, by Eyring's formula for the wanted reverberation time. Images are placed on
    whole samples, without fractional delay: enough for speech features, not for localization. Images
    but the direct path move at random along the line of sight, since exact lattices chirp (De Sena et
    al. 2015, IEEE/ACM TASLP 23(4)).

    Args:
        generator: draws the room if none is given, and the jitter.
        rate_hz: sample rate, in Hz.
        room: sizes and places; None draws a `random_shoebox`.
        jitter_m: images move by up to this, in m; 0 for the exact lattice.

    Returns:
        [R] = `room.rt60_s` of response from the direct path on, the first sample 1.
    """
    room = room or random_shoebox(generator)
    direct_m = float(np.linalg.norm(np.subtract(room.source_m, room.microphone_m)))
    reach_m = direct_m + room.rt60_s * SPEED_OF_SOUND_M_S
    x, y, z = (
        _images(*along, reach_m) for along in zip(room.size_m, room.source_m, room.microphone_m, strict=True)
    )
    across_m2 = np.square(y[0])[:, None] + np.square(z[0])
    across_bounces = y[1][:, None] + z[1]
    reflection = _reflection(room)
    response = np.zeros(round(room.rt60_s * rate_hz))
    for along_m, along_bounces in zip(*x, strict=True):  # a plane of images at a time, to bound the memory
        near = across_m2 <= reach_m**2 - along_m**2
        distance_m = np.sqrt(across_m2[near] + along_m**2)
        bounces = across_bounces[near] + along_bounces
        moved_m = distance_m + generator.uniform(-jitter_m, jitter_m, len(distance_m)) * (bounces > 0)
        delay = np.rint((moved_m - direct_m) * rate_hz / SPEED_OF_SOUND_M_S).astype(np.int64)
        heard = (delay > 0) & (delay < len(response))
        strength = reflection ** bounces[heard] * direct_m / distance_m[heard]
        response += np.bincount(delay[heard], strength, minlength=len(response))
    response[0] = 1  # the direct path, whose delay of 0 was left out above
    return _high_pass(response, rate_hz)


def read_responses(folder: Path, rate_hz: int) -> list[NDArray[np.float32]]:
    """Reads recorded room responses, such as those of OpenSLR 28.

    Args:
        folder: searched at any depth for WAV, FLAC, Ogg and AIFF files; only the first channel is used.
        rate_hz: sample rate of the results, in Hz.

    Returns:
        One response [R] per file, in the order of the paths. Its largest sample is taken for the direct
        path: what comes before is cut off, and it is scaled to 1.

    Raises:
        InputError: no such folder, no audio in it, or a file that cannot be used.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in RESPONSE_SUFFIXES)
    if not paths:
        raise InputError(
            f"{folder} holds no room responses.", f"Put {', '.join(RESPONSE_SUFFIXES)} files there."
        )
    recorded = (read(path, rate_hz=rate_hz, channel=0, max_s=_LONGEST_RESPONSE_S) for path in paths)
    return [_from_direct_path(response) for response in recorded]


def _images(
    size_m: float, source_m: float, microphone_m: float, reach_m: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mirrors a source in two opposite walls: places from the microphone, in m, and counts of bounces."""
    most = int(np.ceil(reach_m / (2 * size_m))) + 1
    n = np.arange(-most, most + 1)
    places = np.concatenate([source_m + 2 * n * size_m, -source_m + 2 * n * size_m]) - microphone_m
    bounces = np.concatenate([2 * np.abs(n), np.abs(n - 1) + np.abs(n)])
    near = np.abs(places) <= reach_m
    return places[near], bounces[near]


def _reflection(room: Shoebox) -> float:
    """Gives the pressure that a wall reflects, from Eyring's rt60 = 0.161 V / (-A ln(1 - absorption))."""
    length, width, height = room.size_m
    area_m2 = 2 * (length * width + width * height + height * length)
    sabine_s_m = 24 * np.log(10) / SPEED_OF_SOUND_M_S
    return float(np.exp(-sabine_s_m * length * width * height / (2 * area_m2 * room.rt60_s)))


def _high_pass(response: NDArray[np.float64], rate_hz: int) -> NDArray[np.float32]:
    """Takes away the bias below 100 Hz, with the two-pole filter of Allen & Berkley's program."""
    angle = 2 * np.pi * _HIGH_PASS_HZ / rate_hz
    radius = np.exp(-angle)
    filtered: NDArray[np.float64] = scipy.signal.lfilter(
        [1, -(1 + radius), radius], [1, -2 * radius * np.cos(angle), radius**2], response
    )
    return filtered.astype(np.float32)


def _from_direct_path(response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts off what comes before the largest sample, and makes that 1."""
    direct = int(np.abs(response).argmax())
    aligned: NDArray[np.float32] = response[direct:] / response[direct]
    return aligned
