"""Tiny corpora in the layout that their publishers gave them, one function for each recipe."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile


def say(path: Path, pitch: float = 300.0, seconds: float = 0.1, rate_hz: int = 16_000) -> None:
    """Writes a tone in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    kind = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * time_s), rate_hz, **kind)


def speech_commands(root: Path) -> None:
    words = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "bed", "cat"]
    val, test = [], []
    for word in words:
        for number, speaker in enumerate(["0a7c2a8d", "ffd2ba2f", "aabbccdd", "11112222", "33334444"]):
            name = f"{word}/{speaker}_nohash_{number % 2}.wav"
            say(root / name, 200 + 10 * number)
            (val if number == 3 else test if number == 4 else []).append(name)
    (root / "validation_list.txt").write_text("\n".join(val) + "\n")
    (root / "testing_list.txt").write_text("\n".join(test) + "\n")
    for noise in ("running_tap", "white_noise"):
        say(root / "_background_noise_" / f"{noise}.wav", 900, 20.0)
    (root / "_background_noise_" / "README.md").write_text("noise")
    (root / "LICENSE").write_text("CC BY 4.0")


def arabic_speech_commands(root: Path) -> None:
    for split, speakers in (("train", range(1, 4)), ("val", [4]), ("test", [5])):
        rows = ["file,class"]
        for word in ("backward", "zoom in"):
            for speaker in speakers:
                name = f"dataset/{word}/{speaker:08}_NO_01.wav"
                say(root / name, 200 + 10 * speaker)
                rows.append(f"{name},{word}")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    for noise in ("cafe", "rain", "street"):
        say(root / "background_noise" / f"{noise}.wav", 700, 0.5)


def hey_snips(root: Path) -> None:
    for number, name in enumerate(("train", "dev", "test")):
        items = []
        for wanted in (1, 0):
            key = f"4008-{number}-{wanted}"
            say(root / "audio_files" / f"{key}.wav", 250 + number)
            place = f"audio_files/{key}.wav"
            items.append(
                {
                    "id": key,
                    "is_hotword": wanted,
                    "worker_id": number,
                    "duration": 0.1,
                    "audio_file_path": place,
                }
            )
        (root / f"{name}.json").write_text(json.dumps(items))


def qualcomm_keyword_speech(root: Path) -> None:
    for keyword in ("hey_android", "hey_snapdragon", "hi_galaxy", "hi_lumina"):
        for speaker in ("aaron", "bea", "carl", "dana", "emil"):
            say(root / keyword / speaker / f"{speaker}_1.wav")


def mswc(root: Path) -> None:
    rows = ["SET,LINK,WORD,VALID,SPEAKER,GENDER"]
    for split, speakers in (("TRAIN", "abc"), ("DEV", "d"), ("TEST", "e")):
        for word in ("hello", "world", "über"):
            for speaker in speakers:
                link = f"{word}/common_voice_en_{speaker}.opus"
                say(root / "en" / "clips" / link, 300, 0.1, 48_000)
                rows.append(f"{split},{link},{word},True,{speaker},NAN")
    (root / "en_splits.csv").write_text("\n".join(rows) + "\n")


def musan(root: Path) -> None:
    for part, source in (("music", "fma"), ("noise", "free-sound"), ("speech", "librivox")):
        for number in range(3):
            say(root / part / source / f"{part}-{source}-000{number}.wav")
        (root / part / source / "LICENSE").write_text("public domain")


def ms_snsd(root: Path) -> None:
    for number in range(4):
        say(root / "noise_train" / f"Babble_{number}.wav", 300 + number)
    say(root / "noise_test" / "Babble_9.wav", 400)
    say(root / "noise_test" / "Babble_1.wav", 301)  # the same bytes as in noise_train
    say(root / "clean_train" / "clnsp1.wav", 500)


def folder(root: Path) -> None:
    for label in ("computer", "_unknown_"):
        for speaker in ("ann", "bob", "eve"):
            say(root / label / f"{speaker}_1.wav")
    say(root / "_background_" / "radio_show.wav")


TREES: dict[str, Callable[[Path], None]] = {
    "arabic_speech_commands": arabic_speech_commands,
    "folder": folder,
    "hey_snips": hey_snips,
    "ms_snsd": ms_snsd,
    "mswc": mswc,
    "musan": musan,
    "qualcomm_keyword_speech": qualcomm_keyword_speech,
    "speech_commands": speech_commands,
}
"""Builds the corpus of a recipe below a folder."""


def packed(folder: Path, name: str, prefix: str) -> bytes:
    """Packs a folder as its publisher does: zip or tar.gz by `name`, everything below `prefix`."""
    raw = io.BytesIO()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if name.endswith(".zip"):
        with zipfile.ZipFile(raw, "w") as container:
            for path in paths:
                container.write(path, prefix + path.relative_to(folder).as_posix())
    else:
        with tarfile.open(fileobj=raw, mode="w:gz") as tar:
            for path in paths:
                tar.add(path, prefix + path.relative_to(folder).as_posix())
    return raw.getvalue()
