"""Estimates and intervals against hand calculations, SciPy and simulation."""

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.statistics import (
    Estimate,
    bootstrap_intervals,
    bootstrap_over_environments,
    interval,
    mean_estimate,
    mean_of_runs,
    mean_over_environments,
    paired_difference,
    percentile_bounds,
    resampled,
    satterthwaite,
    share,
    weighted_sum,
)
from tests.handmade import PROPERTY


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores_of(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape)


def mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=(-2, -1))


def difference(x: npt.ArrayLike, y: npt.ArrayLike) -> Estimate:
    """Of the means of two independent samples."""
    return weighted_sum([mean_estimate(x, "u"), mean_estimate(y, "u")], [1, -1])


# ------------------------------------------------------------------------------------- estimates


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_t_and_welch_intervals_are_those_of_scipy(size: int, level: float) -> None:
    x, y = scores_of(size, seed=size), 3 * scores_of(7, seed=1) + 2
    expected = stats.ttest_1samp(x, 0).confidence_interval(level)
    ours = interval(mean_estimate(x, "u"), level)
    np.testing.assert_allclose([ours.low, ours.high], expected, rtol=1e-10)
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval(level)
    ours = interval(difference(x, y), level)
    np.testing.assert_allclose([ours.low, ours.high], expected, rtol=1e-10)
    assert ours.estimate == pytest.approx(x.mean() - y.mean())


def test_on_one_environment_a_difference_is_the_paired_t_test() -> None:
    x, y = np.array([3.0, 5.0, 4.0, 8.0]), np.array([1.0, 4.0, 4.0, 5.0])
    estimate = paired_difference(x, y)
    test = stats.ttest_rel(x, y)
    ours = interval(estimate, 0.9)
    assert (ours.low, ours.high) == pytest.approx(tuple(test.confidence_interval(0.9)))
    assert estimate.p_value == pytest.approx(test.pvalue)
    assert (estimate.value, estimate.df, estimate.n, estimate.unit) == (1.5, 3, 4, "u")


def test_over_environments_it_is_satterthwaites_sum() -> None:
    x = scores_of(3, 5) * np.array([[1.0], [2.0], [10.0]])
    estimate = mean_of_runs(x, "u")
    variances = x.var(axis=1, ddof=1) / 5 / 9
    assert estimate.standard_error == pytest.approx(math.sqrt(variances.sum()))
    assert estimate.df == pytest.approx(variances.sum() ** 2 / (variances**2 / 4).sum())
    assert estimate.n == 15 and estimate.value == pytest.approx(x.mean())
    assert estimate == mean_over_environments([mean_estimate(row, "u") for row in x])


def test_pairs_take_out_what_seeds_share() -> None:
    shared = 100 * scores_of(2, 5)
    x, y = shared + scores_of(2, 5, seed=1), shared + scores_of(2, 5, seed=2)
    assert paired_difference(x, y).standard_error < 2 < mean_of_runs(x, "u").standard_error


def test_one_sided_p_values_agree_with_the_bounds() -> None:
    estimate = mean_estimate([0.1, 0.5, 0.4, 0.9], "u")
    for null in (-0.2, 0.1):
        p_above, p_below = estimate.p_above(null), estimate.p_below(null)
        assert estimate.bounds(1 - p_above)[0] == pytest.approx(null)
        assert p_below == 1
    assert estimate.bounds(1 - estimate.p_below(2.0))[1] == pytest.approx(2.0)
    exact = Estimate(2.0, 0.0, math.inf, 1, "u")
    assert (exact.p_above(), exact.p_below(), exact.bounds(0.9)) == (0, 1, (2, 2))


def test_one_seed_has_no_interval() -> None:
    estimate = mean_of_runs([[1.0], [2.0]], "u")
    assert estimate.value == 1.5 and math.isnan(interval(estimate).low) and estimate.p_value == 1
    assert math.isnan(interval(difference([3.0, 4.0], [0.5])).low)
    assert not math.isnan(interval(mean_estimate([3.0, 4.0], "u")).low)


@PROPERTY
@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(1e-3, 1e3)), st.integers(1, 9))
def test_degrees_of_freedom_lie_between_one_terms_and_all_terms(
    variances: np.ndarray, degrees: int
) -> None:
    error, df = satterthwaite(variances, np.full(len(variances), float(degrees)))
    assert degrees * (1 - 1e-9) <= df <= degrees * len(variances) * (1 + 1e-9)
    assert error == pytest.approx(math.sqrt(variances.sum()))


def test_tiny_variances_do_not_underflow_and_none_are_no_error() -> None:
    for scale in (1.0, 1e-200):
        assert satterthwaite(np.full(3, scale), np.full(3, 2.0))[1] == pytest.approx(6)
    assert satterthwaite(np.zeros(3), np.full(3, 2.0)) == (0, 6)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_values_that_are_none_or_not_finite_are_refused(bad: list[float]) -> None:
    calls = [
        lambda: mean_estimate(bad, "u"),
        lambda: mean_of_runs([bad], "u"),
        lambda: paired_difference([1.0, 2.0], bad),
        lambda: resampled(mean, [bad], rng()),
        lambda: bootstrap_intervals(mean, [bad], rng()),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"no values|NaN or infinite"):
            call()


def test_malformed_samples_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="one axis"):
        mean_estimate([[1.0, 2.0]], "u")
    with pytest.raises(ValueError, match=r"\[E, S\]"):
        mean_of_runs([1.0, 2.0], "u")
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="0 estimates"):
        mean_over_environments([])
    with pytest.raises(ValueError, match="2 weights"):
        weighted_sum([mean_estimate([1.0, 2.0], "u")], [1, 1])
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="level"):
            interval(mean_estimate([1.0, 2.0], "u"), level)
        with pytest.raises(ValueError, match="level"):
            percentile_bounds(scores_of(9), level)


# ----------------------------------------------------------------------------------------- shares


def test_shares_have_the_exact_interval() -> None:
    interval = share(0, 288)
    # (1 − high)^288 = 0.025.
    assert (interval.low, interval.high) == pytest.approx((0, 1 - 0.025 ** (1 / 288)))
    interval = share(3, 10, 0.9)
    assert stats.binom.sf(2, 10, interval.low) == pytest.approx(0.05)
    assert stats.binom.cdf(3, 10, interval.high) == pytest.approx(0.05)
    assert math.isnan(share(0, 0).estimate) and math.isnan(share(0, 0).low)


# ------------------------------------------------------------------------------------- bootstrap


def test_bootstrap_of_two_seeds_is_the_enumerated_distribution() -> None:
    counts = Counter(resampled(mean, [[0.0, 1.0]], rng(), 4000).tolist())
    assert set(counts) == {0.0, 0.5, 1.0}
    for value, probability in ((0.0, 0.25), (0.5, 0.5), (1.0, 0.25)):
        error = math.sqrt(probability * (1 - probability) / 4000)
        assert abs(counts[value] / 4000 - probability) < 4 * error


def test_resamples_stay_in_their_environment_and_are_independent() -> None:
    scores = np.arange(6.0).reshape(2, 3)
    drawn = resampled(lambda x: x.reshape(*x.shape[:-2], -1), scores, rng(), 400)
    assert drawn.shape == (400, 6)
    assert (drawn // 3 == [0, 0, 0, 1, 1, 1]).all()
    assert (drawn[:, :3] != drawn[:, 3:] - 3).any(axis=-1).mean() > 0.9  # expected: 26/27


def test_a_seed_is_drawn_with_all_its_variants() -> None:
    scores = scores_of(2, 1, 8)
    shifted = np.concatenate([scores, scores + 1], axis=1)  # [E, V, S]
    apart = resampled(
        lambda x: (x[..., 1, :] - x[..., 0, :]).mean(axis=(-2, -1)), shifted, rng(), 99
    )
    np.testing.assert_allclose(apart, 1)
    assert resampled(lambda x: x.mean(axis=(-3, -1)), shifted, rng(), 99).shape == (99, 2)


def test_bootstrap_width_is_that_of_the_plug_in_variance() -> None:
    scores = scores_of(7, 10)
    (interval,) = bootstrap_intervals(mean, scores, rng())
    expected = 2 * 1.959964 * math.sqrt((scores.var(axis=-1) / 10).sum()) / 7
    assert interval.high - interval.low == pytest.approx(expected, rel=0.03)
    assert interval.estimate == pytest.approx(scores.mean())


def test_the_bootstrap_of_a_mean_takes_unlike_seeds() -> None:
    many, more = scores_of(1, 12), scores_of(1, 30) * 3
    interval = bootstrap_over_environments(mean, [many, more], rng())
    expected = 2 * 1.959964 * math.sqrt(many.var() / 12 + more.var() / 30) / 2
    assert interval.high - interval.low == pytest.approx(expected, rel=0.05)
    assert interval.estimate == pytest.approx((many.mean() + more.mean()) / 2)
    few = bootstrap_over_environments(mean, [many[:, :9], more], rng())
    assert math.isnan(few.low) and few.estimate == pytest.approx(
        (many[:, :9].mean() + more.mean()) / 2
    )


def test_a_scale_is_inside_the_bootstrap() -> None:
    def best_normalised(scores: np.ndarray) -> np.ndarray:
        return (scores / scores.max(axis=(-2, -1), keepdims=True)).max(axis=(-3, -2, -1))

    scores = np.exp(scores_of(2, 3, 10))
    distribution = resampled(best_normalised, scores, rng(), 99)
    assert (distribution == 1).all()  # a constant from outside would give less


def test_too_few_seeds_and_a_single_point_have_no_bounds() -> None:
    assert math.isnan(bootstrap_intervals(mean, scores_of(7, 9), rng())[0].low)
    (single,) = bootstrap_intervals(lambda x: 0 * mean(x), scores_of(7, 10), rng())
    assert math.isnan(single.low) and single.estimate == 0
    with np.errstate(invalid="ignore"):
        (undefined,) = bootstrap_intervals(
            lambda x: np.where(mean(x) > 0, np.nan, mean(x)), scores_of(1, 10) - 0.2, rng()
        )
    assert math.isnan(undefined.low)
    with pytest.raises(ValueError, match="two seeds"):
        resampled(mean, scores_of(7, 1), rng())


def test_same_generator_same_numbers() -> None:
    def once(seed: int) -> float:
        return bootstrap_intervals(mean, scores_of(3, 10), rng(seed))[0].low

    assert once(3) == once(3) != once(4)
