"""Numbers of runs → estimates and intervals: pure functions of arrays.

Shapes: ``E`` environments, ``V`` variants, ``S`` seeds.  Environments are fixed, not sampled: every
interval is about other seeds on the same environments.  Seeds are shared: the run with seed 3
starts from the same networks, noise and environment in every variant, so that differences are
paired by seed.  Means and their differences have t intervals: from 3 seeds on they hold the truth
about as often as they say, or in nine cases of ten where the runs of one environment are skewed;
statistics that have none are bootstrapped, from 10 seeds on (``results/reference/coverage.csv``, by
``analysis.coverage``).  Values must be finite.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # type: ignore[import-untyped]  # its parts load at their first use
from numpy.random import Generator

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]

T = "t"
BOOTSTRAP = "percentile bootstrap"
EXACT = "Clopper-Pearson"

FEW_SEEDS = 10
"""Below so many seeds means have t intervals: the percentile bootstrap needs more data."""
RESAMPLES = 9_999
BATCH = 1_000
"""Resamples in memory at a time."""


@dataclass(frozen=True)
class Interval:
    """An estimate between two bounds, which are NaN where there is too little data for them."""

    estimate: float
    low: float
    high: float
    level: float
    method: str


# ------------------------------------------------------------------------------------- estimates


@dataclass(frozen=True)
class Estimate:
    """A number with all that a verdict needs to know of it.

    Args:
        value: in ``unit``; of a ``factor`` its natural logarithm.
        standard_error: of ``value``; NaN where there are too few runs for one.
        df: degrees of freedom of the standard error.
        n: runs, pairs of runs or updates behind it.
        unit: ``u`` (published scale), ``factor``, ``share``, …

    """

    value: float
    standard_error: float
    df: float
    n: int
    unit: str

    def bounds(self, level: float) -> tuple[float, float]:
        """``value ∓ t_df SE`` at the given coverage; NaN without a standard error."""
        _check_level(level)
        half = float(scipy.special.stdtrit(self.df, (1 + level) / 2)) * self.standard_error
        return self.value - half, self.value + half

    def p_above(self, null: float = 0.0) -> float:
        """Twice the one-sided p of "the truth is ``null`` or less", at most 1.

        It is ≤ α exactly where the lower bound at level 1 − α is ``null`` or more, and above it
        where the standard error is 0.
        """
        return self._p(self.value - null)

    def p_below(self, null: float = 0.0) -> float:
        """As :meth:`p_above`, of "the truth is ``null`` or more"."""
        return self._p(null - self.value)

    @property
    def p_value(self) -> float:
        """Two-sided, of "the truth is 0"."""
        return min(self.p_above(), self.p_below())

    def _p(self, distance: float) -> float:
        if math.isnan(self.standard_error):
            return 1.0
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * float(scipy.special.stdtr(self.df, -distance / self.standard_error)))


def interval(estimate: Estimate, level: float = 0.95) -> Interval:
    """The t interval of an estimate."""
    return Interval(estimate.value, *estimate.bounds(level), level, T)


def mean_estimate(values: npt.ArrayLike, unit: str, least_deviation: float = 0.0) -> Estimate:
    """Mean of ``values [n]`` with ``s / √n`` and ``n − 1`` degrees of freedom.

    Args:
        values: of one axis.
        unit: of the values.
        least_deviation: what s counts as where it is smaller.

    Raises:
        ValueError: no values, not one axis, or a value that is not finite.

    """
    array = finite(values)
    if array.ndim != 1:
        raise ValueError("a sample is not one axis of values")
    count = len(array)
    error = math.nan
    if count > 1:
        error = max(float(array.std(ddof=1)), least_deviation) / math.sqrt(count)
    return Estimate(float(array.mean()), error, max(count - 1.0, 1.0), count, unit)


def weighted_sum(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """``Σ_k w_k value_k`` of independent estimates; degrees of freedom as in :func:`satterthwaite`.

    Raises:
        ValueError: no estimates, or not one weight for each.

    """
    if not estimates or len(estimates) != len(weights):
        raise ValueError(f"{len(estimates)} estimates, {len(weights)} weights")
    w = np.array(weights, dtype=np.float64)
    error, df = satterthwaite(
        (w * [e.standard_error for e in estimates]) ** 2, np.array([e.df for e in estimates])
    )
    value = math.fsum(k * e.value for k, e in zip(weights, estimates, strict=True))
    count = sum(e.n for e in estimates)
    return Estimate(value, float(error), float(df), count, estimates[0].unit)


def mean_over_environments(estimates: Sequence[Estimate]) -> Estimate:
    """``1/E Σ_e value_e``; environments are fixed.

    Args:
        estimates: one per environment, independent of each other, of one unit.

    Raises:
        ValueError: ``estimates`` is empty.

    """
    return weighted_sum(estimates, [1 / max(len(estimates), 1)] * len(estimates))


def mean_of_runs(values: npt.ArrayLike, unit: str, least_deviation: float = 0.0) -> Estimate:
    """Mean over environments of the mean over seeds of ``values [E, S]``.

    Args:
        values, unit, least_deviation: as for :func:`mean_estimate`, of every environment.

    Raises:
        ValueError: no values, not two axes, or a value that is not finite.

    """
    array = finite(values)
    if array.ndim != 2:
        raise ValueError(f"values {array.shape} are not [E, S]")
    return mean_over_environments([mean_estimate(row, unit, least_deviation) for row in array])


def paired_difference(
    x: npt.ArrayLike, y: npt.ArrayLike, unit: str = "u", least_deviation: float = 0.0
) -> Estimate:
    """:func:`mean_of_runs` of ``x − y``, paired by seed within an environment.

    Args:
        x: ``[E, S]``; ``[S]`` is one environment.
        y: the same environments and seeds in the same order.
        unit: of both.
        least_deviation: as for :func:`mean_estimate`.

    Raises:
        ValueError: unlike shapes, or as :func:`mean_of_runs`.

    """
    first, second = np.atleast_2d(finite(x)), np.atleast_2d(finite(y))
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are no pairs")
    return mean_of_runs(first - second, unit, least_deviation)


def satterthwaite(variances: Array, df: Array) -> tuple[Array, Array]:
    """Standard error and degrees of freedom of a sum of ``K`` independent estimates.

    ``√Σ v_k`` and ``ν = (Σ v_k)² / Σ (v_k² / ν_k)``; ``ν = Σ ν_k`` where all variances are 0.

    Args:
        variances: ``v_k [..., K]`` of the terms.
        df: ``ν_k [K]``, their degrees of freedom, all positive.

    Returns:
        Both ``[...]``.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946); Welch, Biometrika 34 (1947).

    """
    total = variances.sum(axis=-1)
    # Shares instead of variances: squares of small numbers would underflow.
    shares = variances / np.where(total > 0, total, 1.0)[..., None]
    freedom = 1 / np.where(total > 0, (shares**2 / df).sum(axis=-1), 1 / df.sum())
    return np.sqrt(total), freedom


def share(hits: int, total: int, level: float = 0.95) -> Interval:
    """Share of cases with the exact interval of Clopper and Pearson, which takes them as alike.

    Without a case it is NaN.  The interval holds the truth at least as often as it says.

    Source: Clopper & Pearson, Biometrika 26 (1934).
    """
    if total == 0:
        return Interval(math.nan, math.nan, math.nan, level, EXACT)
    low, high = scipy.stats.binomtest(hits, total).proportion_ci(level, method="exact")
    return Interval(hits / total, float(low), float(high), level, EXACT)


# ------------------------------------------------------------------------------------- bootstrap


def resampled(
    statistic: Statistic,
    values: npt.ArrayLike,
    generator: Generator,
    resamples: int = RESAMPLES,
) -> Array:
    """A statistic of seeds drawn with replacement, on every environment on its own.

    A seed is drawn with the runs of all variants that have it.  The statistic sees all environments
    and variants at once: a scale that it computes (the best run) is inside the bootstrap.

    Args:
        statistic: of ``[..., E, V, S]``, or as many axes as ``values`` with any number before them;
            it makes ``[..., *K]``.
        values: ``[E, S]`` or ``[E, V, S]``.
        generator: source of the draws.
        resamples: how many, ``B``.

    Returns:
        ``[B, *K]``.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.1, which draws each variant's seeds on
    their own.

    Raises:
        ValueError: one seed, not two or three axes, or a value that is not finite.

    """
    array = finite(values)
    if array.ndim not in (2, 3) or array.shape[-1] < 2:
        raise ValueError(f"values {array.shape} are not [E, S] or [E, V, S] with two seeds")

    def of_environments(*environments: Array, axis: int) -> Array:
        drawn = np.moveaxis(np.stack(environments), -2, 0)  # [E, (V,) B, S] → [B, E, (V,) S]
        return np.moveaxis(statistic(drawn), 0, -1)

    with warnings.catch_warnings():
        # A resample may have no statistic; whoever takes quantiles sees it.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        bootstrapped = scipy.stats.bootstrap(
            tuple(array),
            of_environments,
            n_resamples=resamples,
            batch=BATCH,
            vectorized=True,
            axis=-1,
            method="percentile",
            rng=generator,
        )
    distribution: Array = np.moveaxis(bootstrapped.bootstrap_distribution, -1, 0)
    return distribution


def percentile_bounds(distribution: Array, level: float) -> tuple[Array, Array]:
    """The ``(1 ∓ level) / 2`` quantiles ``[...]`` of a bootstrap distribution ``[B, ...]``."""
    _check_level(level)
    low, high = np.quantile(distribution, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def bootstrap_intervals(
    statistic: Statistic,
    values: npt.ArrayLike,
    generator: Generator,
    level: float = 0.95,
) -> list[Interval]:
    """Percentile intervals of a statistic that makes ``[..., K]``, or ``[...]`` for ``K = 1``.

    Bounds are NaN below 10 seeds, where the statistic of a resample is NaN, and where all resamples
    agree: an interval of no width says that there are too few runs, not that they are sure.

    Args:
        statistic, values, generator: as in :func:`resampled`.
        level: nominal coverage.

    """
    array = finite(values)
    estimates = np.atleast_1d(statistic(array))
    if array.shape[-1] < FEW_SEEDS:
        low = high = np.full(estimates.shape, math.nan)
    else:
        low, high = _bounds_with_a_width(resampled(statistic, array, generator), level)
    return [
        Interval(float(e), float(a), float(b), level, BOOTSTRAP)
        for e, a, b in zip(estimates, low, high, strict=True)
    ]


def bootstrap_over_environments(
    statistic: Statistic,
    environments: Sequence[npt.ArrayLike],
    generator: Generator,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of ``1/E Σ_e statistic(x_e)``, where environments have unlike seeds.

    Bounds are NaN as those of :func:`bootstrap_intervals`.

    Args:
        statistic: of ``[..., 1, V, S]``, one environment; it makes ``[...]``.
        environments: ``[V, S]`` of each.
        generator, level: as in :func:`bootstrap_intervals`.

    """
    arrays = [finite(values)[None] for values in environments]
    estimate = float(np.mean([statistic(array) for array in arrays]))
    low = high = np.array([math.nan])
    if min(array.shape[-1] for array in arrays) >= FEW_SEEDS:
        # Their seeds are drawn apart from each other, so that the b-th of all make one resample.
        drawn = [resampled(statistic, array, generator) for array in arrays]
        low, high = _bounds_with_a_width(np.mean(drawn, axis=0), level)
    return Interval(estimate, float(low[0]), float(high[0]), level, BOOTSTRAP)


def _bounds_with_a_width(distribution: Array, level: float) -> tuple[Array, Array]:
    low, high = map(np.atleast_1d, percentile_bounds(distribution, level))
    return np.where(low < high, low, math.nan), np.where(low < high, high, math.nan)


# ---------------------------------------------------------------------------------------- guards


def finite(values: npt.ArrayLike) -> Array:
    """Values as an array of float64.

    Raises:
        ValueError: there is none, or one that is NaN or infinite.

    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values")
    if not np.isfinite(array).all():
        raise ValueError("a value is NaN or infinite")
    return array


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
