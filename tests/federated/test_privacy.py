"""Clipping, noise and the count of epsilon, against values that are known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import optimize, stats

from kwsctl.bundle import Delta
from kwsctl.errors import InputError
from kwsctl.federated import accountant, privacy
from kwsctl.federated.privacy import Privacy


def delta(*values: float) -> Delta:
    return Delta("base", {"w": torch.tensor(values)}, (), 1, {"client": "a"})


def exact_epsilon(mu: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of sensitivity mu (Balle & Wang 2018, arXiv 1805.06530, theorem 8)."""

    def failure(epsilon: float) -> float:
        a, b = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
        return float(stats.norm.cdf(a) - math.exp(epsilon) * stats.norm.cdf(b)) - delta

    return float(optimize.brentq(failure, 1e-6, 200))


def test_replacing_one_of_a_fixed_number_moves_the_sum_by_twice_the_clip() -> None:
    """z = 4, 50 rounds, delta = 1e-3: 16.46, where passing z instead of z / 2 would say 7.18."""
    exact = exact_epsilon(math.sqrt(50) * 2 / 4, 1e-3)
    assert exact == pytest.approx(16.46, abs=0.01)
    tight = accountant.epsilon(4.0, 1.0, 50, 1e-3, "fixed")
    assert tight == pytest.approx(exact, rel=2e-3)
    quick = accountant.epsilon(4.0, 1.0, 50, 1e-3, "fixed", tight=False)
    assert exact < quick < 1.15 * exact
    assert accountant.epsilon(4.0, 0.999, 50, 1e-3, "fixed") > 0.9 * exact  # nearly all are nearly as exposed


def test_poisson_sampling_of_everybody_is_the_plain_gaussian() -> None:
    exact = exact_epsilon(math.sqrt(50) / 4, 1e-3)
    assert accountant.epsilon(4.0, 1.0, 50, 1e-3) == pytest.approx(exact, rel=2e-3)
    assert accountant.epsilon(4.0, 1.0, 50, 1e-3, tight=False) > exact


def test_poisson_sampling_against_the_measured_value() -> None:
    tight = accountant.epsilon(1.0, 0.1, 100, 1e-4)
    assert tight == pytest.approx(5.966, abs=0.005)
    assert accountant.epsilon(1.0, 0.1, 100, 1e-4, tight=False) == pytest.approx(6.822, abs=0.005)


def test_no_rounds_cost_nothing_and_no_noise_everything() -> None:
    assert accountant.epsilon(1.0, 0.1, 0, 1e-4) == 0
    assert accountant.epsilon(0.0, 0.1, 1, 1e-4) == math.inf
    with pytest.raises(InputError, match="must be probabilities"):
        accountant.epsilon(1.0, 0.1, 1, 0.0)


def test_how_many_rounds_fit_into_a_budget() -> None:
    fit = accountant.rounds_within(2.0, 0.2, 200, 1e-3, "poisson", 3.0)
    assert 0 < fit < 200
    assert accountant.epsilon(2.0, 0.2, fit, 1e-3, tight=False) <= 3.0
    assert accountant.epsilon(2.0, 0.2, fit + 1, 1e-3, tight=False) > 3.0


def test_clipping_scales_what_is_too_long_and_leaves_the_rest() -> None:
    long, was_short = privacy.clipped(delta(3.0, 4.0), 1.0)
    torch.testing.assert_close(long.changes["w"], torch.tensor([0.6, 0.8]))
    short, is_short = privacy.clipped(delta(0.3, 0.4), 1.0)
    assert not was_short and is_short and torch.equal(short.changes["w"], torch.tensor([0.3, 0.4]))


def test_local_noise_of_all_clients_adds_up_to_the_central_one() -> None:
    how = Privacy(noise=2.0, clip=0.5)
    std = privacy.local_std(how, 0.5, 16)
    assert std == pytest.approx(2.0 * 0.5 / 4)
    zero = Delta("base", {"w": torch.zeros(5000)}, (), 1, {"client": "a"})
    total = torch.zeros(5000)
    for k in range(16):
        total += privacy.with_noise(zero, std, torch.Generator().manual_seed(k)).changes["w"]
    assert float(total.std()) == pytest.approx(1.0, rel=0.05)


def test_the_private_mean_divides_by_a_constant_and_adds_noise_once() -> None:
    changes = [Delta("base", {"w": torch.ones(20_000)}, (), 1, {"client": str(k)}) for k in range(3)]
    draw = torch.Generator().manual_seed(0)
    plain = privacy.private_mean(changes, 1.0, 2.0, 6.0, draw, add=False)
    torch.testing.assert_close(plain, torch.full((20_000,), 0.5))
    noisy = privacy.private_mean(changes, 1.0, 2.0, 6.0, draw, add=True)
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(noisy.std()) == pytest.approx(2.0 / 6.0, rel=0.03)


def test_the_adaptive_clip_finds_the_quantile() -> None:
    how = Privacy(clip=0.01, adaptive=True, quantile=0.8)
    lengths = torch.linspace(0.5, 2.0, 50).tolist()
    clip, draw = 0.01, torch.Generator().manual_seed(0)
    for _ in range(200):
        clip = privacy.moved_clip(clip, [length <= clip for length in lengths], how, 50, draw)
    assert clip == pytest.approx(0.5 + 0.8 * 1.5, abs=0.1)


def test_what_the_adaptive_clip_learns_is_paid_for_with_more_noise() -> None:
    how = Privacy(noise=1.0, clip=1.0, adaptive=True)
    more = privacy.sum_noise(how, 100)
    # Sum and count together are worth z: 1 / z**2 = 1 / z_sum**2 + 1 / (2 b)**2.
    assert more > 1
    assert more**-2 + (2 * privacy.count_noise(100)) ** -2 == pytest.approx(1.0)
    with pytest.raises(InputError, match="the adaptive clip alone spends more"):
        privacy.sum_noise(Privacy(noise=4.0, clip=1.0, adaptive=True), 20)


def test_what_means_nothing_is_said() -> None:
    weak = privacy.guidance(66_552, 24, 24, 1.0, 87.0)
    assert weak is not None and "protects hardly anybody" in weak and "--part head" in weak
    drowned = privacy.guidance(66_552, 24, 24, 5.0, 9.4)
    assert drowned is not None and "53.7 times as long" in drowned and "ask 2,580 clients" in drowned
    assert privacy.guidance(320, 1000, 200, 1.0, 2.0) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"noise": 1.0}, "Noise without a clip hides nobody"),
        ({"noise": -1.0}, "cannot be negative"),
        ({"adaptive": True}, "needs a first value"),
        ({"delta": 1.5}, "no probability"),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Privacy(**wrong)  # type: ignore[arg-type]
