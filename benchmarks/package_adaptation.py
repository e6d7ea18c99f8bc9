"""People adapt an exported package to a noisy recording of theirs, without labels: what is heard afterwards?

python benchmarks/package_adaptation.py PACKAGE MANIFEST [--people 6] [--words open seven] [--snr-db 25]

Three clean clips enrol (`prototype`); a recording of five calls in white noise, ten other words of the same
person between them, is adapted to with `--method forward`; two calls and twenty other words are then tried in
that noise. No clip is in two of the three. What was taken for a call is right if its middle lies in one.
Needs an encoder's package that has never heard these people.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from kwsctl.audio import files
from kwsctl.evaluation.intervals import wilson
from kwsctl.export import package, personal, takes
from kwsctl.export.adapt_options import PackageAdaptOptions
from kwsctl.export.adaptation import PackageAdaptation
from kwsctl.export.enrolment import PackageEnrollOptions, enroll
from kwsctl.export.personal import Part
from kwsctl.export.runtime import Runtime
from kwsctl.export.votes import Labelled
from kwsctl.streaming.sources import sources

SHOTS, CALLS, OTHERS = 3, 5, 20


def noisy(samples: np.ndarray, snr_db: float, draw: np.random.Generator) -> np.ndarray:
    """Adds white noise."""
    level = np.sqrt(np.mean(samples**2) / 10 ** (snr_db / 10))
    return (samples + level * draw.normal(size=len(samples))).astype(np.float32)


def passing(runtime: Runtime, part: Part, word: str, clips: list[Path]) -> tuple[int, int]:
    """Counts clips above the threshold, and clips that can be heard at all."""
    used, _ = takes.read(clips, runtime)
    embeddings = runtime.outputs(np.stack([take.shifted() for take in used]))[0]
    share = part.thresholds[word]
    return int((part.head.margins(embeddings, word) >= np.log(share / (1 - share))).sum()), len(used)


def main() -> None:
    """Prints one line per person and word, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--words", nargs="+", default=["open", "seven"])
    parser.add_argument("--snr-db", type=float, default=25.0)
    parser.add_argument("--split", default="val")
    asked = parser.parse_args()
    draw = np.random.default_rng(0)
    with asked.manifest.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == asked.split]
    totals = np.zeros((5, 2), dtype=int)
    for speaker in sorted({row["speaker"] for row in rows})[: asked.people]:
        for word in asked.words:
            own = [asked.manifest.parent / r["path"] for r in rows if r["speaker"] == speaker]
            calls = [clip for clip in own if clip.parent.name == word]
            others = [clip for clip in own if clip.parent.name != word]
            draw.shuffle(others)  # type: ignore[arg-type]
            with tempfile.TemporaryDirectory() as place:
                found = tried(Path(place), asked.package, word, calls, others, asked.snr_db, draw)
            totals += found
            print(speaker, word, *(f"{hit}/{n}" for hit, n in found), flush=True)
    for name, (hit, n) in zip(
        ("calls before", "calls after", "others before", "others after", "taken for calls that are"),
        totals,
        strict=True,
    ):
        interval = wilson(int(hit), int(n))
        print(f"{name}: {hit} of {n} ({interval.low:.1%} to {interval.high:.1%}, clip by clip)")


def tried(
    place: Path,
    source: Path,
    word: str,
    calls: list[Path],
    others: list[Path],
    snr_db: float,
    draw: np.random.Generator,
) -> np.ndarray:
    """Enrols, adapts, and counts calls and other words that pass, before and after, and right calls."""
    opened = package.read(Path(shutil.copytree(source, place / "package")))
    runtime = Runtime(opened)
    rate = opened.manifest.features.sample_rate_hz
    used, _ = takes.read(calls[:SHOTS], runtime)
    before = enroll(runtime, word, used, None, "x", PackageEnrollOptions(method="prototype")).part
    personal.write_part(opened, before)
    heard, spans_s = [np.zeros(rate, np.float32)], []
    for i, call in enumerate(calls[SHOTS : SHOTS + CALLS]):
        for clip in (call, *others[2 * i : 2 * i + 2]):
            begins_s = sum(map(len, heard)) / rate
            heard += [files.read(clip, rate_hz=rate), np.zeros(rate, np.float32)]
            if clip is call:
                spans_s.append((begins_s, sum(map(len, heard[:-1])) / rate))
    soundfile.write(place / "day.wav", noisy(np.concatenate(heard), snr_db, draw), rate)
    held_out = []
    for number, clip in enumerate([*calls[SHOTS + CALLS :], *others[2 * CALLS : 2 * CALLS + OTHERS]]):
        held_out.append(place / f"{number}.wav")
        soundfile.write(held_out[-1], noisy(files.read(clip, rate_hz=rate), snr_db, draw), rate)
    n_calls = len(calls) - SHOTS - CALLS
    taken: list[Labelled] = []
    run = PackageAdaptation(runtime, before, word, PackageAdaptOptions(), on_label=taken.append)
    run.run(sources(str(place / "day.wav"), rate, None, identify=True))  # type: ignore[arg-type]
    after = personal.read_part(opened, "x")
    middles_s = [
        one.segment.window.time_s - opened.manifest.clip_s / 2 for one in taken if one.decision == "positive"
    ]
    right = sum(any(first <= middle <= last for first, last in spans_s) for middle in middles_s)
    return np.array(
        [passing(runtime, part, word, clips) for clips in (held_out[:n_calls], held_out[n_calls:])
         for part in (before, after)] + [(right, len(middles_s))]
    )  # fmt: skip


if __name__ == "__main__":
    main()
