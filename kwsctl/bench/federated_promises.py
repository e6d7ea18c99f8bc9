"""What a federation has to hold, said from the tables of `kwsctl bench federated`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kwsctl.bench.federated_network import EVALUATED_EVERY
from kwsctl.bench.federated_speed import Speed
from kwsctl.bench.federated_trials import Row
from kwsctl.bench.promise import Promise

FEW_POINTS, ROBUST_POINTS = 0.01, 0.02
LEAST_RECOVERED = 0.85
UP, DOWN = 30.0, 4.0
FASTER = 5.0
MOST_MB, MOST_S = 25.0, 300.0


def promises(
    central: Row, tables: Mapping[str, Sequence[Row]], speed: Speed, target: float
) -> tuple[Promise, ...]:
    """Compares the tables that were made with what has to hold.

    Args:
        central: training on all clips together.
        tables: lines by table.
        speed: of many heads at once.
        target: 98 % of central training.

    Returns:
        One line for each promise whose table was made.
    """
    found: list[Promise] = []
    by_name = {name: {row.name: row for row in rows} for name, rows in tables.items()}
    if "aggregators" in by_name:
        found += _rounds(by_name["aggregators"], central, target)
    if "labels" in by_name:
        found += _labels(by_name["labels"])
    if "compression" in by_name:
        found += _bytes(by_name["compression"])
    if "attacks" in tables:
        found += _attacks(tables["attacks"])
    if "crowd" in tables:
        found += _crowd(tables["crowd"])
    if "server" in tables:
        found += _server(tables["server"])
    if "memory" in tables:
        found += _memory(tables["memory"])
    if "network" in by_name:
        found += _network(by_name["network"])
    if "network-server" in tables:
        found.append(_network_server(tables["network-server"]))
    found.append(
        Promise(
            f"heads of {speed.clients} clients at once at least {FASTER:g} times faster than one by one",
            speed.ratio >= FASTER,
            f"{speed.ratio:.1f} times ({speed.low:.1f} to {speed.high:.1f}), CPU time in pairs",
        )
    )
    return tuple(found)


def _rounds(rows: Mapping[str, Row], central: Row, target: float) -> Iterator[Promise]:
    best = max(rows.values(), key=lambda row: row.accuracy[0])
    reached = {name: row.rounds_to_target for name, row in rows.items() if row.rounds_to_target}
    first = min(reached, key=lambda name: reached[name] or 0) if reached else None
    yield Promise(
        "98 % of central training within 100 rounds",
        bool(reached),
        f"{best.accuracy[0] / central.accuracy[0]:.1%} ({best.name}); "
        + (f"{first} needs {reached[first]} rounds to {target:.2%}" if first else "not reached"),
    )


def _server(rows: Sequence[Row]) -> Iterator[Promise]:
    for setting in dict.fromkeys(row.facts["setting"] for row in rows):
        own = {row.facts["aggregator"]: row for row in rows if row.facts["setting"] == setting}
        mean = own.pop("mean")
        best = max(own.values(), key=lambda row: row.accuracy[0])
        yield Promise(
            f"server Adam or Yogi better than plain averaging after {len(mean.curve)} rounds, {setting}, "
            "rates chosen on other people",
            best.accuracy[0] > mean.accuracy[0],
            f"{best.facts['aggregator']} {best.accuracy[0]:.2%}, mean {mean.accuracy[0]:.2%}; "
            f"rounds to target {best.rounds_to_target or '-'} and {mean.rounds_to_target or '-'}",
        )


def _crowd(rows: Sequence[Row]) -> Iterator[Promise]:
    slowest = max(rows, key=lambda row: row.facts["cpu_s"])
    yield Promise(
        f"{slowest.facts['clients']:,} clients, {len(slowest.curve)} rounds of heads, in minutes",
        slowest.facts["cpu_s"] <= MOST_S,
        f"{slowest.facts['cpu_s']:.0f} s of CPU time",
    )


def _memory(rows: Sequence[Row]) -> Iterator[Promise]:
    few, many = rows[0].facts, rows[-1].facts
    yield Promise(
        "memory flat in the number of clients",
        many["peak_mb"] - few["peak_mb"] <= MOST_MB,
        ", ".join(f"{row.facts['peak_mb']:.0f} MB with {row.facts['clients']:,} clients" for row in rows),
    )


def _network(rows: Mapping[str, Row]) -> Iterator[Promise]:
    central, whole = rows["whole network, central training"], rows["whole network from nothing"]
    averaged = rows["whole network from nothing, plain averaging"]
    yield Promise(
        "98 % of central training within 100 rounds, whole network from nothing",
        whole.accuracy[0] >= 0.98 * central.accuracy[0],
        f"{whole.accuracy[0]:.2%} of {central.accuracy[0]:.2%}; "
        f"head on the encoder {rows['head on the encoder'].accuracy[0]:.2%}",
    )
    half = max(1, len(whole.curve) // 2)
    yield Promise(
        f"server Adam better than plain averaging after {EVALUATED_EVERY * half} rounds, whole network "
        "from nothing, one fold and one seed",
        whole.curve[half - 1] > averaged.curve[half - 1],
        f"fedadam {whole.curve[half - 1]:.2%}, mean {averaged.curve[half - 1]:.2%}; rounds to target "
        f"{whole.rounds_to_target or '-'} and {averaged.rounds_to_target or '-'}",
    )


def _network_server(rows: Sequence[Row]) -> Promise:
    mean = next(row for row in rows if row.facts["aggregator"] == "mean")
    best = max((row for row in rows if row is not mean), key=lambda row: row.accuracy[0])
    ahead, low, high = best.facts["ahead"]
    return Promise(
        f"server Adam or Yogi better than plain averaging after {mean.facts['rounds']} rounds, "
        "whole network from nothing, rates chosen on other people",
        low > 0,
        f"{best.facts['aggregator']} {best.accuracy[0]:.2%}, mean {mean.accuracy[0]:.2%}: {ahead * 100:+.2f} "
        f"points ({low * 100:+.2f} to {high * 100:+.2f}) over people; seeds: {mean.facts['seeds']}",
    )


def _labels(rows: Mapping[str, Row]) -> Iterator[Promise]:
    full, alone, guessed = (
        rows[name].accuracy[0] for name in ("100% labelled", "3% labelled", "3% labelled, others guessed")
    )
    yield Promise(
        "3 % labels and guesses give 85 % of all labels",
        guessed >= LEAST_RECOVERED * full,
        f"{guessed / full:.1%} ({guessed:.2%} of {full:.2%}; labels alone {alone:.2%})",
    )


def _bytes(rows: Mapping[str, Row]) -> Iterator[Promise]:
    plain = rows["none"]
    fine = [
        row
        for row in rows.values()
        if row.accuracy[0] >= plain.accuracy[0] - FEW_POINTS and plain.bytes_down >= DOWN * row.bytes_down
    ]
    best = min(fine or rows.values(), key=lambda row: row.bytes_up)
    up, down = plain.bytes_up / best.bytes_up, plain.bytes_down / best.bytes_down
    yield Promise(
        "30 times fewer bytes up and 4 times down at a loss of at most 1 point",
        up >= UP and down >= DOWN and bool(fine),
        f"{best.name}: {up:.1f} times up, {down:.1f} down, "
        f"{(best.accuracy[0] - plain.accuracy[0]) * 100:+.2f} points",
    )


def _attacks(rows: Sequence[Row]) -> Iterator[Promise]:
    cell = {(row.facts["attack"], row.facts["aggregator"]): row.accuracy[0] for row in rows}
    robust = {name for _, name in cell} - {"mean", "mean, watched"}
    clean = cell["none", "mean"]
    for attack in ("sign_flip", "scaled"):
        best = max(robust, key=lambda name: cell[attack, name])
        yield Promise(
            f"{attack}: a robust aggregator within 2 points of clean, and a plain mean that fails",
            cell[attack, best] >= clean - ROBUST_POINTS and cell[attack, "mean"] < clean - ROBUST_POINTS,
            f"{best} {cell[attack, best]:.2%}, clean mean {clean:.2%}, attacked mean "
            f"{cell[attack, 'mean']:.2%}",
        )
