"""What `bench few-shot` may have found, made up."""

from __future__ import annotations

from kwsctl.bench.few_shot_summary import FewShot, summary
from tests.bench.corpus import case

NAMES = ("ana", "ben", "cleo", "dora", "emil")


def found() -> FewShot:
    before, after = (0.9, 0.2, 0.8, 1.0, 0.6), (1.0, 0.8, 0.7, 1.0, 1.0)
    cases = [case(n, "global", 0, rate) for n, rate in zip(NAMES, before, strict=True)]
    for shots, share in ((1, 0.5), (5, 1.0)):
        cases += [
            case(n, "head", shots, was + share * (now - was))
            for n, was, now in zip(NAMES, before, after, strict=True)
        ]
        cases += [case(n, "prototype", shots, 0.1) for n in NAMES]
    cases += [case(n, "full", 5, 1.0) for n in NAMES]  # tried with five clips only
    return summary(cases)
