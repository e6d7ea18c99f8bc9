from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from kwsctl.errors import InputError
from kwsctl.features.logmel import POWER_FLOOR, compress, logmel, mel_power
from kwsctl.types import FeatureSpec

SPECS = {
    "default": FeatureSpec(),
    "ms_25": FeatureSpec(window_ms=25, mel_bins=32),
    "no_overlap": FeatureSpec(window_ms=20, hop_ms=20, mel_bins=24),
    "8_khz": FeatureSpec(sample_rate_hz=8_000, mel_bins=30, f_max_hz=3_800),
    "uneven": FeatureSpec(window_ms=30.125, hop_ms=10.1875, mel_bins=20, f_min_hz=60),
}


def waves(n_clips: int = 3, n_samples: int = 16_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(n_samples) / 16_000
    tones = torch.sin(2 * torch.pi * 300 * time * (1 + time))
    return 0.3 * tones + 0.05 * torch.randn(n_clips, n_samples, generator=generator)


@pytest.mark.parametrize("name", SPECS)
def test_mel_power_equals_librosa(name: str):
    spec = SPECS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own dependencies warn
        import librosa

        expected = librosa.feature.melspectrogram(
            y=waves().numpy(),
            sr=spec.sample_rate_hz,
            n_fft=spec.window_samples,
            hop_length=spec.hop_samples,
            window="hann",
            center=False,
            power=2.0,
            n_mels=spec.mel_bins,
            fmin=spec.f_min_hz,
            fmax=spec.f_max_hz,
            htk=True,
            norm=None,
        )
    got = mel_power(waves(), spec)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", SPECS)
def test_mel_power_equals_the_definition(name: str):
    spec = SPECS[name]
    clip = waves(1)[0].double().numpy()
    edges_mel = np.linspace(
        *(2595 * np.log10(1 + np.array([spec.f_min_hz, spec.f_max_hz]) / 700)), spec.mel_bins + 2
    )
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.arange(spec.window_samples // 2 + 1) * spec.sample_rate_hz / spec.window_samples
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.window_samples) / spec.window_samples)
    frame = 5
    power = np.abs(np.fft.rfft(window * clip[frame * spec.hop_samples :][: spec.window_samples])) ** 2
    expected = [
        np.interp(bins_hz, [low, middle, high], [0, 1, 0]) @ power
        for low, middle, high in zip(edges_hz, edges_hz[1:], edges_hz[2:], strict=False)
    ]
    np.testing.assert_allclose(mel_power(waves(1), spec)[0, :, frame].numpy(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("n_samples", [0, 1, 479, 480, 481, 639, 640, 16_000, 16_159])
def test_there_are_as_many_frames_as_the_spec_says(name: str, n_samples: int):
    spec = SPECS[name]
    features = logmel(waves(2, n_samples), spec)
    assert features.shape == (2, spec.mel_bins, spec.frames(n_samples / spec.sample_rate_hz))


def test_many_clips_and_long_clips_are_worked_off_in_parts_with_the_same_numbers():
    spec = FeatureSpec()
    many, long = waves(37, 8_000), waves(1, 400_000)
    one_by_one = torch.cat([logmel(clip[None], spec) for clip in many])
    np.testing.assert_allclose(logmel(many, spec).numpy(), one_by_one.numpy(), atol=1e-5)
    alone = logmel(long[0].unfold(0, 480, 160).contiguous(), spec)  # each frame a clip of its own
    np.testing.assert_allclose(logmel(long, spec)[0].numpy(), alone[:, :, 0].T.numpy(), atol=1e-5)


def test_silence_is_finite_and_the_lowest_value():
    features = logmel(torch.zeros(1, 16_000), FeatureSpec())
    assert torch.equal(features, torch.full_like(features, float(np.float32(np.log(POWER_FLOOR)))))
    assert logmel(waves(), FeatureSpec()).min() > features.max()


def test_no_batch_is_an_empty_batch():
    assert logmel(torch.zeros(0, 16_000), FeatureSpec()).shape == (0, 40, 98)


def test_compress_leaves_its_input_alone_and_grows_with_power():
    power = torch.tensor([[[0.0, 1.0, 10.0]]])
    compressed = compress(power)
    assert power.tolist() == [[[0.0, 1.0, 10.0]]]
    np.testing.assert_allclose(
        compressed.numpy(), np.log(np.array([[[0, 1, 10]]]) + 1e-6), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(
    "bad", [torch.zeros(16_000), torch.zeros(1, 1, 16_000), torch.zeros(1, 16_000, dtype=torch.int16)]
)
def test_waves_of_another_kind_are_refused(bad: torch.Tensor):
    with pytest.raises(InputError, match=r"floating-point waves of shape \[B, S\]") as caught:
        mel_power(bad, FeatureSpec())
    assert "32768" in caught.value.hint


def test_bands_without_a_bin_are_refused_by_count():
    with pytest.raises(InputError, match="1 of 128 mel bands hold no bin of a 30 ms window"):
        mel_power(waves(), FeatureSpec(mel_bins=128))


def test_a_window_of_an_odd_number_of_samples_is_refused_with_the_next_even_one():
    with pytest.raises(InputError, match="481 samples, an odd number") as caught:
        mel_power(waves(), FeatureSpec(window_ms=30.0625))
    assert caught.value.hint == "Use window_ms = 30.125."


def test_half_precision_waves_and_autocast_do_not_lower_the_precision():
    spec = FeatureSpec()
    expected = mel_power(waves(), spec)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mel_power(waves(), spec), expected)
    assert mel_power(waves().double(), spec).dtype == torch.float32


def test_features_first_made_in_inference_mode_still_train():
    spec = FeatureSpec(mel_bins=39)
    with torch.inference_mode():
        logmel(waves(), spec)
    layer = torch.nn.Conv1d(39, 2, 1)
    layer(logmel(waves(), spec)).sum().backward()
    assert layer.weight.grad is not None
    assert not logmel(waves().requires_grad_(), spec).requires_grad
