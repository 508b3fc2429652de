"""Statistics of all runs at once, against hand calculations, enumerations, SciPy and rliable."""

import math
from collections import Counter
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from analysis.run_statistics import (
    Best,
    iqm,
    normalise,
    performance_profile,
    probability_of_improvement,
    redrawn_statistic,
    table1_scores,
)
from tests.handmade import PROPERTY

# Three environments; rliable 1.2.0 was given their transposes, and its numbers are those below.
X = np.array(
    [[0.12, 0.55, 0.93, 0.48, 0.71], [1.02, 0.97, 0.33, 0.88, 0.91], [-0.25, 0.4, 0.18, 0.62, 0.05]]
)
Y = np.array([[0.3, 0.22, 0.64, 0.48], [0.91, 0.7, 0.41, 0.97], [0.05, -0.1, 0.2, 0.66]])
THRESHOLDS = [-0.5, 0.0, 0.05, 0.4, 0.5, 0.9, 0.97, 1.02]
RLIABLE_IQM_X, RLIABLE_IQM_Y = 0.5622222222222223, 0.45166666666666666
RLIABLE_IMPROVEMENT = 0.5833333333333334
RLIABLE_PROFILE = [1, 0.93333333, 0.86666667, 0.6, 0.53333333, 0.26666667, 0.06666667, 0]

# No score is nearer to another than 1e-3, so that monotone maps keep the order in floating point.
SCORES = st.integers(-2000, 2000).map(lambda n: n / 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores_of(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape)


# ------------------------------------------------------------------------------------ statistics


def test_numbers_of_rliable() -> None:
    assert iqm(X) == pytest.approx(RLIABLE_IQM_X, rel=1e-14)
    assert iqm(Y) == pytest.approx(RLIABLE_IQM_Y, rel=1e-14)
    assert probability_of_improvement(X, Y) == pytest.approx(RLIABLE_IMPROVEMENT, rel=1e-14)
    np.testing.assert_allclose(performance_profile(X, THRESHOLDS), RLIABLE_PROFILE, atol=5e-9)


@pytest.mark.parametrize("runs", range(1, 14))
def test_iqm_drops_a_quarter_of_the_runs_at_either_end(runs: int) -> None:
    scores = scores_of(6, 1, runs)
    cut = runs // 4
    expected = np.sort(scores, axis=-1)[..., cut : runs - cut].mean(axis=-1)[:, 0]
    np.testing.assert_allclose(iqm(scores), expected, rtol=1e-12)


def test_iqm_is_not_moved_by_outliers() -> None:
    assert iqm([[-1e9, 1.0], [1e9, 2.0]]) == 1.5


@PROPERTY
@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=SCORES),
    st.floats(-3, 3),
    st.floats(-5, 5),
    st.randoms(use_true_random=False),
)
def test_iqm_is_bounded_equivariant_and_blind_to_order(
    scores: np.ndarray, scale: float, shift: float, random: Random
) -> None:
    shuffled = scores.ravel().copy()
    random.shuffle(shuffled)
    value = iqm(scores)
    assert scores.min() - 1e-12 <= value <= scores.max() + 1e-12
    np.testing.assert_allclose(iqm(scale * scores + shift), scale * value + shift, atol=1e-12)
    np.testing.assert_allclose(iqm(shuffled.reshape(scores.shape)), value, atol=1e-12)
    assert iqm(scores + np.abs(scores)) >= value - 1e-12  # monotone


@PROPERTY
@given(
    arrays(np.float64, (2, 3), elements=SCORES),
    st.lists(SCORES, min_size=1, max_size=6).map(sorted),
)
def test_profile_counts_runs_strictly_above(scores: np.ndarray, thresholds: list[float]) -> None:
    thresholds = sorted([*thresholds, float(scores[0, 0])])  # a score equal to a threshold
    expected = [sum(x > t for x in scores.ravel()) / 6 for t in thresholds]
    ours = performance_profile(scores, thresholds)
    np.testing.assert_allclose(ours, expected, rtol=1e-15)
    assert (np.diff(ours) <= 0).all()


# --------------------------------------------------------------------- the PPO paper's statistic

RETURNS = np.array([[[0.0, 10.0], [20.0, 30.0]], [[-4.0, -2.0], [-2.0, 0.0]]])  # [E, V, S]
UNTRAINED = np.array([-10.0, -4.0])


def test_table1_by_hand() -> None:
    # Best runs 30 and 0, units 40 and 4: means 5 and 25 → 0.375, 0.875; −3 and −1 → 0.25, 0.75.
    np.testing.assert_allclose(table1_scores(RETURNS, UNTRAINED), [0.3125, 0.8125])
    # Best settings 25 and −1, units 35 and 3: 3/7 and 1; 1/3 and 1.
    expected = [(3 / 7 + 1 / 3) / 2, 1]
    np.testing.assert_allclose(table1_scores(RETURNS, UNTRAINED, best="setting"), expected)


def test_best_of_each_environment_may_be_another_variant() -> None:
    crossed = RETURNS.copy()
    crossed[1] = crossed[1, ::-1]
    np.testing.assert_allclose(table1_scores(crossed, UNTRAINED), [0.5625, 0.5625])


def test_table1_is_the_mean_of_normalised_runs() -> None:
    scores = scores_of(7, 11, 10)
    untrained = np.full(7, -3.0)
    runs = normalise(scores, untrained, scores.max(axis=(1, 2)))
    np.testing.assert_allclose(table1_scores(scores, untrained), runs.mean(axis=(0, 2)))
    assert runs.max() == 1
    batch = np.stack([scores, scores + 1])
    both = table1_scores(batch, untrained)
    np.testing.assert_allclose(both[1], table1_scores(scores + 1, untrained))
    assert not np.allclose(both[0], both[1])


def test_normalise_maps_each_environment() -> None:
    variants = np.stack([RETURNS, RETURNS + 1])
    mapped = normalise(variants, UNTRAINED, [30.0, 0.0])
    np.testing.assert_allclose(mapped[0, 0], (RETURNS[0] + 10) / 40)
    np.testing.assert_allclose(mapped[1, 1], (RETURNS[1] + 5) / 4)
    each = normalise(variants, UNTRAINED, [[30.0, 0.0], [31.0, 1.0]])  # a best for each resample
    np.testing.assert_allclose(each[1, 1], (RETURNS[1] + 5) / 5)


@PROPERTY
@given(
    arrays(np.float64, (2, 3, 2), elements=SCORES),
    arrays(np.float64, 2, elements=st.floats(0.1, 100)),
    arrays(np.float64, 2, elements=st.floats(-50, 50)),
    st.sampled_from(["run", "setting"]),
)
def test_table1_ignores_units_and_is_at_most_one(
    scores: np.ndarray, scale: np.ndarray, shift: np.ndarray, best: Best
) -> None:
    untrained = np.array([-3.0, -4.0])
    table = table1_scores(scores, untrained, best)
    moved = scores * scale[:, None, None] + shift[:, None, None]
    np.testing.assert_allclose(table1_scores(moved, untrained * scale + shift, best), table)
    assert table.max() <= 1 + 1e-12
    assert (table1_scores(scores, untrained, "setting") >= table - 1e-12).all()


def test_nothing_better_than_untrained_has_no_scale() -> None:
    high = np.array([-10.0, 0.0])  # the best run of the second environment scores 0
    assert np.isnan(table1_scores(RETURNS, high)).all()
    scaled = normalise(RETURNS, high, [30.0, 0.0])
    assert np.isfinite(scaled[0]).all() and np.isnan(scaled[1]).all()


def test_shapes_of_constants_are_checked() -> None:
    for call in (
        lambda: normalise(RETURNS, [0.0], [1.0]),
        lambda: normalise(RETURNS[0, 0], [0.0, 0.0], [1.0, 1.0]),
        lambda: normalise(RETURNS, [0.0, 0.0], [1.0]),
        lambda: table1_scores(RETURNS, [0.0, 0.0, 0.0]),
        lambda: table1_scores(RETURNS, 0.0),
        lambda: table1_scores(RETURNS[0], [0.0, 0.0]),
    ):
        with pytest.raises(ValueError, match="one constant per environment"):
            call()
    with pytest.raises(ValueError, match="'run' or 'setting'"):
        table1_scores(RETURNS, UNTRAINED, best="runs")


def test_seeds_that_agree_are_redrawn_as_the_statistic_itself() -> None:
    scores, untrained = scores_of(2, 3, 1), [-9.0, -8.0]
    ours = redrawn_statistic(np.repeat(scores, 4, axis=-1), untrained, rng(), repetitions=5)
    assert ours.shape == (5, 3)
    np.testing.assert_allclose(ours, np.tile(table1_scores(scores, untrained), (5, 1)))


def test_redrawn_seeds_spread_as_fresh_ones_but_for_the_factor_told() -> None:
    scores = np.random.default_rng(1).normal(size=(40, 1, 5))
    fixed = np.concatenate([scores, np.full((40, 1, 5), 100.0)], axis=1)
    ours = redrawn_statistic(fixed, np.zeros(40), rng(), repetitions=20_000)[:, 0]
    # Each environment's mean of 3 draws with replacement has the population variance / 3.
    expected = math.sqrt(float(fixed[:, 0].var(axis=-1).sum()) / 3) / 40 / 100
    assert ours.std() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("best", ["run", "setting"])
def test_redrawn_statistic_is_uniform_over_all_draws(best: Best) -> None:
    scores = np.array([[[1.0, 2.0, 4.0], [0.0, 3.0, 9.0]]])
    expected: Counter[tuple[float, ...]] = Counter()
    for a, b in product(product(scores[0, 0], repeat=2), product(scores[0, 1], repeat=2)):
        expected[tuple(np.round(table1_scores([[a, b]], [-1.0], best), 9))] += 1
    repetitions = 9000
    ours = redrawn_statistic(scores, [-1.0], rng(), 2, repetitions, best)
    counts = Counter(tuple(row) for row in np.round(ours, 9))
    assert set(counts) == set(expected)
    for value, ways in expected.items():
        error = math.sqrt(ways / 81 * (1 - ways / 81) / repetitions)
        assert abs(counts[value] / repetitions - ways / 81) < 4 * error


def test_redrawing_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot draw 0 seeds"):
        redrawn_statistic(RETURNS, UNTRAINED, rng(), draws=0)


# ----------------------------------------------------------------------------------- comparisons


def test_improvement_is_mann_whitney_averaged() -> None:
    x, y = np.round(scores_of(4, 6), 1), np.round(scores_of(4, 5, seed=1), 1)
    assert any(set(a) & set(b) for a, b in zip(x, y, strict=True))  # ties
    parts = [
        stats.mannwhitneyu(a, b, method="asymptotic").statistic / 30
        for a, b in zip(x, y, strict=True)
    ]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(parts))
    batch = probability_of_improvement(np.stack([x, x + 9]), np.stack([y, y]))
    np.testing.assert_allclose(batch, [np.mean(parts), 1.0])


@PROPERTY
@given(arrays(np.float64, (2, 3), elements=SCORES), arrays(np.float64, (2, 4), elements=SCORES))
def test_improvement_is_complementary_and_blind_to_monotone_maps(
    x: np.ndarray, y: np.ndarray
) -> None:
    ours = probability_of_improvement(x, y)
    assert 0 <= ours <= 1
    assert probability_of_improvement(y, x) == pytest.approx(1 - ours)
    assert probability_of_improvement(np.exp(x), np.exp(y)) == ours
    assert probability_of_improvement(x[:, ::-1], y) == pytest.approx(ours)
    assert probability_of_improvement(x + 1, y) >= ours
    assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_improvement_needs_alike_environments() -> None:
    for x, y in ((X, Y[:2]), (X[0], Y[0])):
        with pytest.raises(ValueError, match="S1"):
            probability_of_improvement(x, y)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_scores_that_are_none_or_not_finite_are_refused(bad: list[float]) -> None:
    calls = [
        lambda: iqm([bad]),
        lambda: performance_profile([bad], [0.5]),
        lambda: normalise([[bad]], [0.0], [1.0]),
        lambda: table1_scores([[bad]], [0.0]),
        lambda: redrawn_statistic([[bad]], [0.0], rng(), draws=1),
        lambda: probability_of_improvement([bad], [[1.0]]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"no values|NaN or infinite"):
            call()
