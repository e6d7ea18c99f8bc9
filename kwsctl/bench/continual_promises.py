"""What adapting has to hold, said from the tables of `kwsctl bench continual`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kwsctl.bench.continual_rows import LOST, Labels, Row
from kwsctl.bench.promise import Promise

PRECISION, YIELDED, NEGATIVES = 0.97, 0.60, 0.995
OF_ORACLE, OF_FULL = 0.6, 0.6
GAINED, FORGOTTEN = 16.0, 0.3
WEAK = "both"
"""The scenario in which the model that is enrolled hears few calls."""
HOSTILE = ("television", "impostor", "wrong")
LOOP, GUARDED, UNGUARDED = "loop", "head", "head-unguarded"


def promises(labels: Sequence[Labels], rows: Sequence[Row]) -> tuple[Promise, ...]:
    """Compares what was measured with what has to hold, scenario by scenario.

    Args:
        labels: per scenario.
        rows: per scenario and method.

    Returns:
        One line for each promise whose methods were tried.
    """
    found: list[Promise] = []
    for one in labels:
        own = {row.method: row for row in rows if row.scenario == one.scenario}
        found += _labels(one)
        found += _lost_there(one.scenario, own) if one.scenario in HOSTILE else _gained(one.scenario, own)
    return tuple(found)


def _labels(labels: Labels) -> Iterator[Promise]:
    yield Promise(
        f"{labels.scenario}: {PRECISION:.0%} of pseudo-positives right, from {YIELDED:.0%} of the calls",
        labels.precision >= PRECISION and labels.yielded >= YIELDED,
        f"{labels.precision:.1%} of {labels.positives} ({labels.any_voice:.1%} the keyword, whoever says "
        f"it), from {labels.yielded:.0%}",
    )
    yield Promise(
        f"{labels.scenario}: {NEGATIVES:.1%} of pseudo-negatives right",
        labels.negative_precision >= NEGATIVES,
        f"{labels.negative_precision:.2%} of {labels.negatives:,}",
    )


def _gained(scenario: str, own: Mapping[str, Row]) -> Iterator[Promise]:
    loop = own[LOOP]
    if loop.oracle_share is not None:
        yield Promise(
            f"{scenario}: {OF_ORACLE:.0%} of what true labels give",
            loop.oracle_share >= OF_ORACLE,
            f"{loop.oracle_share:.0%}",
        )
    if scenario == WEAK:
        yield Promise(
            f"{scenario}: {GAINED:.0f} points more calls heard at 0.5 false alarms an hour",
            loop.gain[0] >= GAINED,
            f"{loop.gain[0]:+.1f} ({loop.gain[1]:+.0f} to {loop.gain[2]:+.0f})",
        )
        if "forward" in own and "full" in own:
            share = own["forward"].gain[0] / max(own["full"].gain[0], 1e-9)
            yield Promise(
                f"{scenario}: inference only gains {OF_FULL:.0%} of what tuning the whole network does",
                share >= OF_FULL,
                f"{own['forward'].gain[0]:+.1f} of {own['full'].gain[0]:+.1f} points, {share:.0%}",
            )
    yield Promise(
        f"{scenario}: nobody loses more than {LOST:g} point",
        min(loop.worst, loop.own_worst) >= -LOST,
        f"{loop.worst:+.1f} at equal false alarms, {loop.own_worst:+.1f} at the threshold in use; "
        f"{loop.losers} of {loop.lives} do",
    )
    yield Promise(
        f"{scenario}: at most {FORGOTTEN:g} points of the global task are forgotten",
        loop.forgotten <= FORGOTTEN,
        f"{loop.forgotten:+.2f}",
    )


def _lost_there(scenario: str, own: Mapping[str, Row]) -> Iterator[Promise]:
    for method in (LOOP, GUARDED):
        if method not in own:
            continue
        row = own[method]
        without = f"; no guard {own[UNGUARDED].own_worst:+.0f}" if UNGUARDED in own else ""
        yield Promise(
            f"{scenario}: nobody loses more than {LOST:g} point at the threshold in use, `{method}`",
            row.own_worst >= -LOST,
            f"{row.own_worst:+.1f}, {row.rolled_back} updates rolled back{without}",
        )
