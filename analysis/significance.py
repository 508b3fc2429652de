"""Tests: permutations, trends, times that may never come, and several tests at once."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy import special, stats  # type: ignore[import-untyped]

from analysis.statistics import Array, finite

PERMUTATIONS = 99_999
TREND_PERMUTATIONS = 9_999


def lower_mean_p_value(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    generator: Generator,
    permutations: int = PERMUTATIONS,
) -> float:
    """p of "the candidate's mean is not lower than the baseline's": studentised permutation test.

    The share of the splits of all runs into groups of the same sizes whose Welch's t is as low as
    the observed one, or lower: all splits where there are no more than ``permutations``, else
    ``(1 + hits) / (1 + permutations)`` random ones.  Exact where both samples are draws of one
    distribution; where only the means are equal, divided by its standard error the difference
    still has nearly the level that it claims (a test of the bare difference has not).

    Args:
        baseline: ``[S0]``.
        candidate: ``[S1]``, independent of the baseline.
        generator: source of random splits.
        permutations: how many.

    Source: Janssen, Statistics & Probability Letters 36 (1997); Chung & Romano, Annals of
    Statistics 41 (2013); Phipson & Smyth 2010 (for the + 1).

    Raises:
        ValueError: a sample has fewer than two values, not one axis, or a value that is not finite.

    """
    old, new = finite(baseline), finite(candidate)
    if old.ndim != 1 or new.ndim != 1 or min(len(old), len(new)) < 2:
        raise ValueError("a sample is not one axis of two values at least")
    test = stats.permutation_test(
        (new, old),
        _welch_t,
        vectorized=True,
        n_resamples=permutations,
        alternative="less",
        batch=10_000,
        rng=generator,
    )
    return float(test.pvalue)


def _welch_t(x: Array, y: Array, axis: int = -1) -> Array:
    """Difference of means over its standard error, which is held above rounding."""
    difference = x.mean(axis=axis) - y.mean(axis=axis)
    error = np.sqrt(
        x.var(axis=axis, ddof=1) / x.shape[axis] + y.var(axis=axis, ddof=1) / y.shape[axis]
    )
    # Sums of the same numbers in another order differ in the last bits.
    tiny = 1e-12 * (1e-12 + np.abs(x).max(axis=axis) + np.abs(y).max(axis=axis))
    t: Array = np.where(np.abs(difference) <= tiny, 0.0, difference / np.maximum(error, tiny))
    return t


@dataclass(frozen=True)
class Trend:
    """Kendall's τ with a claimed order (1: in every block; −1: its reverse), and its p-value."""

    tau: float
    p_value: float


def trend_test(
    values: npt.ArrayLike, generator: Generator, permutations: int = TREND_PERMUTATIONS
) -> Trend:
    """Do the values rise along ``K`` settings?  Permutes the settings within blocks.

    The statistic is Kendall's τ_a with the order of the settings, ``2 / (K (K − 1))`` times
    concordant minus discordant pairs (a tied pair is neither), mean over blocks.  The p-value is
    one-sided: a small one speaks for "some step of the order is strict, and none goes the other
    way"; it is no evidence for each step alone.

    Args:
        values: ``[blocks, K]``, from the smallest claimed value to the largest; may be infinite.  A
            block is one environment × seed, say.
        generator: source of random permutations.
        permutations: how many, unless all are fewer.

    Raises:
        ValueError: not two axes, fewer than three settings, no block, or a NaN.

    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 3 or array.size == 0 or np.isnan(array).any():
        raise ValueError(f"values {array.shape} are not [blocks, K ≥ 3] without NaN")
    # Ranks instead of values: ∞ − ∞ is NaN.
    ranks = stats.rankdata(array, axis=-1)
    if len(ranks) == 1:
        return _trend_of_one_block(ranks[0], generator, permutations)
    test = stats.permutation_test(
        tuple(ranks.T),
        _tau,
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        alternative="greater",
        batch=max(1, 2_000_000 // ranks.size),
        rng=generator,
    )
    return Trend(float(test.statistic), float(test.pvalue))


def _trend_of_one_block(ranks: Array, generator: Generator, permutations: int) -> Trend:
    """Of ``ranks [K]``; scipy wants two blocks."""
    if math.factorial(len(ranks)) <= permutations:
        orders = np.array(list(itertools.permutations(ranks)))
    else:  # the order that was found is one of the possible, too
        drawn = generator.permuted(np.tile(ranks, (permutations, 1)), axis=1)
        orders = np.concatenate([ranks[None], drawn])
    tau = _tau(*orders.T[:, :, None])
    return Trend(float(tau[0]), float((tau >= tau[0]).mean()))


def _tau(*settings: Array, axis: int = -1) -> Array:
    """Mean over ``axis`` (blocks) of τ_a over the settings."""
    upper = np.triu_indices(len(settings), k=1)
    pairs = [
        np.sign(settings[j] - settings[i]).mean(axis=axis) for i, j in zip(*upper, strict=True)
    ]
    # Sums in another order differ in the last bits, and must count as equal.
    tau: Array = np.round(np.asarray(np.mean(pairs, axis=0)), 12)
    return tau


def median_time(times: npt.ArrayLike) -> float:
    """Median of times of which some never came (``inf``); infinite where over half did not.

    Kaplan and Meier's: the first time by which at most half are still to come, since what never
    came is censored after all others.

    Args:
        times: ``[n]``; ``inf``: never.

    """
    ordered = np.sort(np.asarray(times, dtype=np.float64))
    return float(ordered[(len(ordered) - 1) // 2])


def stratified_logrank(
    x: Sequence[npt.ArrayLike], y: Sequence[npt.ArrayLike]
) -> tuple[float, float]:
    """Do events of ``x`` come sooner than those of ``y``?  Log-rank test, strata added up.

    ``Z = Σ_strata (O − E) / √Σ_strata V``, with O − E and V of the events of ``x`` as in the
    ordinary test (``scipy.stats.logrank``, which has no strata).

    Args:
        x, y: one sample of times per stratum; ``inf`` is "not until the end" (right-censored after
            every event).

    Returns:
        Z (positive: ``x`` sooner) and its two-sided p; 0 and 1 where there is no event to compare.

    Source: Mantel, Cancer Chemotherapy Reports 50 (1966).

    """
    excess, variance = 0.0, 0.0
    for first, second in zip(x, y, strict=True):
        a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        for time in np.unique(np.concatenate([a, b])):
            if not math.isfinite(time):
                continue
            here, other = int((a >= time).sum()), int((b >= time).sum())
            at_risk, events = here + other, int((a == time).sum() + (b == time).sum())
            share = here / at_risk
            excess += float((a == time).sum()) - events * share
            if at_risk > 1:
                tied = (at_risk - events) / (at_risk - 1)
                variance += events * share * (1 - share) * tied
    if variance == 0:
        return 0.0, 1.0
    z = excess / math.sqrt(variance)
    return z, float(2 * special.ndtr(-abs(z)))


def holm(p_values: npt.ArrayLike) -> Array:
    """Adjusted p-values ``[K]`` of ``K`` tests; all those ≤ α may be rejected at level α.

    Sorted upwards, ``p̃_(i) = max_{j ≤ i} min(1, (K − j + 1) p_(j))``.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    Raises:
        ValueError: not one axis, or a value outside 0 to 1.

    """
    values = np.asarray(p_values, dtype=np.float64)
    # Not (… or …): comparisons with NaN are False.
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values are one axis of numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    remaining = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, remaining * values[order]))
    return adjusted


def holm_levels(p_values: npt.ArrayLike, level: float = 0.95) -> Array:
    """At which level each of ``K`` intervals excludes 0 just where Holm's test rejects.

    With α = 1 − level, the ``i``-th smallest p is compared with ``α / (K − i + 1)``; from the first
    that is above it on, all are compared with that one's.  Shown at 1 − that, an interval excludes
    0 exactly where :func:`holm` is at most α.  Holm's test bounds false rejections: that all the
    intervals hold their truths together may be less likely than ``level``.

    Returns:
        ``[K]``.

    Raises:
        ValueError: as :func:`holm`.

    """
    values = np.asarray(p_values, dtype=np.float64)
    rejected = int((holm(values) <= 1 - level).sum())
    order = np.argsort(values, kind="stable")
    steps = np.minimum(np.arange(len(values)), rejected)
    levels = np.empty_like(values)
    levels[order] = 1 - (1 - level) / (len(values) - steps)
    return levels
