"""The bundle that is shipped: it is what its card says, and commands find it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from kwsctl import bundle
from kwsctl.cli.parameters import ENCODER, VOICES, pretrained_bundle, resolve_model
from kwsctl.verification import model, voiceprint

FOLDER = Path(__file__).resolve().parents[1] / "models" / "pretrained"
BUNDLES = sorted(FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_card_is_of_this_bundle(path: Path) -> None:
    card = path.with_suffix(".md").read_text()
    assert re.search(r"sha256: `(\w+)`", card).group(1) == bundle.load(path).sha256
    assert "Data:" in card
    assert re.search(r"\d+\.\d+% \(\d+\.\d+% to \d+\.\d+%\) \| [\d,]+ \|", card)  # with interval and n


WORDS = [path for path in BUNDLES if path.name != VOICES]


@pytest.mark.parametrize("path", WORDS, ids=lambda path: path.stem)
def test_it_runs_and_carries_thresholds_and_licences(path: Path) -> None:
    loaded = bundle.load(path)
    features = torch.zeros(2, loaded.features.mel_bins, loaded.n_frames)
    scores = loaded.probabilities(loaded.model()(features))
    assert scores.shape == (2, len(loaded.labels))
    assert loaded.lineage["licences"]
    assert {label for label in loaded.labels if not label.startswith("_")} == set(loaded.thresholds)
    assert not any("/" in str(value) for value in loaded.lineage["options"].values())


@pytest.mark.parametrize("path", [p for p in BUNDLES if p.name == VOICES], ids=lambda path: path.stem)
def test_the_verification_model_sits_on_the_shipped_encoder(path: Path) -> None:
    loaded = bundle.load(path)
    model.check(loaded, bundle.load(FOLDER / ENCODER))
    assert loaded.lineage["licences"]
    z = voiceprint.outputs(loaded, torch.zeros(2, loaded.config["statistics"]))
    assert z.shape == (2, 127)
    assert loaded.weights[model.COHORT].shape[1] == 127


def test_commands_take_it_when_nothing_was_trained(tmp_path: Path) -> None:
    assert BUNDLES
    loaded, origin = resolve_model(None, tmp_path)
    assert loaded.sha256 == bundle.load(pretrained_bundle()).sha256
    assert "shipped with kwsctl" in origin
