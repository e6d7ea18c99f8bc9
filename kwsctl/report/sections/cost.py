"""What a model takes: numbers, products, memory, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kwsctl.report.cost_table import kilobytes
from kwsctl.report.material import Material
from kwsctl.report.section import Block, Rows

TITLE = "Cost"
PLACE = 70
FILLED_BY = "kwsctl train, kwsctl train --cost, or kwsctl export"


def blocks(material: Material) -> tuple[Block, ...]:
    """Lists what running, learning and shipping take."""
    rows = [row for name, model in material.models for row in _of_model(name, model)]
    for record in material.of("train")[:3]:
        rows += _of_training(record.facts)
    for package in material.packages:
        rows += _of_package(package.name, package.report)
    head = ("What", "Takes", "Of")
    return (Block(rows=Rows(head, tuple(dict.fromkeys(rows)))),) if rows else ()


def _of_model(name: str, model: Any) -> Iterator[tuple[str, str, str]]:
    from kwsctl import architecture

    network = model.model()
    yield "Parameters", f"{architecture.count_parameters(network):,}", name
    macs = architecture.count_macs(network, model.n_frames)
    yield f"MACs of a window of {model.clip_s:g} s", f"{macs:,}", name


def _of_training(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    name = str(facts["bundle"]).rpartition("/")[2]
    yield "Parameters", f"{facts['params']:,}", name
    yield f"MACs of a window of {facts['clip_s']:g} s", f"{facts['macs_per_clip']:,}", name
    yield "Training", f"{facts['train_s']:.0f} s for {facts['epochs']} epochs", name
    if cost := facts.get("cost"):
        per_clip = cost["activation_bytes"] / cost["batch_size"]
        yield "Activations kept for a clip while learning", kilobytes(per_clip), name
        yield "Gradients and optimizer", kilobytes(cost["gradient_bytes"] + cost["optimizer_bytes"]), name


def _of_package(name: str, report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield "Weights on the device", kilobytes(report["weight_bytes"]), name
    yield "Activations on the device, at the highest", kilobytes(report["activation_peak_bytes"]), name
    yield "MACs of a window", f"{report['macs']:,}", name
