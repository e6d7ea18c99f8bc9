"""Wake words on real recordings: kwsctl, trained here, beside engines that come with their models.

    python benchmarks/wake_words.py --words W --others O --speech L --noise N --out FOLDER

W: manifest of recorded wake words (alexa, computer, jarvis of github Picovoice/wake-word-benchmark).
O: manifest of other recorded words (`kwsctl data prepare arabic_speech_commands`).
L: manifest of recorded running speech (LibriSpeech, one utterance each of 251 readers): for the test only.
N: folder of ESC-10; its folds 1 and 2 are for training, 3 for choosing, 4 and 5 for the test.
Synthetic speech is spoken on the spot unless --synthetic gives its manifest.

For every engine alike, the threshold is the lowest that keeps to the budget of false alarms on all
background of the test together; the clips of the wake words' split `test` are scored at that threshold and at
the engine's own. The scores of other engines are kept in FOLDER and used again.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from wake_word_peers import PEERS, sphinx_threshold_log10
from wake_word_tracks import RATE_HZ, Corpora, Track, dev_tracks, test_tracks, training_clips

from kwsctl import bundle, options
from kwsctl.data import manifest
from kwsctl.data.prepare import prepare, prepared
from kwsctl.evaluation import intervals
from kwsctl.evaluation.detection import events_of, false_alarms, hours_of, threshold_for_budget
from kwsctl.evaluation.scoring import score_stream
from kwsctl.evaluation.streams import ScoreStream, Trigger
from kwsctl.home import home
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.seeding import numpy_generator
from kwsctl.storage import sha256_of, write_bytes

WORDS = ("alexa", "computer", "jarvis")
TRAINING = (
    "arch=tcresnet",
    "task=wake",
    "epochs=60",
    "learning_rate=0.006",
    "network.dropout=0.2",
    # More variation than by default: two or three hundred recordings of a word are few.
    "label_smoothing=0.1",
    "ema_decay=0.998",
    "room_share=0.3",
    "augmentation.noise_share=0.5",
    "augmentation.time_masks=2",
    "augmentation.mel_masks=2",
)
SYNTHETIC = {"phrases": WORDS, "engines": ("espeak", "nanotts", "hibari"), "background_min": 20.0}
LICENCES = {
    "wake-word-benchmark": "Apache-2.0 (Picovoice)",
    "Arabic Speech Commands": "CC BY 4.0 (Ghandoura, Hjabo, Al Dakkak 2021)",
    "ESC-10": "CC BY 3.0 (K. J. Piczak 2015)",
    "synthetic voices": "hibari, SVOX Pico (Apache-2.0); output of espeak-ng",
}
OWN = Trigger()
SMOOTHED_ALREADY = Trigger(smoothing_s=0.0)


@dataclass(frozen=True)
class Heard:
    """What one engine said of one word.

    Attributes:
        engine: name and version.
        word: the wake word.
        trigger: smoothing and refractory time.
        own_threshold: what the engine comes with.
        clips: one stretch of scores for each test clip of the word.
        speakers: of these clips, None where not known.
        wrong: the same for the test clips of the other wake words.
        backgrounds: scores along continuous audio without the word, by name.
    """

    engine: str
    word: str
    trigger: Trigger
    own_threshold: float
    clips: Sequence[ScoreStream]
    speakers: Sequence[str | None]
    wrong: Sequence[ScoreStream]
    backgrounds: dict[str, ScoreStream]


def row(heard: Heard, fa_per_hour: float) -> dict[str, Any]:
    """Works out the figures of one engine and word."""
    background = list(heard.backgrounds.values())
    budget = threshold_for_budget(background, fa_per_hour, heard.trigger)
    return {
        "engine": heard.engine,
        "word": heard.word,
        "background_h": round(hours_of(background), 2),
        "at_budget": _at(heard, budget.threshold),
        "at_own": _at(heard, heard.own_threshold),
    }


def _at(heard: Heard, threshold: float) -> dict[str, Any]:
    missed = np.array([not events_of(clip, threshold, heard.trigger) for clip in heard.clips], dtype=float)
    interval = intervals.bootstrap(missed, heard.speakers, numpy_generator(0, "bench"))
    if None in heard.speakers:
        interval = intervals.wilson(int(missed.sum()), len(missed))
    wrong = sum(bool(events_of(clip, threshold, heard.trigger)) for clip in heard.wrong)
    alarms = {name: false_alarms([s], threshold, heard.trigger) for name, s in heard.backgrounds.items()}
    hours = hours_of(list(heard.backgrounds.values()))
    return {
        "threshold": threshold,
        "frr": round(float(missed.mean()), 4),
        "ci95": [round(interval.low, 4), round(interval.high, 4)],
        "interval": interval.method,
        "missed": int(missed.sum()),
        "n": len(missed),
        "fa_per_hour": round(sum(alarms.values()) / hours, 2),
        "alarms": alarms,
        "wrong_words": [wrong, len(heard.wrong)],
    }


Score = Callable[[Track], ScoreStream]


def hear(
    engine: str, word: str, score: Score, own: float, trigger: Trigger, tracks: Sequence[Track]
) -> Heard:
    """Lets one engine hear all tracks."""
    clips: list[ScoreStream] = []
    wrong: list[ScoreStream] = []
    speakers: list[str | None] = []
    backgrounds = {}
    for track in tracks:
        scores = score(track)
        if track.clips and track.clips[0].label == word:
            clips += _parts(scores, track)
            speakers += [clip.speaker for clip in track.clips]
        else:
            backgrounds[track.name] = scores
            if track.clips:
                wrong += _parts(scores, track)
    return Heard(engine, word, trigger, own, clips, speakers, wrong, backgrounds)


def _parts(scores: ScoreStream, track: Track) -> list[ScoreStream]:
    """Cuts scores at the bounds of the clips."""
    bounds_s = np.array(track.bounds) / RATE_HZ
    cuts = np.searchsorted(scores.times_s, bounds_s, side="right")
    return [
        dataclasses.replace(
            scores, values=scores.values[a:b], times_s=scores.times_s[a:b], seconds=float(end_s - start_s)
        )
        for a, b, start_s, end_s in zip(cuts, cuts[1:], bounds_s, bounds_s[1:], strict=False)
    ]


def trained(word: str, assignments: Sequence[str], corpora: Corpora, out: Path, seed: int) -> bundle.Bundle:
    """Trains a model of a word, or takes the one that is there already, made in the same way."""
    how = options.resolve(TrainOptions, assignments=[*TRAINING, *assignments], flags={"keywords": [word]})
    listed = home() / "data" / "bench-train" / "manifest.csv"
    manifest.write(listed, training_clips(corpora))
    store = prepared(listed, home())
    path = out / f"{word}-{seed}.safetensors"
    made_of = {"manifest_sha256": sha256_of(listed), "licences": LICENCES}
    if path.is_file():
        found = bundle.load(path)
        same = {**json.loads(json.dumps(options.to_mapping(how))), **made_of}
        if {**found.lineage["options"], **{key: found.lineage.get(key) for key in made_of}} == same:
            return found
    result = train(store, path, how, seed=seed, provenance=made_of)
    print(f"{word}: {result.train_s:.0f} s, best epoch {result.best_epoch}, {result.val}", flush=True)
    return bundle.load(path)


def kwsctl_hears(model: bundle.Bundle, word: str, tracks: Sequence[Track]) -> Heard:
    """Scores the tracks with a trained model."""
    network = model.model()
    name = f"kwsctl {model.lineage['kwsctl']}, {model.arch}"
    return hear(
        name,
        word,
        lambda t: score_stream(model, t.samples, model=network),
        model.thresholds[word],
        OWN,
        tracks,
    )


def peer_hears(name: str, word: str, tracks: Sequence[Track], folder: Path) -> Heard:
    """Scores the tracks with another engine, or takes the scores that are there already."""
    peer = PEERS[name]

    def score(track: Track) -> ScoreStream:
        digest = hashlib.sha256(f"{peer.version}\n".encode() + track.samples.tobytes()).hexdigest()[:16]
        path = folder / f"{name}-{digest}.json"
        if not path.is_file():
            print(f"{name} hears {track.name} ({track.hours:.2f} h)", flush=True)
            write_bytes(
                path, json.dumps({k: _as_lists(s) for k, s in peer.score(track.samples).items()}).encode()
            )
        return _from_lists(word, json.loads(path.read_bytes())[word])

    return hear(peer.version, word, score, peer.own_threshold[word], SMOOTHED_ALREADY, tracks)


def _as_lists(stream: ScoreStream) -> dict[str, Any]:
    values = [round(float(v), 6) for v in stream.values[:, 0]]
    times_s = [round(float(t), 3) for t in stream.times_s]
    return {"values": values, "times_s": times_s, "hop_s": stream.hop_s, "seconds": stream.seconds}


def _from_lists(word: str, saved: dict[str, Any]) -> ScoreStream:
    values = np.array(saved["values"], dtype=np.float32).reshape(-1, 1)
    times_s = np.array(saved["times_s"], dtype=np.float64)
    return ScoreStream((word,), values, times_s, saved["hop_s"], saved["seconds"])


def table(rows: Sequence[dict[str, Any]], tracks: Sequence[Track], fa_per_hour: float) -> str:
    """Writes all figures as Markdown."""
    lines = [
        f"| Word | Engine | FRR at {fa_per_hour:g} FA/h (95 %) | Its threshold | Wrong words "
        "| FRR at own threshold (95 %) | FA/h | Wrong words |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in rows:
        cells = [each["word"], each["engine"]]
        for at in (each["at_budget"], each["at_own"]):
            low, high = at["ci95"]
            cells.append(f"{at['frr']:.1%} ({low:.1%} to {high:.1%}; {at['missed']} of {at['n']})")
            sphinx = each["engine"].startswith("pocketsphinx")
            shown = f"1e{sphinx_threshold_log10(at['threshold']):.0f}" if sphinx else f"{at['threshold']:.3f}"
            cells.append(shown if at is each["at_budget"] else f"{at['fa_per_hour']:.1f} (at {shown})")
            cells.append("{} of {}".format(*at["wrong_words"]))
        lines.append("| " + " | ".join(cells) + " |")
    names = [track.name for track in tracks]
    lines += ["", "False alarms at the budget's threshold, and at the engine's own:", ""]
    lines.append("| Word | Engine | " + " | ".join(f"{t.name}, {t.hours:.2f} h" for t in tracks) + " |")
    lines.append("|---|---|" + "---|" * len(tracks))
    for each in rows:
        budget, own = each["at_budget"]["alarms"], each["at_own"]["alarms"]
        counts = [f"{budget[n]}, {own[n]}" if n in budget else "-" for n in names]
        lines.append("| " + " | ".join([each["word"], each["engine"], *counts]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Trains, lets all engines hear the tracks, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("words", "others", "speech", "noise"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--synthetic", type=Path, help="manifest of synthetic speech")
    parser.add_argument("--word", nargs="*", default=WORDS, choices=WORDS)
    parser.add_argument("--out", type=Path, required=True, help="models, scores and figures go here")
    parser.add_argument("--set", action="append", default=[], help="option of training, key=value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fa-per-hour", type=float, default=0.5)
    parser.add_argument("--dev", action="store_true", help="tracks of the split `val`; no test clip is heard")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    chosen = parser.parse_args()
    synthetic = (
        chosen.synthetic
        or prepare("synthetic", home(), out=home() / "data" / "bench-synthetic", flags=SYNTHETIC).manifest
    )
    corpora = Corpora(chosen.words, chosen.others, chosen.speech, chosen.noise, synthetic)
    tracks = (dev_tracks if chosen.dev else test_tracks)(corpora, home())
    rows = []
    for word in chosen.word:
        model = trained(word, chosen.set, corpora, chosen.out, chosen.seed)
        heard = [kwsctl_hears(model, word, tracks)]
        heard += [
            peer_hears(name, word, tracks, chosen.out / "scores")
            for name in chosen.peers
            if word in PEERS[name].own_threshold
        ]
        rows += [row(each, chosen.fa_per_hour) for each in heard]
    write_bytes(chosen.out / "figures.json", json.dumps(rows, indent=1).encode())
    print(table(rows, tracks, chosen.fa_per_hour))


if __name__ == "__main__":
    main()
