"""Augmentation of features: exact where it claims to be, bounded where it is not."""

from __future__ import annotations

import pytest
import torch

from kwsctl.features.augmentation import Augmentation, augment, mask_, middle
from kwsctl.features.draws import Draws
from kwsctl.features.logmel import compress, mel_power
from kwsctl.types import FeatureSpec

NOTHING = Augmentation(shift_frames=0, speed=0, warp=0, gain_db=0, noise_share=0, time_masks=0, mel_masks=0)


@pytest.fixture
def power() -> torch.Tensor:
    wave = torch.randn(8, 16_000 + 2 * 1600, generator=torch.Generator().manual_seed(0)) * 0.1
    return mel_power(wave, FeatureSpec())


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_any_variation_it_is_the_middle(power: torch.Tensor) -> None:
    torch.testing.assert_close(augment(power, None, 98, NOTHING, draw()), middle(power, 98))


def test_a_shift_is_that_of_the_audio() -> None:
    wave = torch.randn(1, 16_000 + 2 * 1600, generator=draw(1)) * 0.1
    how = Augmentation(**{**vars(NOTHING), "shift_frames": 10})
    found = augment(mel_power(wave, FeatureSpec()), None, 98, how, draw(2))
    shifts = [
        compress(mel_power(wave[:, 1600 + by * 160 : 1600 + by * 160 + 16_000], FeatureSpec()))
        for by in range(-10, 11)
    ]
    assert sum(torch.allclose(found, shifted, atol=1e-4) for shifted in shifts) == 1


def test_gain_is_a_factor_of_the_power(power: torch.Tensor) -> None:
    how = Augmentation(**{**vars(NOTHING), "gain_db": 6.0})
    change = augment(power, None, 98, how, draw()) - middle(power, 98)
    per_clip = change.flatten(1)
    assert float(per_clip.std(1).max()) < 1e-3  # the same everywhere in a clip
    assert float(per_clip.abs().max()) <= 6.0 / 10 * torch.log(torch.tensor(10.0)) + 1e-4
    assert float(per_clip.mean(1).std()) > 0.1  # and different from clip to clip


def test_noise_has_the_ratio_that_was_asked_for(power: torch.Tensor) -> None:
    noise = mel_power(torch.randn(8, 16_000, generator=draw(3)), FeatureSpec())
    how = Augmentation(**{**vars(NOTHING), "noise_share": 1.0, "snr_db": (10.0, 10.0)})
    mixed = augment(power.clone(), lambda count: noise[:count], 98, how, draw()).exp().sum((1, 2))
    clean = middle(power, 98).exp().sum((1, 2))
    ratio_db = 10 * torch.log10(clean / (mixed - clean))
    assert float((ratio_db - 10).abs().max()) < 0.5  # steady noise as speech: loud half = all of it, nearly


def test_only_the_share_of_clips_gets_noise() -> None:
    power = mel_power(torch.randn(400, 4000, generator=draw(4)) * 0.1, FeatureSpec())
    how = Augmentation(**{**vars(NOTHING), "noise_share": 0.25})
    found = augment(power.clone(), lambda count: power[:count].flip(2) + 1, power.shape[2], how, draw())
    changed = (found - compress(power)).abs().flatten(1).amax(1) > 1e-3
    assert float(changed.float().mean()) == pytest.approx(0.25, abs=0.07)


def test_masks_stay_within_their_size(power: torch.Tensor) -> None:
    features = middle(power, 98)
    how = Augmentation(**{**vars(NOTHING), "time_masks": 1, "time_mask_frames": 20})
    masked = (mask_(features.clone(), how, Draws([draw()], [len(features)])) - features).abs() > 1e-4
    blank_frames = masked.all(1)
    assert int(blank_frames.sum(1).max()) <= 20
    assert torch.equal(masked.any(1), blank_frames)  # whole frames or nothing
    assert blank_frames.any()


def test_speed_and_voice_keep_shape_and_level(power: torch.Tensor) -> None:
    how = Augmentation(**{**vars(NOTHING), "speed": 0.2, "warp": 0.1, "shift_frames": 5})
    found = augment(power, None, 98, how, draw())
    assert found.shape == (8, 40, 98)
    assert torch.isfinite(found).all()
    assert float((found.mean() - middle(power, 98).mean()).abs()) < 0.3


def test_the_same_generator_gives_the_same(power: torch.Tensor) -> None:
    first, again, other = (
        augment(power, lambda count: power[:count, :, :98], 98, Augmentation(), draw(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
