"""Training encoders: who is in a batch, what a word is, and one short run from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as fn

from kwsctl import architecture, bundle
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.features.augmentation import Augmentation
from kwsctl.learning import checkpoint, encoder
from kwsctl.learning.encoder import Trainee, WordSampler, judge, speaker_indices, windows_of_words
from kwsctl.learning.loop import Batch
from kwsctl.learning.train import train
from kwsctl.learning.train_options import TrainOptions
from kwsctl.types import BACKGROUND, SILENCE, UNKNOWN, Clip
from tests.toy_people import LEXICON, NEW_WORDS, RATE_HZ, as_store, crowd, joined

OPTIONS = TrainOptions(
    arch="duet",
    network={"width": 0.4, "embedding": 24, "speaker": 16},
    objective="softmax",
    epochs=12,
    batch_size=48,
    warmup_epochs=0.5,
    ema_decay=0.8,
    room_share=0.0,
    # Other tones are other words.
    augmentation=Augmentation(
        shift_frames=4, speed=0.05, warp=0.0, noise_share=0.2, time_masks=0, mel_masks=0
    ),
)
# Words with some of `NEW_WORDS` held out: eight voices to learn from, two others that ask.
HEARD = tuple(word for word in LEXICON if word not in NEW_WORDS)


def noise(label: str, seconds: float, speaker: str | None, split: str = "train") -> ClipStore:
    samples = 0.01 * np.random.default_rng(0).normal(size=round(seconds * RATE_HZ))
    return as_store([Clip(Path(f"/clips/{label}.wav"), label, speaker, split)], [samples])


@pytest.fixture(scope="module")
def store() -> ClipStore:
    return joined(
        crowd(HEARD, range(8), 2),
        crowd(NEW_WORDS, (20, 21), 8, "val"),
        noise(BACKGROUND, 6.0, None),
    )


@pytest.mark.parametrize("sizes", [(4, 4, 4), (3, 5, 1, 2, 7)])
def test_a_batch_has_every_word_at_least_twice_and_no_noise(sizes: tuple[int, ...]) -> None:
    target = torch.cat([torch.full((n,), i) for i, n in enumerate(sizes)] + [torch.full((9,), -1)])
    sampler = WordSampler(target[torch.randperm(len(target), generator=torch.Generator().manual_seed(0))], 6)
    seen = []
    for epoch in range(5):
        batches = list(sampler.epoch(torch.Generator().manual_seed(epoch)))
        assert len(batches) == sampler.steps
        for rows in batches:
            words = sampler.target[rows]
            assert len(rows) == 6 and (words >= 0).all()
            assert (torch.unique(words, return_counts=True)[1] >= 2).all()
            seen.append(rows)
    assert set(torch.cat(seen).tolist()) == set(torch.nonzero(sampler.target >= 0)[:, 0].tolist())


def test_a_small_set_gives_one_batch() -> None:
    sampler = WordSampler(torch.tensor([0, 0, 1, 1]), 100)
    (rows,) = sampler.epoch(torch.Generator().manual_seed(0))
    assert sampler.steps == 1 and sorted(rows.tolist()) == [0, 1, 2, 3]


def test_equal_generators_draw_equal_epochs() -> None:
    sampler = WordSampler(torch.arange(20).repeat(6), 16)
    one, same, other = (
        [rows.tolist() for rows in sampler.epoch(torch.Generator().manual_seed(seed))] for seed in (1, 1, 2)
    )
    assert one == same != other


def trainee(arch: str = "duet", n_speakers: int = 3) -> Trainee:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = architecture.build(arch, {"width": 0.4}, 0 if arch == "duet" else 2, 40)
        return Trainee(network, 5, n_speakers)


def test_in_training_a_trainee_gives_voices_too_and_otherwise_words_alone() -> None:
    made, x = trainee(), torch.randn(4, 40, 98, generator=torch.Generator().manual_seed(0))
    word, voice = made.train()(x)
    assert word.shape == (4, 96) and voice.shape == (4, 64)
    torch.testing.assert_close(made.eval()(x).norm(dim=1), torch.ones(4))
    assert made.words.shape == (5, 96) and made.voices.shape == (3, 64)


def test_other_networks_are_trainees_without_a_voice_whose_embeddings_are_normalized() -> None:
    made, x = trainee("tcresnet"), torch.randn(4, 40, 98, generator=torch.Generator().manual_seed(0))
    word, voice = made.train()(x)
    assert voice is None and not made.has_voice
    torch.testing.assert_close(word.norm(dim=1), torch.ones(4))
    assert not trainee(n_speakers=1).has_voice


def test_the_scale_of_cosines_is_learned_up_to_a_limit() -> None:
    made = trainee()
    assert float(made.scale.detach()) == pytest.approx(encoder.FIRST_SCALE)
    nn.init.constant_(made.log_scale, 9.0)
    assert float(made.scale.detach()) == encoder.LARGEST_SCALE


def test_what_is_kept_are_the_weights_of_the_network() -> None:
    made = trainee()
    kept = made.network_of(made.state_dict())
    assert set(kept) == set(made.network.state_dict())
    assert not any(name.startswith(("words", "voices", "network.")) for name in kept)


def test_speakers_count_by_their_weight_and_unknown_ones_not_at_all() -> None:
    made = trainee()
    x = torch.randn(4, 40, 98, generator=torch.Generator().manual_seed(0))
    batch = Batch(x, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3]))
    who = torch.tensor([0, 1, 2, -1])
    output = tuple(part.detach() for part in made.train()(x))
    losses = [
        float(judge(made, "softmax", who, weight)(output, batch).loss.detach()) for weight in (0.0, 0.1, 0.2)
    ]
    assert losses[0] < losses[1]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    cosine = output[1][:3] @ fn.normalize(made.voices.detach(), dim=1).T
    voices = fn.cross_entropy(16 * (cosine - 0.1 * torch.eye(3)), torch.arange(3))
    assert losses[1] - losses[0] == pytest.approx(0.1 * float(voices), rel=1e-3)


def test_targets_are_words_and_those_of_val_are_its_own(store: ClipStore) -> None:
    train_windows, val, length_s = windows_of_words(
        store, store.where(split="train"), store.where(split="val"), None
    )
    assert length_s == 1.0
    labels = [store.clips[int(i)].label for i in train_windows.clip]
    names = sorted(set(HEARD))
    assert [names[t] if t >= 0 else BACKGROUND for t in train_windows.target] == labels
    assert labels.count(BACKGROUND) == 11  # of six seconds, every half second
    theirs = [store.clips[int(i)].label for i in val.clip]
    assert [sorted(NEW_WORDS)[t] for t in val.target] == theirs
    who = speaker_indices(store, train_windows, ["s0", "s2"])
    assert set(who[train_windows.target >= 0].tolist()) == {0, 1, -1}
    assert (who[train_windows.target < 0] == -1).all()


def test_stretches_of_a_known_speaker_are_words_of_their_own_and_silence_never() -> None:
    store = joined(
        crowd(("012", "345"), (0, 1), 1),
        noise(UNKNOWN, 3.0, "s0"),
        noise(BACKGROUND, 3.0, None),
        noise(SILENCE, 1.0, "s0"),
    )
    found, val, _ = windows_of_words(store, np.arange(len(store)), np.array([], dtype=np.int64), 1.0)
    of = {label: found.target[[store.clips[int(i)].label == label for i in found.clip]] for label in
          (UNKNOWN, BACKGROUND, SILENCE)}  # fmt: skip
    assert len(of[UNKNOWN]) and sorted(of[UNKNOWN]) == list(range(2, 2 + len(of[UNKNOWN])))
    assert len(of[BACKGROUND]) == 5 and (of[BACKGROUND] == -1).all() and (of[SILENCE] == -1).all()
    assert len(val) == 0


def test_one_word_is_too_few() -> None:
    store = crowd(("012",), (0, 1), 2)
    with pytest.raises(InputError, match=r"The data has 1 words.*kwsctl data prepare vocabulary"):
        windows_of_words(store, np.arange(4), np.array([], dtype=np.int64), None)


def test_an_encoder_is_trained_and_goes_on_after_a_stop(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, bytes] = {}
    save = checkpoint.Checkpoint.save

    def remember(self: checkpoint.Checkpoint, path: Path) -> None:
        save(self, path)
        kept[len(self.facts["log"])] = path.read_bytes()

    monkeypatch.setattr(checkpoint.Checkpoint, "save", remember)
    made = train(store, tmp_path / "m.safetensors", OPTIONS, seed=1)
    # Found at 1 % would be 1 % by chance.
    assert made.val["found_at_far_1pct"] > 0.2 and made.val["equal_error_rate"] < 0.25
    assert (made.task, made.labels, dict(made.thresholds)) == ("wake", (), {})
    loaded = bundle.load(made.bundle)
    assert loaded.labels == () and loaded.sha256 == made.sha256
    assert not any(name.startswith(("words", "voices", "network")) for name in loaded.weights)
    assert loaded.model()(torch.zeros(2, 40, 98)).shape == (2, 0)
    assert loaded.lineage["options"]["objective"] == "softmax"
    lines = [json.loads(line) for line in made.log.read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]

    (tmp_path / "n.resume.safetensors").write_bytes(kept[10])
    again = train(store, tmp_path / "n.safetensors", OPTIONS, seed=1, resume="must")
    assert again.resumed_from == 10
    assert again.sha256 == made.sha256


@pytest.mark.parametrize("objective", ["prototypical", "episodic", "triplet"])
def test_every_objective_trains(store: ClipStore, tmp_path: Path, objective: str) -> None:
    options = dataclasses.replace(OPTIONS, objective=objective, epochs=2)
    made = train(store, tmp_path / "m.safetensors", options)
    lines = [json.loads(line) for line in made.log.read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_an_objective_is_for_encoders() -> None:
    with pytest.raises(InputError, match="'triplet' is for encoders, not for the task 'wake'"):
        TrainOptions(objective="triplet", task="wake")


def test_directions_begin_where_the_network_has_words_and_speakers(store: ClipStore) -> None:
    network = architecture.build("duet", OPTIONS.network, 0, 40)
    trainee = Trainee(network, 3, 2)
    features = torch.randn(5, 40, 98, generator=torch.Generator().manual_seed(0))
    target, speaker = torch.tensor([0, 0, 1, -1, 1]), torch.tensor([0, 1, 1, 0, -1])
    unknown = trainee.words[2].clone()
    trainee.place(target, speaker, lambda rows: features[rows])
    assert trainee.training
    network.eval()
    word, voice = network.both(features)  # type: ignore[operator]
    wanted = fn.normalize(torch.stack([word[:2].sum(0), word[[2, 4]].sum(0)]), dim=1)
    torch.testing.assert_close(trainee.words[:2], wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(trainee.words[2], unknown)  # a word without clips
    wanted = fn.normalize(torch.stack([voice[0], voice[1:3].sum(0)]), dim=1)
    torch.testing.assert_close(trainee.voices, wanted, atol=1e-5, rtol=1e-5)


def test_training_that_goes_on_from_an_encoder_does_not_pull_it_apart(
    store: ClipStore, tmp_path: Path
) -> None:
    """With random directions the first epoch begins at the loss of a network that tells nothing apart."""
    first = train(store, tmp_path / "a.safetensors", OPTIONS)
    start = bundle.load(first.bundle)
    more = dataclasses.replace(OPTIONS, epochs=1, learning_rate=1e-5, warmup_epochs=0.0)
    on = train(store, tmp_path / "b.safetensors", more, start=start)
    begun, ended = (
        json.loads(made.log.read_text().splitlines()[line])["loss"] for made, line in ((on, 0), (first, -1))
    )
    assert begun < 1.3 * ended
    assert json.loads(on.log.read_text().splitlines()[0])["val"] == pytest.approx(
        json.loads(first.log.read_text().splitlines()[-1])["val"], abs=0.05
    )
