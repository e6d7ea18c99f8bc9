"""The constants of enrolment: what a few clips tell of the next ones, and what a voice weighs beside a word.

    python benchmarks/enrolment_constants.py MANIFEST

MANIFEST is that of Arabic Speech Commands; its split `train` and a few of the words are used, so that the
others remain to hold the promises to. Prints what `kwsctl.learning.promise` and
`kwsctl.learning.voice_fusion` have.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from kwsctl import bundle
from kwsctl.bench.new_words import enrolments, try_all
from kwsctl.bench.people import gather
from kwsctl.bench.trials import Trials, figures
from kwsctl.cli.parameters import ENCODER, NEGATIVES, shipped
from kwsctl.data.prepare import prepared
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.learning.adapters._enrolment import margins
from kwsctl.learning.enroll_options import EnrollOptions
from kwsctl.learning.enrolment_material import gathered
from kwsctl.learning.enrolment_trials import tried
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT

WORDS = slice(3, None, 20)
VOICE_WORDS = slice(1, None, 5)
WEIGHTS = (8, 12, 16, 22, 30)


def by_weight(found: Sequence[Trials]) -> Iterator[dict[str, float]]:
    """Tells what weights of the voice give, against wrong words by the same person and against impostors."""
    for weight in WEIGHTS:
        fused = [
            Trials(
                one.speaker,
                {group: margin + weight * voice for group, (margin, voice) in _parts(one).items()},
            )
            for one in found
        ]
        row: dict[str, float] = {"weight": weight}
        for others in ("wrong_same", "impostor"):
            rates = figures(fused, "own", others)
            row |= {f"{others}_eer": round(rates.eer, 4), f"{others}_found": round(rates.found, 4)}
        yield row


def regression(found: Sequence[Trials]) -> dict[str, float]:
    """Fits how much a cosine of voices tells beside the margin of the word: own calls against all others."""
    parts = [_parts(one) for one in found]
    own, *others = (
        np.concatenate([np.stack(part[group], 1) for part in parts])
        for group in ("own", "wrong_same", "impostor")
    )
    points = np.concatenate([own, *others])
    is_own = np.arange(len(points)) < len(own)
    fit = LogisticRegression(class_weight="balanced").fit(points, is_own)
    (margin, voice), offset = fit.coef_[0], -fit.intercept_[0]
    return {"weight": round(voice / margin, 1), "offset": round(offset / voice, 2), "own_calls": len(own)}


def _parts(one: Trials) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Takes margins and cosines of the voices apart."""
    names = {"own": "own_fused", "wrong_same": "wrong_fused", "impostor": "impostor_fused"}
    return {
        group: (
            one.scores[group],
            (one.scores[fused_group] - one.scores[group]) / VOICE_WEIGHT + VOICE_OFFSET,
        )
        for group, fused_group in names.items()
    }


def main() -> None:
    """Prints one line for each number of clips and method, and one for the voice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    chosen = parser.parse_args()
    base, negatives = bundle.load(shipped(ENCODER)), stored_negatives.load(shipped(NEGATIVES))
    store = prepared(chosen.manifest, home())
    speakers = sorted({c.speaker for c in store.clips if c.speaker and c.split == "train"})
    people = gather(store, base, speakers)
    words = sorted(set(people.words))[WORDS]
    options = EnrollOptions()
    for shots in (3, 5):
        for method in ("prototype", "head"):
            gains, spreads = [], []
            for speaker in speakers:
                for word in words:
                    clips = people.clips(speaker, word, 0)
                    takes = [people.takes[i] for i in clips[:shots]]
                    trial = tried(method, gathered(base, word, takes, negatives, options), options)
                    personal = base.with_delta(trial.delta)
                    head = personal.model().get_submodule("head")
                    tests = margins(personal, word, head(people.embeddings[clips[shots:]])).detach().numpy()
                    gains.append(tests.mean() - trial.left_out.mean())
                    spreads.append(tests.std(ddof=1))
            expected = np.mean(spreads) ** 2 * (1 / shots + 1 / len(tests))
            row = {
                "shots": shots,
                "method": method,
                "gain_times_shots": round(shots * float(np.mean(gains)), 2),
                "spread": round(float(np.mean(spreads)), 2),
                # How the mean varies, as a multiple of what independent clips would give.
                "unsure": round(float(np.var(gains) / expected), 2),
                "enrolments": len(gains),
            }
            print(json.dumps(row), flush=True)
    words = sorted(set(people.words))[VOICE_WORDS]
    found = try_all(people, negatives, enrolments(people, words, shots=3, wrong=100))
    for line in (regression(found), *by_weight(found)):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
