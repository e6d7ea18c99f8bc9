from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.audio import decoding, files
from kwsctl.errors import InputError

from .broken import CODINGS, encoded, tone

LOSSY = {"ogg": 0.1, "opus": 0.1, "mp3": 0.1}  # relative error that the coding may add


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("name", CODINGS)
def test_every_coding_gives_back_what_was_stored(name: str, tmp_path: Path):
    path = tmp_path / f"tone.{name}"
    path.write_bytes(encoded(name))
    samples = files.read(path)
    assert samples.shape == tone().shape
    assert np.linalg.norm(samples - tone()) <= LOSSY.get(name, 1e-3) * np.linalg.norm(tone())


@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_sample_width_is_read_at_the_same_scale(coding: str, tmp_path: Path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(), 16_000, subtype=coding)
    assert np.abs(files.read(path) - tone()).max() < (0.02 if coding in ("PCM_U8", "ULAW") else 1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_the_asked_one_without_moving_the_sound(rate_hz: int, tmp_path: Path):
    path = tmp_path / "tone.wav"
    time_s = np.arange(rate_hz) / rate_hz
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * time_s), rate_hz, subtype="FLOAT")
    samples = files.read(path, rate_hz=16_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(samples) == 16_000
    assert np.abs(samples - expected)[100:-100].max() < 2e-3


def test_channels_are_averaged_or_picked(tmp_path: Path):
    path = tmp_path / "stereo.wav"
    left, right = tone(), -0.5 * tone()
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(files.read(path), (left + right) / 2, atol=1e-7)
    np.testing.assert_array_equal(files.read(path, channel=1), right)
    with pytest.raises(InputError, match="has no channel 2: it has 2"):
        files.read(path, channel=2)


def test_float_samples_beyond_full_scale_are_clipped(tmp_path: Path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.array([0.5, 1.5, -2.0, -0.25]), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(files.read(path), np.float32([0.5, 1.0, -1.0, -0.25]))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    """Seven seconds at 44.1 kHz in every coding that takes it, with the whole as `read` gives it."""
    folder, found = tmp_path_factory.mktemp("recordings"), {}
    for name in sorted(set(CODINGS) - {"opus"}):
        path = folder / f"long.{name}"
        path.write_bytes(encoded(name, tone(7.0, 44_100), 44_100))
        found[name] = path, files.read(path)
    path = folder / "long.opus"
    path.write_bytes(encoded("opus", tone(7.0, 48_000), 48_000))
    return found | {"opus": (path, files.read(path))}


@given(
    name=st.sampled_from(list(CODINGS)),
    start=st.integers(0, 111_000),
    length=st.integers(1, 112_000),
    step=st.floats(0, 1),
)
@settings(deadline=None, max_examples=60)
def test_a_stretch_equals_that_slice_of_the_whole(
    recordings, name: str, start: int, length: int, step: float
):
    path, whole = recordings[name]
    length = min(length, len(whole) - start)
    part = files.read(path, start_s=(start + 0.4 * step) / 16_000, duration_s=(length + 0.4 * step) / 16_000)
    np.testing.assert_allclose(part, whole[start : start + length], atol=1e-3 if name == "opus" else 1e-5)


def test_the_end_of_an_ogg_file_is_where_it_is(recordings):
    path, whole = recordings["ogg"]
    for start in range(104_000, 112_000, 1_000):
        np.testing.assert_allclose(files.read(path, start_s=start / 16_000), whole[start:], atol=1e-5)


def test_the_rest_of_a_file_is_read_without_a_duration(recordings):
    path, whole = recordings["wav"]
    np.testing.assert_allclose(files.read(path, start_s=6.5), whole[104_000:], atol=1e-6)


def test_a_stretch_is_sought_and_not_decoded_from_the_start(recordings, monkeypatch: pytest.MonkeyPatch):
    decoded = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile,
        "read",
        lambda self, **options: decoded.append(len(options["out"])) or read(self, **options),
    )
    files.read(recordings["wav"][0], start_s=5.0, duration_s=0.5)
    assert sum(decoded) < 0.7 * 44_100


@pytest.mark.parametrize(
    ("start_s", "duration_s", "fault"),
    [
        (7.0, None, "has no stretch of None s at 7 s: it lasts 7.000 s"),
        (-0.1, None, "has no stretch"),
        (float("nan"), None, "has no stretch"),
        (0.0, 0.0, "has no stretch of 0.0 s"),
        (0.0, float("nan"), "has no stretch of nan s"),
        (0.0, float("inf"), "has no stretch of inf s"),
        (6.0, 1.06, "ends at 7.000 s, before 7.060 s"),
    ],
)
def test_a_stretch_that_is_not_there_is_refused(
    recordings, start_s: float, duration_s: float | None, fault: str
):
    with pytest.raises(InputError, match=fault) as caught:
        files.read(recordings["wav"][0], start_s=start_s, duration_s=duration_s)
    assert "manifest" in caught.value.hint


def test_a_duration_may_be_rounded_past_the_end(recordings):
    path, whole = recordings["wav"]
    np.testing.assert_allclose(files.read(path, start_s=6.0, duration_s=1.04), whole[96_000:], atol=1e-6)


def test_too_much_is_refused_but_a_stretch_of_it_is_read(recordings):
    path, _ = recordings["flac"]
    with pytest.raises(InputError, match=r"lasts 7\.0 s; at most 5\.0 s are read"):
        files.read(path, max_s=5.0)
    assert len(files.read(path, start_s=1.0, duration_s=4.5, max_s=5.0)) == 72_000


@pytest.mark.parametrize("name", CODINGS)
def test_blocks_end_to_end_equal_the_whole(recordings, name: str, monkeypatch: pytest.MonkeyPatch):
    path, whole = recordings[name]
    monkeypatch.setattr(decoding, "_BLOCK_VALUES", 50_000)
    parts = list(files.blocks(path))
    assert len(parts) > 3
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_blocks_may_be_silent_but_not_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "_BLOCK_VALUES", 8_000)
    files.write(
        tmp_path / "pause.wav", np.concatenate([tone(), np.zeros(30_000, np.float32), tone()]), 16_000
    )
    assert sum(map(len, files.blocks(tmp_path / "pause.wav"))) == 46_000
    files.write(tmp_path / "silent.wav", np.zeros(30_000, np.float32), 16_000)
    with pytest.raises(InputError, match=r"silent\.wav is silent: every sample is zero"):
        list(files.blocks(tmp_path / "silent.wav"))


def test_info_tells_what_the_header_says(recordings):
    stereo = recordings["flac"][0].with_name("stereo.flac")
    soundfile.write(stereo, np.zeros((24_000, 2)), 48_000, subtype="PCM_24")
    assert files.info(stereo) == files.AudioInfo(
        rate_hz=48_000, channels=2, seconds=0.5, format="FLAC/PCM_24"
    )


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_written_integers_come_back_exactly(suffix: str, tmp_path: Path):
    path = tmp_path / "new" / f"clip{suffix}"
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 5_000).astype(np.float32) / 32_768
    files.write(path, samples, 22_050)
    np.testing.assert_array_equal(files.read(path, rate_hz=22_050), samples)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_writing_clips_what_is_too_loud(tmp_path: Path):
    files.write(tmp_path / "loud.wav", np.float32([1.5, -1.5, 0.5]), 16_000)
    np.testing.assert_allclose(files.read(tmp_path / "loud.wav"), [32_767 / 32_768, -1.0, 0.5])


def test_vorbis_is_written_in_parts_since_its_encoder_crashes_on_long_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written = []
    write = soundfile.SoundFile.write
    monkeypatch.setattr(
        soundfile.SoundFile, "write", lambda self, part: written.append(len(part)) or write(self, part)
    )
    files.write(tmp_path / "long.ogg", tone(20.0), 16_000)
    assert max(written) <= 2**17
    assert similarity(files.read(tmp_path / "long.ogg"), tone(20.0)) > 0.99


@pytest.mark.parametrize(
    ("name", "samples", "fault"),
    [
        ("clip.xyz", np.ones(4, np.float32), r"clip\.xyz has no known audio suffix"),
        ("clip.wav", np.ones(0, np.float32), r"shape \(0,\)"),
        ("clip.wav", np.ones((4, 2), np.float32), r"shape \(4, 2\)"),
        ("clip.wav", np.float32([0.0, np.nan]), "non-finite"),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, samples: np.ndarray, fault: str, tmp_path: Path):
    with pytest.raises(InputError, match=fault):
        files.write(tmp_path / name, samples, 16_000)
    assert not list(tmp_path.glob("clip*"))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written: "):
        files.write(tmp_path / "taken" / "clip.wav", tone(), 16_000)


def test_reading_does_not_import_torch(tmp_path: Path):
    import subprocess
    import sys

    code = "import sys, kwsctl.audio.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_recordings_are_read(real_data: Path):
    paths = sorted(real_data.glob("wake_words/*/*.ogg"))[::200]
    assert paths
    for path in paths:
        samples = files.read(path)
        assert abs(len(samples) / 16_000 - files.info(path).seconds) < 1e-3
        assert 1.0 < len(samples) / 16_000 < 6.0
        assert np.abs(samples).max() > 0.01


def test_a_file_in_memory_of_another_format_is_known_by_its_content(tmp_path: Path):
    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="FLAC")
    path = tmp_path / "misnamed.wav"
    path.write_bytes(file.getvalue())
    assert len(files.read(path)) == len(tone())
