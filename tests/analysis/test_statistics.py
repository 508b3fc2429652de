"""Statistics against hand calculations, enumerations, SciPy and rliable."""

import math
from collections import Counter
from itertools import combinations, product
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from analysis import statistics
from analysis.statistics import (
    Interval,
    aggregate_difference_interval,
    aggregate_interval,
    bootstrap_band,
    holm,
    improvement_interval,
    iqm,
    mean,
    normalise,
    per_variant,
    performance_profile,
    performance_profile_band,
    permutation_test_one_sided,
    probability_of_improvement,
    redrawn_statistic,
    resample_seeds,
    satterthwaite_half_width,
    stratified_bootstrap,
    t_interval,
    table1_scores,
    trend_test,
    welch_interval,
)
from tests.handmade import PROPERTY

# Three environments; rliable 1.2.0 was given their transposes, and its numbers are those below.
X = np.array(
    [[0.12, 0.55, 0.93, 0.48, 0.71], [1.02, 0.97, 0.33, 0.88, 0.91], [-0.25, 0.4, 0.18, 0.62, 0.05]]
)
Y = np.array([[0.3, 0.22, 0.64, 0.48], [0.91, 0.7, 0.41, 0.97], [0.05, -0.1, 0.2, 0.66]])
THRESHOLDS = [-0.5, 0.0, 0.05, 0.4, 0.5, 0.9, 0.97, 1.02]
RLIABLE_IQM_X, RLIABLE_IQM_Y = 0.5622222222222223, 0.45166666666666666
RLIABLE_MEAN_X = 0.5266666666666666
RLIABLE_IMPROVEMENT = 0.5833333333333334
RLIABLE_PROFILE = [1, 0.93333333, 0.86666667, 0.6, 0.53333333, 0.26666667, 0.06666667, 0]

# No score is nearer to another than 1e-3, so that monotone maps keep the order in floating point.
SCORES = st.integers(-2000, 2000).map(lambda n: n / 1000)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores_of(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape)


def same(a: Interval, b: Interval) -> None:
    assert (a.level, a.method) == (b.level, b.method)
    np.testing.assert_allclose([a.estimate, a.low, a.high], [b.estimate, b.low, b.high], rtol=1e-12)


# ----------------------------------------------------------------------------------- t intervals


def test_t_interval_by_hand() -> None:
    interval = t_interval([0.0, 2.0])  # s = √2, s/√n = 1, one degree of freedom
    half = math.tan(math.pi * 0.475)  # the quantile of the Cauchy distribution
    same(interval, Interval(1.0, 1 - half, 1 + half, 0.95, "t"))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_t_and_welch_intervals_are_those_of_scipy(size: int, level: float) -> None:
    x, y = scores_of(size, seed=size), 3 * scores_of(7, seed=1) + 2
    expected = stats.ttest_1samp(x, 0).confidence_interval(level)
    ours = t_interval(x, level)
    np.testing.assert_allclose([ours.low, ours.high], expected, rtol=1e-10)
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval(level)
    ours = welch_interval(x, y, level)
    np.testing.assert_allclose([ours.low, ours.high], expected, rtol=1e-10)
    assert ours.estimate == pytest.approx(x.mean() - y.mean())


def test_aggregate_interval_by_hand() -> None:
    # Variances of the three means are 1; that of their mean is 3/9, with 3 degrees of freedom.
    interval = aggregate_interval([[0, 2], [1, 3], [11, 9]])
    assert interval.estimate == pytest.approx(13 / 3)
    assert interval.high - interval.estimate == pytest.approx(stats.t.ppf(0.975, 3) / math.sqrt(3))
    assert interval.estimate - interval.low == pytest.approx(interval.high - interval.estimate)


def test_aggregate_difference_interval_by_its_formula() -> None:
    x, y = scores_of(4, 5) * np.array([[1], [2], [5], [0.1]]), scores_of(4, 3, seed=1)
    terms = [(s.var(ddof=1) / len(s), len(s) - 1) for s in [*x, *y]]
    total = sum(v for v, _ in terms)
    freedom = total**2 / sum(v**2 / n for v, n in terms)
    half = stats.t.ppf(0.95, freedom) * math.sqrt(total) / 4
    estimate = x.mean() - y.mean()
    expected = Interval(estimate, estimate - half, estimate + half, 0.9, "Welch-Satterthwaite t")
    same(aggregate_difference_interval(x, y, level=0.9), expected)


def test_on_one_environment_they_are_students_and_welchs() -> None:
    x, y = scores_of(6), scores_of(3, seed=1)
    a, b = aggregate_interval([x]), t_interval(x)
    np.testing.assert_allclose([a.low, a.high], [b.low, b.high])
    a, b = aggregate_difference_interval([x], [y]), welch_interval(x, y)
    np.testing.assert_allclose([a.low, a.high], [b.low, b.high])


def test_environments_may_have_unlike_numbers_of_seeds() -> None:
    assert aggregate_interval([[0.0, 1.0], [3.0, 4.0, 5.0]]).estimate == pytest.approx(2.25)
    assert not aggregate_interval([[0.0, 1.0], [3.0, 4.0, 5.0]]).too_few


def test_one_seed_is_too_few() -> None:
    for interval in (
        t_interval([3.0]),
        welch_interval([3.0, 4.0], [0.5]),
        aggregate_interval([[3.0, 4.0], [3.0]]),
        aggregate_difference_interval([[3.0, 4.0]], [[0.5]]),
        stratified_bootstrap(mean, np.ones((3, 1)), rng()),
    ):
        assert interval.too_few
        assert math.isfinite(interval.estimate)
    assert not t_interval([3.0, 4.0]).too_few


def test_equal_scores_have_an_interval_without_width() -> None:
    assert t_interval([1000.0] * 3) == Interval(1000.0, 1000.0, 1000.0, 0.95, "t")
    assert welch_interval([3.0] * 3, [1.0] * 2).low == 2.0


@PROPERTY
@given(
    arrays(np.float64, st.integers(1, 8), elements=st.floats(1e-3, 1e3)),
    st.integers(1, 9),
    st.floats(0.1, 0.99),
)
def test_degrees_of_freedom_lie_between_one_terms_and_all_terms(
    variances: np.ndarray, degrees: int, level: float
) -> None:
    half = satterthwaite_half_width(variances, degrees, level) / math.sqrt(variances.sum())
    quantile = (1 + level) / 2
    assert half <= stats.t.ppf(quantile, degrees) * (1 + 1e-9)
    assert half >= stats.t.ppf(quantile, degrees * len(variances)) * (1 - 1e-9)


def test_tiny_variances_do_not_underflow() -> None:
    big, tiny = (satterthwaite_half_width(np.full(3, v), [2, 2, 2], 0.95) for v in (1.0, 1e-200))
    assert tiny == pytest.approx(big * 1e-100)


@PROPERTY
@given(
    arrays(np.float64, (3, 4), elements=SCORES),
    arrays(np.float64, (3, 2), elements=SCORES),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_intervals_follow_affine_maps(
    x: np.ndarray, y: np.ndarray, scale: float, shift: float
) -> None:
    def bounds(interval: Interval) -> np.ndarray:
        return np.array([interval.low, interval.estimate, interval.high])

    expected = scale * bounds(aggregate_interval(x)) + shift
    np.testing.assert_allclose(bounds(aggregate_interval(scale * x + shift)), expected, atol=1e-9)
    expected = scale * bounds(aggregate_difference_interval(x, y))
    difference = aggregate_difference_interval(scale * x + shift, scale * y + shift)
    np.testing.assert_allclose(bounds(difference), expected, atol=1e-9)
    swapped = -bounds(aggregate_difference_interval(y, x))[::-1]
    np.testing.assert_allclose(swapped, bounds(aggregate_difference_interval(x, y)), atol=1e-12)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_scores_that_are_none_or_not_finite_are_refused(bad: list[float]) -> None:
    calls = [
        lambda: t_interval(bad),
        lambda: welch_interval([1.0, 2.0], bad),
        lambda: aggregate_interval([[1.0, 2.0], bad]),
        lambda: aggregate_difference_interval([bad], [[1.0, 2.0]]),
        lambda: mean(bad),
        lambda: iqm(bad),
        lambda: performance_profile(bad, [0.5]),
        lambda: resample_seeds(bad, rng(), 2),
        lambda: bootstrap_band(mean, np.array(bad), rng()),
        lambda: normalise([bad], [0.0], [1.0]),
        lambda: table1_scores([[bad]], [0.0]),
        lambda: redrawn_statistic([[bad]], [0.0], rng(), draws=1),
        lambda: probability_of_improvement([bad], [[1.0]]),
        lambda: permutation_test_one_sided([1.0], bad, rng()),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"no scores|NaN or infinite"):
            call()


def test_malformed_samples_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="one axis"):
        t_interval([[1.0, 2.0]])
    with pytest.raises(ValueError, match="one axis"):
        aggregate_interval([1.0, 2.0])
    with pytest.raises(ValueError, match="no environments"):
        aggregate_interval([])
    with pytest.raises(ValueError, match="1 environments of one variant, 2 of the other"):
        aggregate_difference_interval([[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]])
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="level"):
            t_interval([1.0, 2.0], level)
        with pytest.raises(ValueError, match="level"):
            stratified_bootstrap(mean, X, rng(), level=level)


# ------------------------------------------------------------------------------------- bootstrap


def test_resamples_stay_in_their_stratum_and_are_independent() -> None:
    scores = np.arange(12.0).reshape(2, 2, 3)
    drawn = resample_seeds(scores, rng(), 400)
    assert drawn.shape == (400, 2, 2, 3)
    strata = drawn // 3  # the number of the stratum that a score is from
    assert (strata == np.arange(4).reshape(2, 2, 1)).all()
    places = (drawn % 3).reshape(400, 4, 3)
    for a, b in combinations(range(4), 2):
        assert (places[:, a] != places[:, b]).any(axis=-1).mean() > 0.9  # expected: 26/27
    assert {tuple(p) for p in places[:, 0]} == set(product(range(3), repeat=3))  # replacement


def test_bootstrap_of_two_seeds_is_the_enumerated_distribution() -> None:
    resampled = resample_seeds(np.array([0.0, 1.0]), rng(), 4000).mean(axis=-1)
    counts = Counter(resampled.tolist())
    assert set(counts) == {0.0, 0.5, 1.0}
    for value, probability in ((0.0, 0.25), (0.5, 0.5), (1.0, 0.25)):
        error = math.sqrt(probability * (1 - probability) / 4000)
        assert abs(counts[value] / 4000 - probability) < 4 * error
    wide = stratified_bootstrap(mean, np.array([[0.0, 1.0]]), rng(), level=0.6)
    assert (wide.estimate, wide.low, wide.high) == (0.5, 0.0, 1.0)  # 20 % quantile: 0
    narrow = stratified_bootstrap(mean, np.array([[0.0, 1.0]]), rng(), level=0.4)
    assert (narrow.low, narrow.high) == (0.5, 0.5)  # 30 % quantile: 0.5
    assert narrow.method == "percentile bootstrap"


def test_bootstrap_width_is_that_of_the_plug_in_variance() -> None:
    scores = scores_of(7, 10)
    interval = stratified_bootstrap(mean, scores, rng(), repetitions=20_000)
    expected = 2 * 1.959964 * math.sqrt((scores.var(axis=-1) / 10).sum()) / 7
    assert interval.high - interval.low == pytest.approx(expected, rel=0.03)


def test_normaliser_is_inside_the_bootstrap() -> None:
    def best_normalised(scores: np.ndarray) -> np.ndarray:
        return (scores / scores.max(axis=(-2, -1), keepdims=True)).max(axis=(-3, -2, -1))

    scores = np.exp(scores_of(2, 3, 5))
    interval = stratified_bootstrap(best_normalised, scores, rng())
    assert (interval.low, interval.high) == (1.0, 1.0)  # a constant from outside would give < 1


def test_variants_are_resampled_independently() -> None:
    twins = np.repeat(scores_of(2, 1, 8), 2, axis=1)

    def difference(scores: np.ndarray) -> np.ndarray:
        means = scores.mean(axis=(-3, -1))
        return means[..., 0] - means[..., 1]

    interval = stratified_bootstrap(difference, twins, rng())
    assert interval.estimate == 0
    assert interval.low < -0.1 < 0.1 < interval.high


def test_bootstrap_of_several_arrays_and_of_several_numbers() -> None:
    def difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return mean(x) - mean(y)

    interval = stratified_bootstrap(difference, [X, Y], rng())
    assert interval.estimate == pytest.approx(X.mean() - Y.mean())
    assert interval.low < interval.estimate < interval.high
    band = bootstrap_band(lambda x: x.mean(axis=-1), X, rng())
    assert len(band) == 3
    same(band[1], Interval(X[1].mean(), band.low[1], band.high[1], 0.95, "percentile bootstrap"))
    with pytest.raises(ValueError, match="use bootstrap_band"):
        stratified_bootstrap(lambda x: x.mean(axis=-1), X, rng())
    with pytest.raises(ValueError, match="of 2000 resamples"):
        bootstrap_band(np.mean, X, rng())


def test_a_resample_without_a_statistic_leaves_the_bounds_open() -> None:
    scores = np.array([[[-1.0, -1.0, 2.0]]])  # without its last seed, worse than untrained

    def table(resampled: np.ndarray) -> np.ndarray:
        return table1_scores(resampled, [0.0])

    interval = bootstrap_band(table, scores, rng())[0]
    assert interval.estimate == 0
    assert interval.too_few


def test_same_generator_same_numbers() -> None:
    scores = scores_of(2, 3, 6)
    large = [scores_of(11, seed=s) for s in (1, 2)]

    def everything(seed: int) -> list[float]:
        interval = stratified_bootstrap(mean, scores[0], rng(seed), repetitions=50)
        profile = performance_profile_band(scores[0], [0.0], rng(seed), repetitions=50)
        improvement = improvement_interval(scores[:, 0], scores[:, 1], rng(seed), repetitions=50)
        redrawn = redrawn_statistic(scores, [-5.0, -5.0], rng(seed), repetitions=1)
        return [
            interval.low,
            float(profile.low[0]) + float(profile.high[0]) * math.pi,
            improvement.low,
            *redrawn[0],
            permutation_test_one_sided(*large, rng(seed), repetitions=999),
            trend_test(scores[0].T, [0, 1, 2], rng(seed), repetitions=50).tau.low,
        ]

    assert everything(3) == everything(3)
    others = np.array([everything(seed) for seed in range(6)])
    assert (others.std(axis=0) > 0).all()


# ------------------------------------------------------------------------------------ aggregates


def test_numbers_of_rliable() -> None:
    assert iqm(X) == pytest.approx(RLIABLE_IQM_X, rel=1e-14)
    assert iqm(Y) == pytest.approx(RLIABLE_IQM_Y, rel=1e-14)
    assert mean(X) == pytest.approx(RLIABLE_MEAN_X, rel=1e-14)
    assert probability_of_improvement(X, Y) == pytest.approx(RLIABLE_IMPROVEMENT, rel=1e-14)
    np.testing.assert_allclose(performance_profile(X, THRESHOLDS), RLIABLE_PROFILE, atol=5e-9)


@pytest.mark.parametrize("runs", range(1, 14))
def test_iqm_is_scipys_trimmed_mean(runs: int) -> None:
    scores = scores_of(6, 1, runs)
    expected = stats.trim_mean(scores, 0.25, axis=-1)[:, 0]
    np.testing.assert_allclose(iqm(scores), expected, rtol=1e-12)
    assert iqm(scores[0, 0]) == iqm(scores)[0]


def test_iqm_is_not_moved_by_outliers() -> None:
    assert iqm([-1e9, 1.0, 2.0, 1e9]) == 1.5
    assert iqm([[-1e9, 1.0], [1e9, 2.0]]) == 1.5


def test_batch_axes_and_variants() -> None:
    scores = scores_of(4, 3, 2, 5)  # [batch, E, V, S]
    for statistic in (iqm, mean):
        ours = per_variant(statistic)(scores)
        assert ours.shape == (4, 2)
        for b, v in product(range(4), range(2)):
            assert ours[b, v] == statistic(scores[b, :, v])


@PROPERTY
@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=SCORES),
    st.floats(-3, 3),
    st.floats(-5, 5),
    st.randoms(use_true_random=False),
)
def test_aggregates_are_bounded_equivariant_and_blind_to_order(
    scores: np.ndarray, scale: float, shift: float, random: Random
) -> None:
    shuffled = scores.ravel().copy()
    random.shuffle(shuffled)
    for statistic in (iqm, mean):
        value = statistic(scores)
        assert scores.min() - 1e-12 <= value <= scores.max() + 1e-12
        np.testing.assert_allclose(
            statistic(scale * scores + shift), scale * value + shift, atol=1e-12
        )
        np.testing.assert_allclose(statistic(shuffled.reshape(scores.shape)), value, atol=1e-12)
        assert statistic(scores + np.abs(scores)) >= value - 1e-12  # monotone


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


def test_profile_band_is_the_bootstrap_at_each_threshold() -> None:
    band = performance_profile_band(X, THRESHOLDS, rng(), repetitions=500)
    np.testing.assert_allclose(band.estimate, RLIABLE_PROFILE, atol=5e-9)
    for k, threshold in enumerate(THRESHOLDS):
        alone = stratified_bootstrap(
            lambda x, t=threshold: (x > t).mean(axis=(-2, -1)), X, rng(), repetitions=500
        )
        same(band[k], alone)
    assert (band.low[3:6] < band.estimate[3:6]).all()
    assert (band.high[3:6] > band.estimate[3:6]).all()


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
    expected = [[0.5, 1.0, 0.0], [1.0, 0.0, -1.0]]
    ours = normalise([[5.0, 10.0, 0.0], [3.0, 1.0, -1.0]], [0.0, 1.0], [10.0, 3.0])
    np.testing.assert_allclose(ours, expected)
    variants = np.stack([RETURNS, RETURNS + 1])
    mapped = normalise(variants, UNTRAINED, [30.0, 0.0])
    np.testing.assert_allclose(mapped[0, 0], (RETURNS[0] + 10) / 40)
    np.testing.assert_allclose(mapped[1, 1], (RETURNS[1] + 5) / 4)


@PROPERTY
@given(
    arrays(np.float64, (2, 3, 2), elements=SCORES),
    arrays(np.float64, 2, elements=st.floats(0.1, 100)),
    arrays(np.float64, 2, elements=st.floats(-50, 50)),
    st.sampled_from(["run", "setting"]),
)
def test_table1_ignores_units_and_is_at_most_one(
    scores: np.ndarray, scale: np.ndarray, shift: np.ndarray, best: statistics.Best
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
    with pytest.raises(ValueError, match="not above"):
        normalise(RETURNS, high, [30.0, 0.0])


def test_shapes_of_constants_are_checked() -> None:
    for call in (
        lambda: normalise(RETURNS, [0.0], [1.0]),
        lambda: normalise(RETURNS[0, 0], [0.0, 0.0], [1.0, 1.0]),
        lambda: table1_scores(RETURNS, [0.0, 0.0, 0.0]),
        lambda: table1_scores(RETURNS, 0.0),
    ):
        with pytest.raises(ValueError, match="one constant per environment"):
            call()
    with pytest.raises(ValueError, match="best scores"):
        normalise(RETURNS, [0.0, 0.0], [1.0])
    with pytest.raises(ValueError, match=r"not \[..., E, V, S\]"):
        table1_scores(RETURNS[0], [0.0, 0.0])
    with pytest.raises(ValueError, match="'run' or 'setting'"):
        table1_scores(RETURNS, UNTRAINED, best="runs")


def test_redrawing_all_seeds_is_the_statistic_itself() -> None:
    scores, untrained = scores_of(2, 3, 4), [-9.0, -8.0]
    ours = redrawn_statistic(scores, untrained, rng(), draws=4, repetitions=5)
    assert ours.shape == (5, 3)
    np.testing.assert_allclose(ours, np.tile(table1_scores(scores, untrained), (5, 1)))


@pytest.mark.parametrize("best", ["run", "setting"])
def test_redrawn_statistic_is_uniform_over_all_subsets(best: statistics.Best) -> None:
    scores = np.array([[[1.0, 2.0, 4.0], [0.0, 3.0, 9.0]]])
    expected: Counter[tuple[float, ...]] = Counter()
    for a, b in product(combinations(scores[0, 0], 2), combinations(scores[0, 1], 2)):
        expected[tuple(np.round(table1_scores([[a, b]], [-1.0], best), 9))] += 1
    repetitions = 9000
    ours = redrawn_statistic(scores, [-1.0], rng(), 2, repetitions, best)
    counts = Counter(tuple(row) for row in np.round(ours, 9))
    assert set(counts) == set(expected)
    for value, ways in expected.items():
        error = math.sqrt(ways / 9 * (1 - ways / 9) / repetitions)
        assert abs(counts[value] / repetitions - ways / 9) < 4 * error


@pytest.mark.parametrize("draws", [0, 3])
def test_redrawing_more_seeds_than_there_are_is_refused(draws: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw {draws} of 2"):
        redrawn_statistic(RETURNS, UNTRAINED, rng(), draws=draws)


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


def test_improvement_interval_and_its_too_few() -> None:
    usual = improvement_interval(X, Y, rng())
    assert usual.estimate == pytest.approx(RLIABLE_IMPROVEMENT)
    assert 0 < usual.low < usual.estimate < usual.high < 1
    few = improvement_interval(X[:, :3], Y[:, :3], rng())
    assert few.too_few
    assert 0 < few.estimate < 1
    assert improvement_interval(X, Y[:, :3], rng()).too_few
    disjoint = improvement_interval(X + 9, Y, rng())
    assert disjoint.too_few
    assert disjoint.estimate == 1


def lower_by_enumeration(baseline: np.ndarray, candidate: np.ndarray) -> float:
    pooled = np.concatenate([baseline, candidate])
    hits = splits = 0
    for chosen in combinations(range(len(pooled)), len(candidate)):
        rest = np.delete(pooled, chosen)
        difference = pooled[list(chosen)].mean() - rest.mean()
        hits += difference <= candidate.mean() - baseline.mean() + 1e-9
        splits += 1
    return hits / splits


def test_permutation_test_by_hand() -> None:
    assert permutation_test_one_sided([4, 5, 6], [1, 2, 3], rng()) == 1 / 20
    assert permutation_test_one_sided([1, 2, 3], [4, 5, 6], rng()) == 1
    assert permutation_test_one_sided([4, 5, 3], [1, 2, 6], rng()) == pytest.approx(7 / 20)
    assert permutation_test_one_sided([2.0] * 4, [2.0] * 3, rng()) == 1


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 2), (2, 6), (1, 4), (6, 5)])
def test_permutation_test_enumerates(first: int, second: int) -> None:
    baseline, candidate = scores_of(first), scores_of(second, seed=1)
    expected = lower_by_enumeration(baseline, candidate)
    assert permutation_test_one_sided(baseline, candidate, rng()) == pytest.approx(expected)


def test_ties_count_whatever_the_order_of_summation() -> None:
    # 0.1 + 0.2 + 0.3 depends on the order in floating point: 0.6 or 0.6000000000000001.
    baseline, candidate = [0.3, 0.1, 0.2, 5.0], [0.3, 0.2, 0.1]
    # Choosing one 0.1, one 0.2, one 0.3 (8 ways) ties; 0.1 0.1 x (x = 0.2, 0.3; 4 ways) and
    # 0.1 0.2 0.2 (2 ways) are lower; with 5.0, or otherwise, the sum is higher.
    assert permutation_test_one_sided(baseline, candidate, rng()) == pytest.approx(14 / 35)


def test_ten_against_ten_is_exact_and_leaves_the_generator_alone() -> None:
    baseline, candidate = scores_of(10), scores_of(10, seed=1) - 9
    generator = rng()
    p_value = permutation_test_one_sided(baseline, candidate, generator)
    assert p_value == pytest.approx(1 / 184_756, rel=1e-12)
    assert generator.bit_generator.state == rng().bit_generator.state


def test_random_splits_agree_with_all_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    baseline, candidate = scores_of(7), scores_of(5, seed=3) - 0.5
    exact = permutation_test_one_sided(baseline, candidate, rng())
    assert 0.05 < exact < 0.95
    monkeypatch.setattr(statistics, "MAX_EXACT_SPLITS", 0)
    random = permutation_test_one_sided(baseline, candidate, rng(), repetitions=19_999)
    assert random != exact
    assert abs(random - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000)


def test_random_splits_never_give_zero() -> None:
    baseline, candidate = scores_of(15), scores_of(15, seed=1) - 99
    assert permutation_test_one_sided(baseline, candidate, rng(), repetitions=999) == 1 / 1000


def test_permutation_test_keeps_its_level() -> None:
    # Under the null hypothesis P(p ≤ α) ≤ α, with equality for α = k/20 at 3 v 3 without ties.
    p_values = np.array(
        [permutation_test_one_sided(s[:3], s[3:], rng()) for s in scores_of(2000, 6)]
    )
    for alpha in (0.05, 0.1, 0.5):
        error = math.sqrt(alpha * (1 - alpha) / 2000)
        assert abs((p_values <= alpha + 1e-12).mean() - alpha) < 4 * error


@PROPERTY
@given(
    arrays(np.float64, 4, elements=SCORES), arrays(np.float64, 3, elements=SCORES), st.floats(0, 3)
)
def test_lower_candidates_have_lower_p_values(
    baseline: np.ndarray, candidate: np.ndarray, loss: float
) -> None:
    p_value = permutation_test_one_sided(baseline, candidate, rng())
    assert 1 / 35 - 1e-12 <= p_value <= 1
    assert permutation_test_one_sided(baseline, candidate - loss, rng()) <= p_value + 1e-12
    assert permutation_test_one_sided(baseline[::-1], candidate[::-1], rng()) == p_value


def test_permutation_test_refuses_matrices() -> None:
    with pytest.raises(ValueError, match="one axis"):
        permutation_test_one_sided(X, X, rng())


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


# ----------------------------------------------------------------------------------------- trend


def test_trend_of_two_perfect_blocks() -> None:
    # L = 2 (1 + 4 + 9); of the 36 pairs of orders, one is as high.
    trend = trend_test([[1.0, 2.0, 3.0], [10.0, 30.0, 50.0]], [0, 1, 2], rng())
    assert trend.statistic == 28
    assert trend.p_value == pytest.approx(1 / 36)
    assert trend.tau.estimate == 1
    assert trend.tau.too_few
    reverse = trend_test([[1.0, 2.0, 3.0], [10.0, 30.0, 50.0]], [2, 1, 0], rng())
    assert (reverse.statistic, reverse.p_value, reverse.tau.estimate) == (20, 1, -1)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 3), (7, 10, 4)])
def test_trend_is_pages_test_and_kendalls_tau(shape: tuple[int, ...]) -> None:
    scores = scores_of(*shape) + 0.3 * np.arange(shape[-1])
    order = [*range(1, shape[-1]), 0]
    trend = trend_test(scores, order, rng())
    blocks = scores.reshape(-1, shape[-1])[:, order]
    page = stats.page_trend_test(blocks)
    assert (trend.statistic, trend.p_value) == (page.statistic, page.pvalue)
    taus = [stats.kendalltau(np.arange(shape[-1]), block).statistic for block in blocks]
    assert trend.tau.estimate == pytest.approx(np.mean(taus))
    assert trend.tau.low < trend.tau.estimate < trend.tau.high


def test_environments_are_strata_of_tau() -> None:
    # Every block of the first environment rises, every one of the second falls.
    rising = np.tile([1.0, 2.0, 3.0], (4, 1))
    scores = np.stack([rising, -rising])
    assert trend_test(scores, [0, 1, 2], rng()).tau.too_few  # 0 in every resample
    pooled = trend_test(scores.reshape(8, 3), [0, 1, 2], rng()).tau
    assert pooled.low < -0.2 < 0.2 < pooled.high


@pytest.mark.parametrize("censored", [math.nan, math.inf])
def test_values_not_reached_rank_last_and_tie(censored: float) -> None:
    scores = np.array([[1.0, 2.0, censored], [5.0, censored, censored], [censored] * 3])
    ours = trend_test(scores, [0, 1, 2], rng())
    finite = trend_test(np.where(np.isfinite(scores), scores, 1e6), [0, 1, 2], rng())
    assert (ours.statistic, ours.p_value) == (finite.statistic, finite.p_value)
    # Ranks 1 2 3, 1 2.5 2.5, 2 2 2.
    assert ours.statistic == pytest.approx(14 + 13.5 + 12)
    assert ours.tau.estimate == pytest.approx((1 + 2 / 3 + 0) / 3)


@PROPERTY
@given(arrays(np.float64, (4, 3), elements=SCORES))
def test_trend_ignores_units_and_turns_with_the_order(scores: np.ndarray) -> None:
    trend = trend_test(scores, [0, 1, 2], rng(), repetitions=20)
    mapped = trend_test(np.exp(scores), [0, 1, 2], rng(), repetitions=20)
    assert (mapped.statistic, mapped.p_value) == (trend.statistic, trend.p_value)
    assert mapped.tau.estimate == trend.tau.estimate
    columns = trend_test(scores[:, [2, 0, 1]], [1, 2, 0], rng(), repetitions=20)
    assert (columns.statistic, columns.p_value) == (trend.statistic, trend.p_value)
    turned = trend_test(scores, [2, 1, 0], rng(), repetitions=20)
    assert turned.tau.estimate == pytest.approx(-trend.tau.estimate)
    assert turned.statistic + trend.statistic == pytest.approx(2 * 4 * 12)  # both around the mean


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ([1.0, 2.0, 3.0], [0, 1, 2]),
        ([[1.0, 2.0, 3.0]], [0, 1, 2]),
        ([[1.0, 2.0], [1.0, 2.0]], [0, 1]),
        ([[1.0, 2.0, 3.0]] * 2, [1, 2, 3]),
        ([[1.0, 2.0, 3.0]] * 2, [0, 1]),
        (np.empty((0, 3)), [0, 1, 2]),
    ],
)
def test_malformed_trends_are_refused(scores: list[list[float]], order: list[int]) -> None:
    with pytest.raises(ValueError, match=r"not|needs"):
        trend_test(scores, order, rng())
