from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kwsctl import architecture
from kwsctl.bundle import Bundle
from kwsctl.errors import BundleError, InputError
from kwsctl.evaluation import scoring
from kwsctl.features.logmel import logmel
from kwsctl.types import BACKGROUND, SILENCE, UNKNOWN

from .tones import RATE_HZ, SPEC, quiet, store_of, tone, tone_bundle

WORDS = ("low", "high")


@pytest.fixture(scope="module")
def network() -> Bundle:
    """A real architecture with random weights: every window gets other scores."""
    torch.manual_seed(0)
    model = architecture.build("tcresnet", {}, 3, SPEC.mel_bins)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights["head.weight"] *= 4
    return Bundle("tcresnet", {}, SPEC, (*WORDS, UNKNOWN), "keywords", 1.0, weights)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level jumps every 50 ms, so that windows differ."""
    draws = np.random.default_rng(seed)
    levels = np.repeat(draws.uniform(0, 1, 200) ** 4, RATE_HZ // 20)[: round(seconds * RATE_HZ)]
    return (levels * draws.uniform(-20_000, 20_000, len(levels))).astype(np.int16)


def slow_scores(bundle: Bundle, wave: np.ndarray, hop: int = 1600) -> np.ndarray:
    """Cuts out each window and gives it to the network alone."""
    size, model, rows = round(bundle.clip_s * RATE_HZ), bundle.model(), []
    for start in range(0, len(wave) - size + 1, hop):
        part = torch.from_numpy(wave[start : start + size].astype(np.float32) / 32768)[None]
        with torch.inference_mode():
            rows.append(bundle.probabilities(model(logmel(part, bundle.features)))[0].numpy())
    return np.stack(rows)


def test_a_stream_scores_what_each_window_scores_alone(network: Bundle) -> None:
    wave = noise(4.37)
    found = scoring.score_stream(network, wave, batch_size=7)
    assert found.values == pytest.approx(slow_scores(network, wave), abs=2e-5)
    assert found.values.std(axis=0).min() > 1e-3  # else any order of windows would do
    assert found.times_s == pytest.approx(1.0 + 0.1 * np.arange(34))
    assert (found.hop_s, found.seconds) == (0.1, pytest.approx(4.37))


@pytest.mark.parametrize("sizes", [[1], [100, 7], [16_000], [50_000, 3, 1600]])
def test_a_stream_in_pieces_scores_the_same(network: Bundle, sizes: list[int]) -> None:
    wave, pieces, start = noise(2.2), [], 0
    while start < len(wave):
        size = sizes[len(pieces) % len(sizes)] if len(pieces) < 30 else len(wave)
        pieces.append(wave[start : start + size])
        start += size
    found = scoring.score_blocks(network, pieces)
    whole = scoring.score_stream(network, wave)
    assert found.values == pytest.approx(whole.values, abs=1e-5)
    assert found.times_s.tolist() == whole.times_s.tolist() and found.seconds == whole.seconds


def test_float_and_int16_audio_score_the_same(network: Bundle) -> None:
    wave = noise(1.5)
    found = scoring.score_stream(network, wave.astype(np.float32) / 32768)
    assert found.values == pytest.approx(scoring.score_stream(network, wave).values, abs=1e-6)


def test_audio_shorter_than_a_window_gets_silence_before_it(network: Bundle) -> None:
    wave = noise(0.4)
    found = scoring.score_stream(network, wave)
    assert found.values == pytest.approx(slow_scores(network, np.concatenate([quiet(0.6), wave])), abs=2e-5)
    assert found.times_s.tolist() == [0.4] and found.seconds == pytest.approx(0.4)


def test_no_audio_is_an_error(network: Bundle) -> None:
    with pytest.raises(InputError, match="no audio to score"):
        scoring.score_stream(network, quiet(0.0))


@pytest.mark.parametrize("hop_s", [0.105, 0.004, 0.0, -0.1])
def test_the_hop_must_fit_the_features(network: Bundle, hop_s: float) -> None:
    with pytest.raises(InputError, match="no multiple of the feature hop, 10 ms"):
        scoring.score_stream(network, noise(1.5), hop_s=hop_s)


def test_clips_of_one_window_are_scored_alone_and_in_order(network: Bundle) -> None:
    waves = [noise(1.0, seed) for seed in range(5)]
    store = store_of(*(("low", f"s{index}", wave) for index, wave in enumerate(waves)))
    found = scoring.score_clips(network, store, [4, 0, 3], batch_size=2)
    for row, index in enumerate([4, 0, 3]):
        assert found.values[row] == pytest.approx(slow_scores(network, waves[index])[0], abs=2e-5)
    assert found.clip_ids == [store.clips[index].id for index in (4, 0, 3)]
    assert found.speakers == ["s4", "s0", "s3"] and found.seconds == pytest.approx(3.0)


def test_short_clips_are_centred_in_silence(network: Bundle) -> None:
    wave = noise(0.5)[:-1]  # odd, so that one side gets a sample more
    found = scoring.score_clips(network, store_of(("low", None, wave)), [0])
    centred = np.concatenate([np.zeros(4001, np.int16), wave, np.zeros(4000, np.int16)])
    assert found.values == pytest.approx(slow_scores(network, centred), abs=3e-6)
    beside = slow_scores(network, np.roll(centred, -1))
    assert found.values != pytest.approx(beside, abs=3e-6)  # so fine that a sample shows


def test_the_window_slides_over_long_clips(network: Bundle) -> None:
    wave = noise(1.75)
    found = scoring.score_clips(network, store_of(("low", None, wave)), [0])
    centred = np.concatenate([np.zeros(400, np.int16), wave, np.zeros(400, np.int16)])
    windows = slow_scores(network, centred)
    assert len(windows) == 9
    best = windows[:, :2].max(axis=1).argmax()
    expected = [windows[:, 0].max(), windows[:, 1].max(), windows[best, 2]]
    assert found.values[0] == pytest.approx(expected, abs=2e-5)


def test_a_quiet_beginning_does_not_make_a_keyword_silence() -> None:
    long = np.concatenate([quiet(2.0), tone("high"), quiet(2.0)])
    bundle = tone_bundle((*WORDS, SILENCE))
    found = scoring.score_clips(bundle, store_of(("high", None, long)), [0])
    assert found.values.argmax() == 1
    everywhere = scoring.score_stream(bundle, long).values
    assert everywhere[:, 2].max() > found.values[0, 2] + 0.3


def test_a_wake_word_is_scored_by_a_sigmoid_of_its_own() -> None:
    store = store_of(("low", None, tone("low")), ("high", None, tone("high")))
    found = scoring.score_clips(tone_bundle(("low",), "wake"), store, [0, 1])
    assert found.values[0, 0] > 0.99 and found.values[1, 0] < 0.5
    assert found.target.tolist() == [0, -1]


def test_targets_follow_the_labels_of_the_model() -> None:
    labels = ("low", "high", UNKNOWN)
    asked = ["high", "low", "strange", UNKNOWN, SILENCE, BACKGROUND]
    assert [scoring.target_index(label, labels) for label in asked] == [1, 0, 2, 2, 2, -1]
    assert [scoring.target_index(label, WORDS) for label in asked] == [1, 0, -1, -1, -1, -1]


def test_clips_as_streams_are_clips_between_silence(network: Bundle) -> None:
    waves = [noise(1.0, 1), noise(1.3, 2), noise(0.3, 3)]
    store = store_of(*(("low", None, wave) for wave in waves))
    streams = scoring.score_clips_as_streams(network, store, [2, 0, 1])
    assert [len(stream.values) for stream in streams] == [4, 11, 14]
    for stream, index in zip(streams, [2, 0, 1], strict=True):
        context = quiet(0.5)
        alone = slow_scores(network, np.concatenate([context, waves[index], context]))
        assert stream.values == pytest.approx(alone, abs=2e-5)
        assert stream.times_s[0] == 1.0


def test_progress_ends_at_the_number_of_clips(network: Bundle) -> None:
    calls = []
    store = store_of(*(("low", None, noise(1.0 + 0.1 * index)) for index in range(5)))
    scoring.score_clips(network, store, range(5), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (5, 5) and [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_another_sample_rate_is_refused(network: Bundle) -> None:
    store = replace(store_of(("low", None, noise(1.0))), rate_hz=8000)
    with pytest.raises(InputError, match="at 8000 Hz, the model hears 16000 Hz"):
        scoring.score_clips(network, store, [0])


def test_scores_that_are_not_numbers_are_refused(network: Bundle) -> None:
    broken = [name for name, tensor in network.weights.items() if tensor.is_floating_point()]
    weights = {**network.weights, broken[-1]: torch.full_like(network.weights[broken[-1]], float("nan"))}
    with pytest.raises(BundleError, match="not finite"):
        scoring.score_stream(replace(network, weights=weights), noise(1.0))
