"""Two embeddings of one trunk: of length one, and of words more than of the silence around."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from kwsctl import architecture
from kwsctl.features.logmel import logmel
from kwsctl.models.duet import Duet
from tests.toy_people import NEW_WORDS, PEOPLE, SPEC, crowd, encoder, features, joined, say


def fresh(n_labels: int = 0, **config: object) -> Duet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return architecture.build("duet", config, n_labels, SPEC.mel_bins).eval()


@pytest.fixture(scope="module")
def heard() -> Tensor:
    return features(crowd(NEW_WORDS, PEOPLE[:3], 1))


def test_both_embeddings_have_length_one(heard: Tensor) -> None:
    network = fresh(embedding=24, speaker=10)
    word, voice = network.both(heard)
    assert (
        (word.shape, voice.shape)
        == ((9, 24), (9, 10))
        == ((9, network.embedding_size), (9, network.speaker_size))
    )
    torch.testing.assert_close(word.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(voice.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(network.embed(heard).norm(dim=1), torch.ones(9))


def test_both_gives_what_each_alone_gives(heard: Tensor) -> None:
    network = fresh()
    word, voice = network.both(heard)
    assert torch.equal(network.speaker(heard), voice)
    assert torch.equal(network.embed(heard), word)


def test_a_network_without_labels_is_made_without_a_warning_and_runs(heard: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = fresh(0)
    assert network(heard).shape == (9, 0)
    assert network.head.out_features == 0
    assert architecture.count_macs(network, 98) == architecture.count_macs(fresh(2), 98) - 2 * 96
    assert fresh(2)(heard).shape == (9, 2)


def test_equal_seeds_give_equal_trunks_with_and_without_labels() -> None:
    without, with_one = fresh(0).state_dict(), fresh(1).state_dict()
    assert all(torch.equal(without[name], with_one[name]) for name in without if not name.startswith("head."))


def test_silence_around_a_word_matters_less_than_the_word() -> None:
    network = encoder().model()
    short, long = say(NEW_WORDS[0], 20), say(NEW_WORDS[0], 20, seconds=2.0)
    other = features(joined(*(crowd((w,), (20,), 1) for w in NEW_WORDS[1:])))
    with torch.no_grad():
        word = network.embed(_of(short))
        padded = network.embed(_of(long))
        others = network.embed(other)
    assert float((word @ padded.T).min()) > 0.85
    assert float((word @ padded.T).min()) > float((word @ others.T).max()) + 0.1


def test_voices_and_words_are_told_apart_by_different_embeddings() -> None:
    store = crowd(NEW_WORDS, PEOPLE[:4], 3)
    with torch.no_grad():
        word, voice = encoder().model().both(features(store))
    said = [clip.label for clip in store.clips]
    who = [clip.speaker for clip in store.clips]
    for embedding, of, least in ((word, said, 0.95), (voice, who, 0.6)):
        same = np.array([[a == b for b in of] for a in of])
        pairs = np.triu_indices(len(of), 1)
        area = roc_auc_score(same[pairs], (embedding @ embedding.T).numpy()[pairs])
        assert area > least


def _of(samples: object) -> Tensor:
    return logmel(torch.as_tensor(samples)[None], SPEC)
