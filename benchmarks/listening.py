"""Ten minutes of real speech with a person's calls in it: the same events whatever runs the network.

    python benchmarks/listening.py make DATA OUT [--speaker 00000012] [--word forward]
    python benchmarks/listening.py compare OUT --home HOME --user NAME [--package DIR [--htp]]

`make` writes OUT/clips (five clips of the word, to be enrolled), OUT/stream.wav (LibriSpeech utterances, with
other clips of the word and words of the same person between them, none of the five) and
OUT/said.json. DATA holds arabic_speech_commands and librispeech_251. `compare` listens with the profile that
was enrolled in HOME, with each runtime, and with a package that was exported with --user; with --htp also
on the emulator of Qualcomm's HTP, for which the package must be one for snapdragon.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kwsctl.audio import files
from kwsctl.cli.parameters import base_named
from kwsctl.export import runtimes
from kwsctl.personal.model import model_of
from kwsctl.streaming.listen import listen
from kwsctl.streaming.listener import Detection, Listener
from kwsctl.streaming.sources import Source

RATE_HZ, SECONDS, ENROLLED, LONGEST_S, NEAR_S = 16_000, 600, 5, 20, 1.6


def make(data: Path, out: Path, speaker: str, word: str) -> None:
    """Writes clips, stream, and what was said when."""
    root = data / "arabic_speech_commands"
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["speaker"] == speaker]
    own = [root / row["path"] for row in rows if row["label"] == word]
    others = [root / row["path"] for row in rows if row["label"] != word]
    out.joinpath("clips").mkdir(parents=True, exist_ok=True)
    for path in own[:ENROLLED]:
        files.write(out / "clips" / f"{path.stem}.wav", files.read(path), RATE_HZ)
    draw = np.random.default_rng(1)
    parts: list[np.ndarray] = []
    said: list[float] = []

    def add(*new: np.ndarray) -> None:
        parts.extend(new)

    utterances = sorted((data / "librispeech_251").glob("*.ogg"))
    number = 0
    while (at := sum(map(len, parts))) < SECONDS * RATE_HZ:
        quiet = (0.002 * draw.normal(size=RATE_HZ // 2)).astype(np.float32)
        spoken = files.read(utterances[number % len(utterances)])[: LONGEST_S * RATE_HZ]
        call = files.read(own[ENROLLED + number % (len(own) - ENROLLED)])
        other = files.read(others[int(draw.integers(len(others)))])
        said.append((at + len(spoken) + len(quiet) + len(call) / 2) / RATE_HZ)
        add(spoken, quiet, call, quiet, other, quiet)
        number += 1
    files.write(out / "stream.wav", np.concatenate(parts)[: SECONDS * RATE_HZ], RATE_HZ)
    (out / "said.json").write_text(json.dumps([s for s in said if s < SECONDS - 1]))


def heard(model: runtimes.Listening, audio: np.ndarray) -> tuple[list[Detection], float]:
    """Listens to all of it; gives the events and the hop in s."""
    listener = Listener(model.engine(), voice=model.voice)
    found = listen(listener, [Source("stream", iter([audio]))])
    return [one.detection for one in found], listener.ear.hop_s


def same(first: Sequence[Detection], other: Sequence[Detection], within_s: float) -> int:
    """Counts events of one that the other has, too, within some time."""
    return sum(
        any(o.keyword == e.keyword and abs(o.time_s - e.time_s) <= within_s + 1e-6 for o in other)
        for e in first
    )


def compare(out: Path, home: Path, user: str, package: Path | None, *, htp: bool) -> None:
    """Prints a line for each way to run the model."""
    audio = files.read(out / "stream.wav")
    said = json.loads((out / "said.json").read_text())
    bundle, named = model_of(home, user, None, base_named)
    models = {
        f"{named}, {runtime}": runtimes.listen_to_bundle(bundle, named, runtime)
        for runtime in ("torch", "onnx")
    }
    for runtime in ("onnx", *(["qnn"] if htp else [])) if package is not None else ():
        models[f"the package {package.name}, {runtime}"] = runtimes.listen_to_package(
            package, user, None, runtime
        )
    reference: list[Detection] | None = None
    print(f"{len(audio) / RATE_HZ:.0f} s, {len(said)} calls")
    print("| Run by | Events | At a call | Shared with the first, within a hop | Largest change of a score |")
    print("|---|---|---|---|---|")
    for name, model in models.items():
        found, hop_s = heard(model, audio)
        reference = found if reference is None else reference
        calls = sum(any(-NEAR_S / 2 < e.time_s - s < NEAR_S * 1.5 for e in found) for s in said)
        shared = same(reference, found, hop_s)
        moved = max((abs(a.score - b.score) for a, b in zip(reference, found, strict=False)), default=0.0)
        print(
            f"| {name} | {len(found)} | {calls} of {len(said)} | {shared} of {len(reference)} | {moved:.4f} |"
        )


def main() -> None:
    """Runs one of the two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("data", type=Path)
    making.add_argument("out", type=Path)
    making.add_argument("--speaker", default="00000012")
    making.add_argument("--word", default="forward")
    comparing = commands.add_parser("compare")
    comparing.add_argument("out", type=Path)
    comparing.add_argument("--home", type=Path, required=True)
    comparing.add_argument("--user", required=True)
    comparing.add_argument("--package", type=Path)
    comparing.add_argument("--htp", action="store_true", help="some minutes on the emulator")
    chosen = parser.parse_args()
    if chosen.command == "make":
        make(chosen.data, chosen.out, chosen.speaker, chosen.word)
    else:
        compare(chosen.out, chosen.home, chosen.user, chosen.package, htp=chosen.htp)


if __name__ == "__main__":
    main()
