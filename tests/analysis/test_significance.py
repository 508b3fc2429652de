"""Tests of significance against hand calculations, enumerations, SciPy and simulation."""

import math
from itertools import combinations, permutations, product
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.significance import (
    holm,
    holm_levels,
    lower_mean_p_value,
    median_time,
    stratified_logrank,
    trend_test,
)
from analysis.statistics import interval, mean_estimate
from tests.handmade import PROPERTY

SCORES = st.integers(-2000, 2000).map(lambda n: n / 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores_of(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape)


# -------------------------------------------------------------------------- the candidate is lower


def t_of(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.ttest_ind(x, y, equal_var=False).statistic)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 2), (2, 6), (6, 5)])
def test_permutation_test_enumerates_welchs_t(first: int, second: int) -> None:
    baseline, candidate = scores_of(first), scores_of(second, seed=1)
    pooled = np.concatenate([baseline, candidate])
    observed = t_of(candidate, baseline)
    as_extreme = [
        t_of(pooled[list(chosen)], np.delete(pooled, chosen)) <= observed + 1e-9
        for chosen in combinations(range(len(pooled)), second)
    ]
    assert lower_mean_p_value(baseline, candidate, rng()) == pytest.approx(np.mean(as_extreme))


def test_permutation_test_by_hand() -> None:
    assert lower_mean_p_value([4, 5, 6], [1, 2, 3], rng()) == 1 / 20
    assert lower_mean_p_value([1, 2, 3], [4, 5, 6], rng()) == 1
    # No spread anywhere: no difference is no evidence, and the only split of its kind is.
    assert lower_mean_p_value([2.0] * 4, [2.0] * 3, rng()) == 1
    assert lower_mean_p_value([2.0] * 3, [1.0] * 3, rng()) == 1 / 20


def test_ties_count_whatever_the_order_of_summation() -> None:
    # 0.1 + 0.2 + 0.3 depends on the order in floating point: 0.6 or 0.6000000000000001.
    same = [0.1, 0.2, 0.3]
    assert lower_mean_p_value(same, same[::-1], rng()) > 0.5


def test_ten_against_ten_is_exact_where_so_many_are_allowed() -> None:
    baseline, candidate = scores_of(10), scores_of(10, seed=1) - 9
    p_value = lower_mean_p_value(baseline, candidate, rng(), permutations=200_000)
    assert p_value == pytest.approx(1 / 184_756, rel=1e-12)


def test_random_splits_agree_with_all_splits_and_never_give_zero() -> None:
    baseline, candidate = scores_of(7), scores_of(5, seed=3) - 0.5
    exact = lower_mean_p_value(baseline, candidate, rng())
    assert 0.05 < exact < 0.95
    random = lower_mean_p_value(baseline, candidate, rng(), permutations=790)
    assert random != exact
    assert abs(random - exact) < 4 * math.sqrt(exact * (1 - exact) / 790)
    assert lower_mean_p_value(scores_of(15), scores_of(15) - 99, rng(), 999) == 1 / 1000


def test_permutation_test_keeps_its_level_where_the_distribution_is_the_same() -> None:
    # P(p ≤ α) ≤ α, with equality for α = k/20 at 3 v 3 without ties, however skewed.
    p_values = np.array(
        [lower_mean_p_value(s[:3], s[3:], rng()) for s in np.exp(2 * scores_of(1000, 6))]
    )
    for alpha in (0.05, 0.1, 0.5):
        error = math.sqrt(alpha * (1 - alpha) / 1000)
        assert abs((p_values <= alpha + 1e-12).mean() - alpha) < 4 * error


def test_with_equal_means_and_unequal_spread_it_errs_less_than_a_bare_difference() -> None:
    """10 runs with twice the spread of 30: the bare difference of means fails twice too often."""
    hits = np.zeros(2)
    generator = rng(1)
    for _ in range(600):
        old, new = generator.normal(size=30), 2 * generator.normal(size=10)
        pooled = np.concatenate([old, new])
        splits = generator.permuted(np.tile(pooled, (399, 1)), axis=1)[:, :10].sum(axis=1)
        bare = (1 + (splits <= new.sum()).sum()) / 400
        hits += [lower_mean_p_value(old, new, generator, 399) <= 0.05, bare <= 0.05]
    # 0.066 and 0.11 in the long run.
    assert hits[0] / 600 < 0.095 < hits[1] / 600 + 0.01 and hits[0] < hits[1]


@PROPERTY
@given(arrays(np.float64, 4, elements=SCORES), arrays(np.float64, 3, elements=SCORES))
def test_p_values_are_shares_of_splits_and_blind_to_order_and_unit(
    baseline: np.ndarray, candidate: np.ndarray
) -> None:
    p_value = lower_mean_p_value(baseline, candidate, rng())
    assert 1 / 35 - 1e-12 <= p_value <= 1
    assert lower_mean_p_value(baseline[::-1], candidate[::-1], rng()) == pytest.approx(p_value)
    # A power of two is exact, so equal statistics stay equal.
    assert lower_mean_p_value(8 * baseline, 8 * candidate, rng()) == pytest.approx(p_value)


@pytest.mark.parametrize("bad", [[], [1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_what_is_no_sample_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no values|two values|NaN"):
        lower_mean_p_value(bad, [1.0, 2.0], rng())


# ------------------------------------------------------------------------- several tests at once


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9, 0.04]), [1.0, 1.0, 0.12])
    np.testing.assert_allclose(holm([0.2]), [0.2])
    assert holm([]).shape == (0,)


@PROPERTY
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_holm_rejects_what_the_step_down_procedure_rejects(
    p_values: list[float], random: Random
) -> None:
    random.shuffle(p_values)
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert (adjusted <= np.minimum(1, len(p_values) * np.array(p_values))).all()
    level = 0.05
    assume(all(abs(a - level) > 1e-9 for a in adjusted))
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] > level / (len(p_values) - step):
            break
        rejected.add(place)
    assert set(np.flatnonzero(adjusted <= level)) == rejected


@pytest.mark.parametrize("bad", [[0.5, math.nan], [-0.1], [1.1], [[0.5]]])
def test_holm_refuses_what_is_no_p_value(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm(bad)


@PROPERTY
@given(st.lists(st.floats(1e-6, 0.999), min_size=1, max_size=8), st.floats(0.5, 0.99))
def test_intervals_at_holms_levels_exclude_zero_where_holm_rejects(
    p_values: list[float], level: float
) -> None:
    adjusted, levels = holm(p_values), holm_levels(p_values, level)
    assume(np.abs(adjusted - (1 - level)).min() > 1e-9)
    # An interval at level l excludes 0 where its p is below 1 − l.
    assert ((np.array(p_values) <= 1 - levels + 1e-12) == (adjusted <= 1 - level)).all()
    assert (levels >= level - 1e-12).all()


def test_levels_of_real_intervals() -> None:
    estimates = [mean_estimate(scores_of(6, seed=s) + s, "u") for s in range(4)]
    p_values = [estimate.p_value for estimate in estimates]
    intervals = [interval(e, at) for e, at in zip(estimates, holm_levels(p_values), strict=True)]
    excluded = [i.low > 0 or i.high < 0 for i in intervals]
    assert excluded == (holm(p_values) <= 0.05).tolist() and 0 < sum(excluded) < 4
    assert holm_levels([1e-9, 0.5, 0.6]).tolist() == pytest.approx([1 - 0.05 / 3, 0.975, 0.975])


# ----------------------------------------------------------------------------------------- trend


@pytest.mark.parametrize(
    ("values", "tau", "p_value"),
    [
        ([1, 2, 3, 4, 5], 1, 1 / 120),
        ([5, 4, 3, 2, 1], -1, 1),
        ([1, 2, 3, 5, 4], 0.8, 5 / 120),
        ([1, 1, 1, 1, 1], 0, 1),
        ([1, math.inf, math.inf], 2 / 3, 1 / 3),
    ],
)
def test_the_trend_of_one_block_is_that_of_every_order(
    values: list[float], tau: float, p_value: float
) -> None:
    trend = trend_test([values], rng())
    assert (trend.tau, trend.p_value) == (pytest.approx(tau), pytest.approx(p_value))


def test_of_many_settings_in_one_block_orders_are_drawn() -> None:
    """Of seven all 5,040 orders, and 1,000 that are drawn, say nearly the same."""
    block = [[2.0, 1.0, 4.0, 3.0, 5.0, 7.0, 6.0]]
    every, drawn = (trend_test(block, rng(), permutations) for permutations in (5_040, 1_000))
    assert every.tau == drawn.tau == pytest.approx(15 / 21)
    assert drawn.p_value == pytest.approx(every.p_value, abs=0.01) and drawn.p_value >= 1 / 1_001
    assert trend_test([list(range(12))], rng(), 99).p_value == pytest.approx(1 / 100)


def test_trend_of_two_perfect_blocks() -> None:
    # Of the 36 pairs of orders, one is as high.
    rising = [[1.0, 2.0, 3.0], [10.0, 30.0, 50.0]]
    assert trend_test(rising, rng()).p_value == pytest.approx(1 / 36)
    assert trend_test(rising, rng()).tau == 1
    falling = trend_test(-np.array(rising), rng())
    assert (falling.tau, falling.p_value) == (-1, 1)


def test_trend_is_kendalls_tau_and_its_p_an_enumeration() -> None:
    values = scores_of(3, 3) + 0.3 * np.arange(3)
    trend = trend_test(values, rng())
    taus = [stats.kendalltau(np.arange(3), block).statistic for block in values]
    assert trend.tau == pytest.approx(np.mean(taus))
    orders = list(permutations(range(3)))
    all_taus = [
        np.mean([stats.kendalltau(np.arange(3), block[list(o)]).statistic for block, o in pair])
        for pair in (zip(values, chosen, strict=True) for chosen in product(orders, repeat=3))
    ]
    assert trend.p_value == pytest.approx(np.mean(np.array(all_taus) >= trend.tau - 1e-9))


def test_infinite_values_rank_last_and_tie() -> None:
    values = np.array([[1.0, 2.0, math.inf], [5.0, math.inf, math.inf], [math.inf] * 3])
    ours = trend_test(values, rng())
    assert ours == trend_test(np.where(np.isfinite(values), values, 1e6), rng())
    assert ours.tau == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_random_permutations_agree_with_all() -> None:
    values = scores_of(4, 4, seed=2) + 0.1 * np.arange(4)
    exact, random = (trend_test(values, rng(), n) for n in (24**4, 9_999))
    assert exact.tau == random.tau and 0.01 < exact.p_value < 0.99
    assert abs(exact.p_value - random.p_value) < 0.02


def test_the_trend_keeps_its_level_for_rare_events() -> None:
    generator = rng(5)
    p_values = [
        trend_test((generator.random((9, 5)) < 0.2).astype(float), generator, 499).p_value
        for _ in range(400)
    ]
    assert np.mean(np.array(p_values) <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(
    "values",
    [[1.0, 2.0, 3.0], [[1.0, 2.0], [1.0, 2.0]], np.empty((0, 3)), [[1.0, math.nan, 2.0]]],
)
def test_malformed_trends_are_refused(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="blocks"):
        trend_test(values, rng())


# ----------------------------------------------------------------------- times that may never come


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([1, 2, 3], 2),
        ([3, math.inf, 2], 3),
        ([1, math.inf, math.inf], math.inf),
        ([math.inf] * 2, math.inf),
        ([1, 2, 2, math.inf], 2),
        ([1, 3, 2, 3, 2, *[math.inf] * 5], 3),  # exactly half of ten came
        ([5], 5),
    ],
)
def test_median_of_times_of_which_some_never_came(times: list[float], median: float) -> None:
    assert median_time(times) == median


def test_one_stratum_is_scipys_logrank() -> None:
    x, y = [3.0, 5.0, 5.0, math.inf], [4.0, 7.0, math.inf, math.inf, 9.0]

    def censored(times: list[float]) -> stats.CensoredData:
        never = np.isinf(times)
        return stats.CensoredData.right_censored(np.where(never, 99, times), never)

    expected = stats.logrank(censored(x), censored(y))
    z, p_value = stratified_logrank([x], [y])
    assert abs(z) == pytest.approx(abs(expected.statistic)) and z > 0
    assert p_value == pytest.approx(expected.pvalue)


def test_strata_are_added_up_and_not_pooled() -> None:
    # In both strata x comes first; pooled, the slow stratum would hide it.
    fast, slow = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), ([100.0, 110.0, 120.0], [200.0, 210.0, 220.0])
    alone, _ = stratified_logrank([fast[0]], [fast[1]])
    both, p_value = stratified_logrank([fast[0], slow[0]], [fast[1], slow[1]])
    assert both == pytest.approx(alone * math.sqrt(2)) and p_value < 0.01
    assert stratified_logrank([[math.inf]], [[math.inf]]) == (0.0, 1.0)
