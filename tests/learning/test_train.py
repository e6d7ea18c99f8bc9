"""Training end to end on words made of tones: it learns, goes on after a kill, and refuses nonsense."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kwsctl import bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.types import Clip

from ..toy_words import toy_store, write_corpus

QUICK = TrainOptions(
    network={"width": 0.5, "dropout": 0.0},
    epochs=24,
    batch_size=16,
    ema_decay=0.8,
    warmup_epochs=1,
    learning_rate=0.01,
)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return toy_store(tmp_path_factory.mktemp("toy"))


def test_a_keyword_set_is_learned(words: ClipStore, tmp_path: Path) -> None:
    result = train(words, tmp_path / "m.safetensors", QUICK, provenance={"licences": ["CC0"]})
    assert result.task == "keywords"
    assert result.labels == ("fall", "rise", "_unknown_", "_silence_")
    assert result.val["accuracy"] >= 0.9
    assert result.params == sum(p.numel() for p in bundle.load(result.bundle).model().parameters())
    loaded = bundle.load(result.bundle)
    assert loaded.sha256 == result.sha256
    assert set(loaded.thresholds) == {"fall", "rise"}
    assert all(0 < t <= 1 for t in loaded.thresholds.values())
    assert loaded.lineage["speakers"] == [f"s{i}" for i in range(3, 10)]
    assert loaded.lineage["licences"] == ["CC0"]
    lines = [json.loads(line) for line in result.log.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(24))
    assert not (tmp_path / "m.resume.safetensors").exists()


def test_a_wake_word_is_learned(tmp_path: Path) -> None:
    store = toy_store(tmp_path, words=("rise",))
    shares = dataclasses.replace(QUICK.shares, least_windows=400)
    result = train(store, tmp_path / "m.safetensors", dataclasses.replace(QUICK, shares=shares))
    assert (result.task, result.labels) == ("wake", ("rise",))
    assert result.val["average_precision"] >= 0.9


def test_the_same_seed_gives_the_same_bundle_and_another_seed_does_not(
    words: ClipStore, tmp_path: Path
) -> None:
    options = dataclasses.replace(QUICK, epochs=2)
    state = torch.get_rng_state()
    first, again, other = (
        train(words, tmp_path / f"{i}.safetensors", options, seed=seed) for i, seed in enumerate((1, 1, 2))
    )
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256
    assert torch.equal(state, torch.get_rng_state())


CHILD = """
import sys
from pathlib import Path
from kwsctl.data import manifest, store
from kwsctl.learning.train import train
from tests.learning.test_train import QUICK
folder = Path(sys.argv[1])
clips = store.prepare(manifest.read(folder / "clips" / "manifest.csv"), folder / "store")
train(clips, folder / "m.safetensors", QUICK, seed=3)
"""


def test_a_run_killed_in_the_middle_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    write_corpus(tmp_path / "clips")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=Path(__file__).parents[2])
    log = tmp_path / "m.log.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) >= 2):
        assert child.poll() is None, "training ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "m.safetensors").exists()

    store = toy_store(tmp_path)
    went_on = train(store, tmp_path / "m.safetensors", QUICK, seed=3)
    at_once = train(store, tmp_path / "other.safetensors", QUICK, seed=3, resume="never")
    assert went_on.resumed_from >= 2
    assert went_on.val == at_once.val
    assert went_on.sha256 == at_once.sha256


def test_resume_insists_on_a_checkpoint_of_the_same_run(words: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"m.resume.safetensors is not there.*Repeat the interrupted command"
    ):
        train(words, tmp_path / "m.safetensors", QUICK, resume="must")


def test_what_the_data_lacks_is_said(words: ClipStore, tmp_path: Path) -> None:
    options = dataclasses.replace(QUICK, epochs=1)
    assert train(words, tmp_path / "m.safetensors", options).warnings == ()
    clips = tuple(dataclasses.replace(c, speaker=None) for c in words.clips)
    wanted = words.where(labels=("rise", "fall"))
    kept = dataclasses.replace(
        words, clips=tuple(clips[i] if i in wanted else lost(clips[i]) for i in range(len(clips)))
    )
    warnings = train(kept, tmp_path / "n.safetensors", options).warnings
    assert [w.split(":")[0] for w in warnings] == [
        "No clip is labelled _background_",
        "No clip is of another word",
        "No clip names its speaker",
    ]


def lost(clip: Clip) -> Clip:
    """Moves a clip to a split that is not learned from."""
    return dataclasses.replace(clip, split="test")


def test_early_stopping_keeps_the_best_epoch(words: ClipStore, tmp_path: Path) -> None:
    options = dataclasses.replace(QUICK, epochs=40, patience=2)
    result = train(words, tmp_path / "m.safetensors", options)
    assert result.epochs < 40
    assert result.epochs == result.best_epoch + 2
    lines = [json.loads(line) for line in result.log.read_text().splitlines()]
    assert result.val["accuracy"] == max(line["val"]["accuracy"] for line in lines)


@pytest.mark.parametrize("arch", ["dscnn", "bcresnet"])
def test_other_architectures_train_too(words: ClipStore, tmp_path: Path, arch: str) -> None:
    options = dataclasses.replace(QUICK, arch=arch, network={}, epochs=3)
    result = train(words, tmp_path / "m.safetensors", options)
    lines = [json.loads(line) for line in result.log.read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
