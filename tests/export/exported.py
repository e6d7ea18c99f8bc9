"""Small models, and packages of them, made once for all tests."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from kwsctl.bundle import Bundle
from kwsctl.export import heard, package
from kwsctl.export.export import Exported, Material, export
from kwsctl.export.heard import Heard
from kwsctl.export.package import Package
from kwsctl.export.proving import ExportOptions
from tests import toy_people
from tests.contracts.test_models import network

_KEPT = tempfile.TemporaryDirectory(prefix="kwsctl-packages-")


def untrained(arch: str, **config: object) -> Bundle:
    """A network with the statistics of a trained one."""
    model = network(arch, **config)
    return Bundle(arch, config, toy_people.SPEC, ("a", "b", "c", "d"), "keywords", 1.0, model.state_dict())


def windows(n: int = 12, frames: int = 98, seed: int = 0) -> np.ndarray:
    """Features [n, 40, frames] that look like log-mel energies."""
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(n, 40, frames)) * 2 - 6).astype(np.float32)


def some(n: int = 24, seed: int = 0) -> Heard:
    """Windows without labels that mean anything."""
    return Heard(windows(n, seed=seed), ("a",) * n, (None,) * n, "a generator")


@functools.cache
def keyword_material() -> Material:
    """What the keyword model of tones is calibrated with and compared on."""
    bundle = toy_people.keyword_model()
    store = toy_people.joined(
        toy_people.crowd(toy_people.WORDS, toy_people.OTHERS[:4], 1),
        toy_people.crowd(toy_people.WORDS, toy_people.PEOPLE, 2, split="test"),
    )
    draw = np.random.default_rng(0)
    return Material(
        heard.from_store(bundle, store, "train", draw),
        heard.from_store(bundle, store, "test", draw),
        toy_people.negatives(),
    )


def exported(
    out: Path, bundle: Bundle, material: Material, target: str = "onnx", **options: object
) -> Exported:
    """Exports with few windows for emulators."""
    chosen = ExportOptions(**{"emulated": 20, **options})  # type: ignore[arg-type]
    return export(bundle, target, material, out, chosen, named="toy.safetensors")


@functools.cache
def keyword_package() -> Package:
    """A package of the keyword model; not to be changed."""
    place = Path(_KEPT.name) / "keywords"
    exported(place, toy_people.keyword_model(), keyword_material())
    return package.read(place)


@functools.cache
def encoder_package() -> Package:
    """A package of the encoder; not to be changed."""
    place = Path(_KEPT.name) / "encoder"
    bundle = toy_people.encoder()
    halves = heard.from_negatives(bundle, toy_people.negatives())
    exported(place, bundle, Material(*halves, toy_people.negatives()), precision="w8a16", max_loss=3.0)
    return package.read(place)
