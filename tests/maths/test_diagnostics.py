"""Diagnostics against closed forms and bounds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from replicate.maths.diagnostics import (
    clip_fraction,
    effective_sample_size,
    explained_variance,
    kl_k1,
    kl_k3,
    ratio_diagnostics,
    squared_norm,
)
from replicate.maths.distributions import DiagonalGaussian
from tests.handmade import PROPERTY, normal

LOG_RATIOS = st.lists(st.floats(-20, 20), min_size=1, max_size=12)


def row(*numbers: float) -> torch.Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


def test_estimators_of_kl_by_hand() -> None:
    log_ratio = row(math.log(2), math.log(0.5))
    assert kl_k1(row(0.3, -0.1)).item() == pytest.approx(-0.1)
    assert kl_k3(log_ratio).item() == pytest.approx((1 + -0.5) / 2)


def test_estimators_of_kl_are_unbiased() -> None:
    """Against the analytic KL of two Gaussians, within five standard errors."""
    draws = 40_000
    old = DiagonalGaussian(torch.zeros(1, draws, 2).double(), torch.zeros(1, 1, 2).double())
    new = DiagonalGaussian(old.mean + 0.2, old.log_std + 0.1)
    actions = old.sample(normal(1, draws, 2, seed=0))
    log_ratio = new.log_prob(actions) - old.log_prob(actions)
    exact = old.kl(new)[0, 0]
    k3_draws = torch.expm1(log_ratio) - log_ratio
    for kl, each in ((kl_k1(log_ratio), log_ratio), (kl_k3(log_ratio), k3_draws)):
        assert (kl.item() - exact).abs() < 5 * each.std() / math.sqrt(draws)


@PROPERTY
@given(LOG_RATIOS)
def test_k3_is_never_negative_and_k1_may_be(log_ratios: list[float]) -> None:
    assert kl_k3(row(*log_ratios)).item() >= 0
    assert kl_k1(row(*log_ratios)).item() == pytest.approx(-sum(log_ratios) / len(log_ratios))


@PROPERTY
@given(log_ratios=LOG_RATIOS, scale=st.floats(1e-3, 1e3))
def test_effective_sample_size_is_a_share(log_ratios: list[float], scale: float) -> None:
    ratio = row(*log_ratios).exp()
    size = effective_sample_size(ratio).item()
    assert 1 / len(log_ratios) - 1e-9 <= size <= 1 + 1e-9
    numbers = [math.exp(x) for x in log_ratios]
    squares = math.fsum(x * x for x in numbers)
    assert size == pytest.approx(math.fsum(numbers) ** 2 / squares / len(numbers))
    assert effective_sample_size(scale * ratio).item() == pytest.approx(size)


def test_effective_sample_size_at_its_ends() -> None:
    assert effective_sample_size(torch.full((1, 5), 0.3)).item() == pytest.approx(1.0)
    one_of_four = torch.tensor([[1e30, 1e-3, 1.0, 0.0]])
    assert effective_sample_size(one_of_four).item() == pytest.approx(0.25)


def test_clip_fraction_of_each_lane() -> None:
    ratio = torch.tensor([[1.0, 1.15, 0.7, 1.5], [1.0, 1.15, 0.7, 1.5]])
    fractions = clip_fraction(ratio, torch.tensor([0.2, 0.1]))
    assert fractions.tolist() == [0.5, 0.75]


def test_clip_fraction_does_not_count_the_border() -> None:
    assert clip_fraction(torch.tensor([[1.25, 0.75]]), torch.tensor([0.25])).item() == 0


def test_explained_variance() -> None:
    targets = row(1.0, 2.0, 3.0, 4.0)
    mean = torch.full_like(targets, 2.5)
    assert explained_variance(targets, targets).item() == pytest.approx(1.0)
    assert explained_variance(targets + 7, targets).item() == pytest.approx(1.0)
    assert explained_variance(mean, targets).item() == pytest.approx(0.0)
    assert explained_variance(-targets, targets).item() == pytest.approx(-3.0)
    assert explained_variance(targets, mean).isnan().all()


def test_ratio_diagnostics_are_those_of_the_ratios() -> None:
    log_ratio = normal(3, 20, seed=0)
    epsilon = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64)
    ratio = log_ratio.exp()
    expected = {
        "clip_fraction": torch.tensor(
            [
                sum(abs(x - 1) > e for x in r) / 20
                for r, e in zip(ratio.tolist(), epsilon.tolist(), strict=True)
            ]
        ).double(),
        "ratio_deviation_99": torch.tensor(
            [sorted(abs(x - 1) for x in r)[math.ceil(0.99 * (len(r) - 1))] for r in ratio.tolist()]
        ).double(),
        "ratio_max": torch.tensor([max(r) for r in ratio.tolist()]).double(),
        "ratio_mean_abs_deviation": (ratio - 1).abs().sum(1) / 20,
        "effective_sample_size": ratio.sum(1) ** 2 / (ratio**2).sum(1) / 20,
    }
    diagnostics = ratio_diagnostics(log_ratio, epsilon)
    assert diagnostics.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(diagnostics[name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_squared_norm() -> None:
    assert squared_norm(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist() == [25.0, 4.0]
