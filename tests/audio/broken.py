"""Sound files in the four common formats, and the ways in which they arrive broken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from kwsctl.audio import files
from kwsctl.errors import InputError

RATE_HZ = 16_000
Change = Callable[[bytes], bytes]
CODINGS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def tone(seconds: float = 0.5, rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    return (0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.02 * noise).astype(np.float32)


def encoded(name: str, samples: np.ndarray | None = None, rate_hz: int = RATE_HZ) -> bytes:
    container, coding = CODINGS[name]
    file = io.BytesIO()
    soundfile.write(file, tone() if samples is None else samples, rate_hz, format=container, subtype=coding)
    return file.getvalue()


def outcome(path: Path) -> np.ndarray | InputError:
    """Reads a file and checks that it gives sound samples, or an error that a user can act on."""
    try:
        samples = files.read(path)
    except InputError as error:
        assert "\n" not in str(error)
        assert path.name in error.message
        assert error.hint
        return error
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples)
    assert np.isfinite(samples).all()
    assert 0 < np.abs(samples).max() <= 1
    return samples


def cut(share: float) -> Change:
    return lambda content: content[: int(len(content) * share)]


def put(at: int, new: bytes) -> Change:
    return lambda content: content[:at] + new + content[at + len(new) :]


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


def payload(name: str, value: float) -> bytes:
    samples = tone()
    samples[4000] = value
    return encoded(name, samples)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", content)
    return file.getvalue()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200)
REFUSED: dict[str, tuple[str, Change, str]] = {  # name: (file, change, what the message says)
    "no bytes": ("wav", cut(0), "is empty: 0 bytes"),
    "one byte": ("wav", lambda c: c[:1], "not audio"),
    "four bytes": ("wav", lambda c: c[:4], "not audio"),
    "twelve bytes": ("wav", lambda c: c[:12], "not audio"),
    "format chunk cut": ("wav", lambda c: c[:20], "not audio"),
    "format chunk without data": ("wav", lambda c: c[:36], "not audio|no samples"),
    "data header cut": ("wav", lambda c: c[:40], "not audio|no samples|cut off"),
    "header alone": ("wav", lambda c: c[:44], "cut off: 0 of 16000 bytes"),
    "WAV cut at 10 %": ("wav", cut(0.1), "cut off: 1560 of 16000 bytes"),
    "WAV cut at 50 %": ("wav", cut(0.5), "cut off: 7978 of 16000 bytes"),
    "WAV cut at 99 %": ("wav", cut(0.99), "cut off: 15839 of 16000 bytes"),
    "WAV without its last byte": ("wav", lambda c: c[:-1], "cut off: 15999 of 16000 bytes"),
    "float WAV cut": ("float.wav", cut(0.5), "cut off"),
    "WAV that claims 2 MB": ("wav", put(40, u32(2_000_000)), "cut off: 16000 of 2000000 bytes"),
    "WAV that claims no data": ("wav", put(40, u32(0)), "no samples"),
    "no RIFF": ("wav", put(0, b"RAFF"), "not audio"),
    "no WAVE": ("wav", put(8, b"WOVE"), "not audio"),
    "no fmt": ("wav", put(12, b"tmf "), "not audio"),
    "no data chunk": ("wav", put(36, b"atad"), "not audio|no samples"),
    "no channels": ("wav", put(22, u16(0)), "not audio"),
    "65535 channels": ("wav", put(22, u16(65535)), "not audio"),
    "rate of zero": ("wav", put(24, u32(0)), "not audio|0 Hz"),
    "rate of 1 Hz": ("wav", put(24, u32(1)), "rate of 1 Hz"),
    "rate of 2 GHz": ("wav", put(24, u32(2_000_000_000)), "rate of 2000000000 Hz|not audio"),
    "negative rate": ("wav", put(24, u32(2**32 - 16_000)), "rate of -16000 Hz|not audio"),
    "zero bits": ("wav", put(34, u16(0)), "not audio"),
    "unknown coding": ("wav", put(20, u16(0x7A7A)), "not audio"),
    "zeroed header": ("wav", put(0, bytes(44)), "not audio"),
    "NaN": ("float.wav", lambda _: payload("float.wav", np.nan), "NaN or infinite"),
    "infinity": ("float.wav", lambda _: payload("float.wav", np.inf), "NaN or infinite"),
    "minus infinity": ("float.wav", lambda _: payload("float.wav", -np.inf), "NaN or infinite"),
    "integers as floats": (
        "float.wav",
        lambda _: payload("float.wav", 12_345),
        "1.23e\\+04 times full scale",
    ),
    "largest float": ("float.wav", lambda _: payload("float.wav", 3e38), "3e\\+38 times full scale"),
    "silent WAV": ("wav", lambda _: encoded("wav", np.zeros(8000)), "silent: every sample is zero"),
    "silent FLAC": ("flac", lambda _: encoded("flac", np.zeros(8000)), "silent"),
    "WAV without samples": ("wav", lambda _: encoded("wav", np.zeros(0)), "no samples"),
    "FLAC cut at 10 %": ("flac", cut(0.1), "not audio|cut off"),
    "FLAC cut at 50 %": ("flac", cut(0.5), "lost sync|cut off"),
    "FLAC cut at 90 %": ("flac", cut(0.9), "lost sync|cut off"),
    "FLAC magic": ("flac", put(0, b"flaC"), "not audio"),
    "FLAC header alone": ("flac", lambda c: c[:42], "not audio|cut off"),
    "FLAC that claims 19 hours": (
        "flac",
        put(21, b"\x70\x41\x41\x41\x41"),
        "lasts .* hours; at most 4.0 hours",
    ),
    "FLAC of unknown length": ("flac", lambda c: put(22, bytes(4))(c), "does not say how long it is"),
    "FLAC with zeroed frames": ("flac", lambda c: c[:200] + bytes(len(c) - 200), "not audio|cut off|silent"),
    "Ogg cut at 1 %": ("ogg", cut(0.01), "not audio"),
    "Ogg without its last quarter": ("ogg", cut(0.75), "not audio|cut off|no samples"),
    "Ogg magic": ("ogg", put(0, b"OggZ"), "not audio"),
    "Vorbis header damaged": ("ogg", put(28, b"\xff" * 24), "not audio"),
    "Opus cut at 1 %": ("opus", cut(0.01), "not audio"),
    "Opus without its last quarter": ("opus", cut(0.75), "not audio|cut off|no samples"),
    "Opus header damaged": ("opus", put(28, b"\xff" * 18), "not audio"),
    "MP3 cut at 50 %": ("mp3", cut(0.5), "cut off|not audio"),
    "MP3 with one frame": ("mp3", lambda c: c[:200], "cut off|not audio|no samples|silent"),
    "MP3 of zeros": ("mp3", lambda c: bytes(len(c)), "not audio"),
    "text": ("wav", lambda _: b"hey snapdragon\n" * 100, "not audio"),
    "JSON": ("wav", lambda _: b'{"error": "not found"}', "not audio"),
    "web page": ("mp3", lambda _: b"<!DOCTYPE html><html><body>404</body></html>" * 20, "not audio"),
    "PNG": ("wav", lambda _: PNG, "not audio"),
    "zip": ("wav", zipped, "not audio"),
    "zeros": ("wav", lambda _: bytes(5000), "not audio"),
    "ones": ("wav", lambda _: b"\xff" * 5000, "not audio"),
    "git-lfs pointer": (
        "flac",
        lambda _: b"version https://git-lfs.example/spec/v1\noid sha256:00\n",
        "not audio",
    ),
}
