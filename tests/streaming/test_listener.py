"""Streams are heard the same however they are cut into pieces, and as whole clips are."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.audio import files
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.evaluation import detection
from kwsctl.evaluation.streams import Trigger
from kwsctl.features.logmel import logmel
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.streaming.ear import Ear
from kwsctl.streaming.gate import Gate
from kwsctl.streaming.listen import listen
from kwsctl.streaming.listener import Listener, Voice
from kwsctl.streaming.sources import Source, sources
from kwsctl.streaming.torch_engine import TorchEngine
from tests import toy_people
from tests.toy_people import RATE_HZ, WORDS

SAID = [(WORDS[0], 0), (WORDS[3], 1), (WORDS[1], 2), (WORDS[0], 3), (WORDS[4], 0), (WORDS[2], 1)]
THRESHOLD = 0.9  # the toy model has never heard a pause


@functools.cache
def stream() -> np.ndarray:
    """Words with pauses of several seconds between them."""
    draw = np.random.default_rng(0)
    parts = []
    for word, speaker in SAID:
        parts += [0.005 * draw.normal(size=3 * RATE_HZ), toy_people.say(word, speaker, 50)]
    return np.concatenate([*parts, 0.005 * draw.normal(size=3 * RATE_HZ)]).astype(np.float32)


def heard_in_pieces(bundle: Bundle, cuts: list[int]) -> list[tuple[float, str, float]]:
    listener = Listener(TorchEngine(bundle), trigger=Trigger(0.3, 1.0), threshold=THRESHOLD)
    pieces = np.split(stream(), sorted(cuts))
    return [(e.time_s, e.keyword, e.score) for piece in pieces for e in listener.push(piece)]


@functools.cache
def whole() -> list[tuple[float, str, float]]:
    return heard_in_pieces(toy_people.keyword_model(), [])


def test_keywords_are_heard_where_they_are_said_and_other_words_are_not() -> None:
    said = {word: [4 * n + 3.5 for n, (w, _) in enumerate(SAID) if w == word] for word in WORDS[:3]}
    assert len(whole()) >= 3
    for time_s, keyword, _ in whole():
        assert any(middle_s - 0.5 < time_s < middle_s + 1.2 for middle_s in said[keyword])


@pytest.mark.parametrize("piece_s", [0.01, 1.0])
def test_pieces_of_any_length_give_the_same_events_to_the_last_bit(piece_s: float) -> None:
    size = round(piece_s * RATE_HZ)
    assert heard_in_pieces(toy_people.keyword_model(), list(range(size, len(stream()), size))) == whole()


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(0, 28 * RATE_HZ), max_size=40))
def test_pieces_cut_anywhere_give_the_same_events(cuts: list[int]) -> None:
    assert heard_in_pieces(toy_people.keyword_model(), cuts) == whole()


def test_a_file_and_raw_pcm_on_stdin_give_the_same_events(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    files.write(path, stream(), RATE_HZ)
    raw = np.rint(stream() * 32768).clip(-32768, 32767).astype("<i2").tobytes()
    found = []
    for where in (str(path), "-"):
        listener = Listener(
            TorchEngine(toy_people.keyword_model()), trigger=Trigger(0.3, 1.0), threshold=THRESHOLD
        )
        given = sources(where, RATE_HZ, io.BytesIO(raw))
        found.append([event.detection for event in listen(listener, given)])
    assert found[0] == found[1]
    assert len(found[0]) >= 3


def test_a_word_at_the_very_end_is_heard_and_not_later_than_the_end() -> None:
    time_s, keyword, _ = whole()[0]
    end_s = time_s + 0.3  # the network still waits for what comes after the word
    listener = Listener(TorchEngine(toy_people.keyword_model()), trigger=Trigger(0.3, 1.0), threshold=0.8)
    assert not listener.push(stream()[: round(end_s * RATE_HZ)])
    (event,) = listener.finish()
    assert event.keyword == keyword
    assert end_s - 1.0 < event.time_s <= end_s
    assert listener.samples == round(end_s * RATE_HZ)


def test_scores_are_those_of_the_windows_where_words_have_silence_around_them() -> None:
    bundle = toy_people.encoder()
    ear = Ear(TorchEngine(bundle), gated=False)
    pooled = np.concatenate([heard.embeddings for heard in ear.push(stream())])
    features = logmel(torch.from_numpy(stream())[None], bundle.features)
    windows = features.unfold(2, bundle.n_frames, ear.stride)[0].transpose(0, 1)
    with torch.inference_mode():
        whole_windows = ear.engine.network.embed(windows.contiguous()).numpy()
        streamed = ear.engine.network.pooled(torch.from_numpy(pooled)).numpy()
    cosines = (whole_windows[: len(streamed)] * streamed).sum(1)
    assert len(streamed) > len(whole_windows) - 15  # the last ones wait for what comes after them
    assert np.median(cosines) > 0.95


def test_the_gate_skips_pauses_and_changes_no_score_that_it_lets_pass() -> None:
    bundle = toy_people.keyword_model()
    always, gated = Ear(TorchEngine(bundle), gated=False), Ear(TorchEngine(bundle))
    every = np.concatenate([h.logits for h in always.push(stream())])
    parts = gated.push(stream())
    some = np.concatenate([h.logits for h in parts])
    awake = np.concatenate([h.awake for h in parts])
    assert some.shape == every.shape
    assert (~awake).mean() > 0.1
    np.testing.assert_allclose(some[awake], every[awake], atol=2e-3)
    assert [h.first for h in parts] == list(np.cumsum([0, *(len(h.logits) for h in parts)])[:-1])


def test_steady_noise_closes_the_gate_and_a_word_as_loud_as_it_opens_it() -> None:
    draw = np.random.default_rng(1)
    noise = 0.05 * draw.normal(size=12 * RATE_HZ)
    word = toy_people.say(WORDS[0], 0, 3)
    noise[8 * RATE_HZ : 9 * RATE_HZ] += word * 0.05 / word.std()
    features = logmel(torch.from_numpy(noise.astype(np.float32))[None], toy_people.SPEC)[0].numpy()
    gate = Gate(0.01)
    opened = [gate.push(features[:, at : at + 16]) for at in range(0, features.shape[1] - 15, 16)]
    assert sum(opened[10:49]) <= 2
    assert any(opened[50:57])


def test_memory_stays_the_same_over_a_long_stream_and_times_do_not_drift() -> None:
    ear = Ear(TorchEngine(toy_people.keyword_model()))
    sizes = []
    for _ in range(5):
        found = ear.push(stream())
        sizes.append(sum(part.size for part in ear._power) + len(ear._pending))
    assert max(sizes[1:]) - min(sizes[1:]) <= 3 * 40 * 16
    last = found[-1]
    end_s = ear.end_s(last.first + len(last.logits) - 1)
    assert ear.samples / RATE_HZ - 2.5 < end_s <= ear.samples / RATE_HZ


def test_a_keyword_of_one_person_needs_their_voice() -> None:
    base = toy_people.encoder()
    mine = toy_people.features(toy_people.crowd(WORDS[:1], [0], 3, first_take=80))
    network = base.model()
    with torch.no_grad():
        word, voice = network.both(mine)
    row = torch.nn.functional.normalize(word.mean(0), dim=0)
    weights = {**base.weights, "head.weight": 12 * row[None], "head.bias": torch.tensor([-16.0])}
    bundle = Bundle(
        base.arch, base.config, base.features, ("w",), "wake", 1.0, weights, {"w": 0.5}, base.lineage
    )
    template = torch.nn.functional.normalize(voice.mean(0), dim=0)
    check = Voice(template.numpy(), ("w",), VOICE_WEIGHT, VOICE_OFFSET)
    ours, others = ((WORDS[0], 0), (WORDS[0], 2))
    scores = []
    for word_of, speaker in (ours, others):
        quiet = 0.005 * np.random.default_rng(2).normal(size=3 * RATE_HZ)
        wave = np.concatenate([quiet, toy_people.say(word_of, speaker, 60), quiet]).astype(np.float32)
        listener = Listener(TorchEngine(bundle), voice=check, threshold=0.999, gated=False)
        levels = []
        for _ in listener.scores(wave):
            levels.append(listener.level)
        scores.append(max(levels))
    odds = [score / (1 - score) for score in scores]
    assert odds[0] > 10 * odds[1]


def test_events_of_a_stream_are_those_of_the_measurement() -> None:
    draw = np.random.default_rng(3)
    values, times_s = draw.random((400, 2)), 0.08 * np.arange(400)
    expected = detection.events(values, times_s, threshold=0.7, smoothing=4, refractory_s=2.0)
    firing = detection.Firing(0.7, smoothing=4, refractory_s=2.0)
    found = []
    for part in np.array_split(np.arange(400), 23):
        found += firing.push(values[part], times_s[part])
    assert expected
    assert [(e.time_s, e.keyword) for e in found] == [(e.time_s, e.keyword) for e in expected]


def test_a_model_without_thresholds_says_what_to_do() -> None:
    with pytest.raises(InputError, match="--threshold"):
        Listener(TorchEngine(toy_people.encoder()))


def test_half_a_sample_at_the_end_of_stdin_is_dropped() -> None:
    (source,) = sources("-", RATE_HZ, io.BytesIO(b"\x00\x40" * 5 + b"\x01"))
    assert isinstance(source, Source)
    np.testing.assert_array_equal(np.concatenate(list(source.pieces)), np.full(5, 0.5, np.float32))
