"""What a few clips tell of the next ones: the constants of `kwsctl.learning.promise`.

    python benchmarks/promise_constants.py MANIFEST

MANIFEST is that of Arabic Speech Commands; its split `train` and two of the words are used, so that the
others remain to hold the promises to.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from kwsctl import bundle
from kwsctl.bench.people import gather
from kwsctl.cli.parameters import ENCODER, NEGATIVES, shipped
from kwsctl.data.prepare import prepared
from kwsctl.home import home
from kwsctl.learning import stored_negatives
from kwsctl.learning.adapters._enrolment import margins
from kwsctl.learning.enrolment_trials import EnrollOptions, gathered, tried

WORDS = slice(3, None, 20)


def main() -> None:
    """Prints one line for each number of clips and method."""
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


if __name__ == "__main__":
    main()
