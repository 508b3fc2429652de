"""Scores → estimates, intervals and tests: pure functions of arrays.

Shapes: ``E`` environments, ``V`` variants, ``S`` seeds; a leading ``...`` stands for any number of
batch axes, so that a bootstrap computes all its repetitions in one call.  Environments are fixed,
not sampled: every interval is about other seeds on the same environments.  Everything random takes
a ``numpy.random.Generator``.  Scores must be finite (only :func:`trend_test` knows "not reached").
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy import special, stats  # type: ignore[import-untyped]

Array = npt.NDArray[np.float64]
Statistic = Callable[..., Array]
Best = Literal["run", "setting"]

T = "t"
WELCH = "Welch t"
SATTERTHWAITE = "Welch-Satterthwaite t"
PERCENTILE = "percentile bootstrap"

IMPROVEMENT_MIN_SEEDS = 4
"""With 3 × 3 runs, disjoint samples (one in ten by chance alone) give the interval [1, 1]."""

MAX_EXACT_SPLITS = 200_000
"""10 v 10 runs have 184,756 splits."""

# ------------------------------------------------------------------------------------- intervals


@dataclass(frozen=True)
class Interval:
    """An estimate between two bounds, which are NaN where there is too little data for them."""

    estimate: float
    low: float
    high: float
    level: float
    method: str

    @property
    def too_few(self) -> bool:
        """Whether there were too few runs to say how sure the estimate is."""
        return math.isnan(self.low) or math.isnan(self.high)


@dataclass(frozen=True, eq=False)
class Band:
    """Pointwise intervals: ``estimate``, ``low``, ``high`` have one shape; ``band[i]`` is one."""

    estimate: Array
    low: Array
    high: Array
    level: float
    method: str

    def __getitem__(self, index: int | tuple[int, ...]) -> Interval:
        """The interval of one entry."""
        low, high = float(self.low[index]), float(self.high[index])
        return Interval(float(self.estimate[index]), low, high, self.level, self.method)

    def __len__(self) -> int:
        """Length of the first axis."""
        return len(self.estimate)


@dataclass(frozen=True)
class Estimate:
    """A number with what its interval needs.

    Args:
        value: the estimate.
        standard_error: of ``value``; 0 where it is exact, NaN where there is too little data.
        df: degrees of freedom of the standard error.
        n: how many runs, or pairs of runs, it is made of.
        unit: of ``value``.

    """

    value: float
    standard_error: float
    df: float
    n: int
    unit: str

    def bounds(self, level: float) -> tuple[float, float]:
        """``value ∓ t_df SE`` at the given coverage; NaN without a standard error."""
        _check_level(level)
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * self.standard_error
        return self.value - half, self.value + half

    def p_above(self, null: float = 0.0) -> float:
        """Twice the one-sided p of "the truth is ``null`` or less", at most 1.

        It is ≤ α exactly where the lower bound at level 1 − α is ``null`` or more.
        """
        return self._p(self.value - null)

    def p_below(self, null: float = 0.0) -> float:
        """As :meth:`p_above`, of "the truth is ``null`` or more"."""
        return self._p(null - self.value)

    def _p(self, distance: float) -> float:
        if math.isnan(self.standard_error):
            return 1.0
        if self.standard_error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * float(special.stdtr(self.df, -distance / self.standard_error)))


def interval(estimate: Estimate, level: float = 0.95) -> Interval:
    """``value ± t_{(1 + level) / 2}(df) · standard_error``; bounds are NaN where the latter is."""
    _check_level(level)
    half = float(special.stdtrit(estimate.df, (1 + level) / 2)) * estimate.standard_error
    return Interval(estimate.value, estimate.value - half, estimate.value + half, level, T)


def mean_estimate(x: npt.ArrayLike, unit: str = "u", least_spread: float = 0.0) -> Estimate:
    """Mean over environments of the mean over seeds; environments are fixed, seeds are drawn.

    ``1/E Σ_e mean_e``, with the variance ``Σ_e s_e² / (S E²)`` and Satterthwaite's degrees of
    freedom ``(Σ_e s_e²)² / Σ_e (s_e⁴ / (S − 1))``.

    Args:
        x: ``[E, S]``; ``[S]`` is one environment.
        unit: of ``x``.
        least_spread: a standard deviation over seeds ``s_e`` below it counts as it: three seeds
            that agree by chance, or at the ceiling of a task, are not free of noise.

    Returns:
        The estimate; standard error and degrees of freedom are NaN for ``S = 1``.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946).

    Raises:
        ValueError: no values, more than two axes, or a value that is not finite.

    """
    values = np.atleast_2d(_finite(x))
    if values.ndim > 2:
        raise ValueError(f"{values.shape} is not [E, S]")
    environments, seeds = values.shape
    value = float(values.mean(axis=-1).mean())
    if seeds < 2:
        return Estimate(value, math.nan, math.nan, values.size, unit)
    spread = np.maximum(values.std(axis=-1, ddof=1), least_spread)
    total = float((spread**2).sum())
    # Shares instead of variances: squares of small numbers would underflow.
    concentration = float(((spread**2 / total) ** 2).sum()) if total > 0 else 1 / environments
    error = math.sqrt(total / seeds) / environments
    return Estimate(value, error, (seeds - 1) / concentration, values.size, unit)


def mean_over_environments(estimates: Sequence[Estimate]) -> Estimate:
    """``1/E Σ_e value_e``; environments are fixed, degrees of freedom by Satterthwaite.

    Args:
        estimates: one per environment, independent of each other, of one unit.

    Raises:
        ValueError: none.

    """
    if not estimates:
        raise ValueError("no environments")
    count = len(estimates)
    variances = np.array([e.standard_error**2 for e in estimates])
    degrees = np.array([e.df for e in estimates])
    total = float(variances.sum())
    shares = variances / total if total > 0 else np.full(count, 1 / count)
    return Estimate(
        value=math.fsum(e.value for e in estimates) / count,
        standard_error=math.sqrt(total) / count,
        df=float(1 / (shares**2 / degrees).sum()),
        n=sum(e.n for e in estimates),
        unit=estimates[0].unit,
    )


def paired_difference(
    x: npt.ArrayLike, y: npt.ArrayLike, unit: str = "u", least_spread: float = 0.0
) -> Estimate:
    """:func:`mean_estimate` of ``x − y``, paired by seed within an environment.

    The run with seed 3 starts from the same networks, noise and environment in every variant.

    Args:
        x: ``[E, S]``; ``[S]`` is one environment.
        y: the same environments and seeds in the same order.
        unit: of both.
        least_spread: as in :func:`mean_estimate`, of the differences.

    Raises:
        ValueError: unlike shapes, or as :func:`mean_estimate`.

    """
    first, second = _finite(x), _finite(y)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not pairs")
    return mean_estimate(first - second, unit, least_spread)


def satterthwaite_half_width(variances: Array, degrees: npt.ArrayLike, level: float) -> Array:
    """Half the width of the interval of a sum of ``K`` independent estimates.

    ``h = t_{(1 + level) / 2}(ν) √Σ v_k`` with ``ν = (Σ v_k)² / Σ (v_k² / ν_k)``; ``ν = K (n − 1)``
    when all variances are equal.

    Args:
        variances: ``v_k [..., K]``, the estimated variances of the ``K`` terms.
        degrees: ``ν_k [K]``, their degrees of freedom, all positive.
        level: nominal coverage.

    Returns:
        ``[...]``; 0 where all variances are 0.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946); Welch, Biometrika 34 (1947).

    """
    _check_level(level)
    total = variances.sum(axis=-1)
    # Shares instead of variances: squares of small numbers would underflow.
    shares = variances / np.where(total > 0, total, 1.0)[..., None]
    concentration = (shares**2 / np.asarray(degrees)).sum(axis=-1)
    freedom = 1 / np.where(total > 0, concentration, 1.0)
    half: Array = special.stdtrit(freedom, (1 + level) / 2) * np.sqrt(total)
    return half


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """``mean ± t_{n−1} s / √n`` of ``values [n]``; bounds are NaN for ``n = 1``.

    Raises:
        ValueError: no values, not one axis, or a value that is not finite.

    """
    return _interval_of_sum([values], [1.0], level, T)


def welch_interval(x: npt.ArrayLike, y: npt.ArrayLike, level: float = 0.95) -> Interval:
    """``mean(x) − mean(y) ± t_ν √(s_x²/n_x + s_y²/n_y)`` of ``x [n_x]`` and ``y [n_y]``.

    Bounds are NaN if either sample has one value.

    Source: Welch, Biometrika 34 (1947).

    Raises:
        ValueError: a sample has no values, not one axis, or a value that is not finite.

    """
    return _interval_of_sum([x, y], [1.0, -1.0], level, WELCH)


def aggregate_interval(scores: Iterable[npt.ArrayLike], level: float = 0.95) -> Interval:
    """Interval of the mean over environments of the mean over seeds; environments are fixed.

    ``1/E Σ_e mean_e ± t_ν √(Σ_e s_e² / S_e) / E``, the degrees of freedom as in
    :func:`satterthwaite_half_width`.  This is the interval of an aggregate below 10 seeds, where
    the percentile bootstrap is too narrow.

    Args:
        scores: ``[E, S]``, normalised; or one sample ``[S_e]`` per environment.
        level: nominal coverage.

    Returns:
        The interval; bounds are NaN if an environment has one seed.

    Raises:
        ValueError: an environment has no values, not one axis, or a value that is not finite.

    """
    samples = list(scores)
    return _interval_of_sum(samples, _equal_weights(samples), level, SATTERTHWAITE)


def aggregate_difference_interval(
    x: Iterable[npt.ArrayLike], y: Iterable[npt.ArrayLike], level: float = 0.95
) -> Interval:
    """Interval of ``1/E Σ_e (mean(x_e) − mean(y_e))``: :func:`aggregate_interval` of two variants.

    Args:
        x: ``[E, S1]``, or one sample per environment; runs independent of those of ``y``.
        y: ``[E, S2]``, the same environments in the same order.
        level: nominal coverage.

    Returns:
        The interval; bounds are NaN if a sample has one seed.

    Raises:
        ValueError: unlike numbers of environments, or as :func:`aggregate_interval`.

    """
    first, second = list(x), list(y)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} environments of one variant, {len(second)} of the other")
    weights = _equal_weights(first)
    weights += [-weight for weight in weights]
    return _interval_of_sum(first + second, weights, level, SATTERTHWAITE)


def _equal_weights(samples: list[npt.ArrayLike]) -> list[float]:
    if not samples:
        raise ValueError("no environments")
    return [1 / len(samples)] * len(samples)


def _interval_of_sum(
    samples: Sequence[npt.ArrayLike], weights: Sequence[float], level: float, method: str
) -> Interval:
    """Interval of ``Σ_k w_k mean(samples_k)``."""
    arrays = [_finite(sample) for sample in samples]
    if any(array.ndim != 1 for array in arrays):
        raise ValueError("a sample is not one axis of scores")
    estimate = math.fsum(w * float(a.mean()) for w, a in zip(weights, arrays, strict=True))
    if min(len(array) for array in arrays) < 2:
        return Interval(estimate, math.nan, math.nan, level, method)
    degrees = [len(array) - 1 for array in arrays]
    variances = [w**2 * a.var(ddof=1) / len(a) for w, a in zip(weights, arrays, strict=True)]
    half = float(satterthwaite_half_width(np.array(variances), degrees, level))
    return Interval(estimate, estimate - half, estimate + half, level, method)


# ------------------------------------------------------------------------------------- bootstrap


def resample_seeds(scores: npt.ArrayLike, generator: Generator, repetitions: int) -> Array:
    """Draw seeds with replacement, in every stratum (all axes but the last) on its own.

    Args:
        scores: ``[..., S]``.
        generator: source of the draws.
        repetitions: how many resamples, ``B``.

    Returns:
        ``[B, ..., S]``.

    Raises:
        ValueError: no score, or one that is not finite.

    """
    values = _finite(scores)
    seeds = generator.integers(values.shape[-1], size=(repetitions, *values.shape))
    return np.take_along_axis(values[None], seeds, axis=-1)


def percentile_bounds(distribution: Array, level: float) -> tuple[Array, Array]:
    """The ``(1 ∓ level) / 2`` quantiles ``[...]`` of a bootstrap distribution ``[B, ...]``."""
    _check_level(level)
    low, high = np.quantile(distribution, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def bootstrap_band(
    statistic: Statistic,
    data: Array | Sequence[Array],
    generator: Generator,
    repetitions: int = 2000,
    level: float = 0.95,
) -> Band:
    """Percentile intervals by stratified bootstrap over seeds.

    Every environment × variant gets its own resample, and the statistic sees all of them at once:
    a normaliser that it computes (the best run) is therefore inside the bootstrap.  Intervals are
    too narrow below 10 seeds; ``analysis.coverage`` says by how much.

    Args:
        statistic: of one or several score arrays with leading batch axes; of ``[..., E, V, S]``,
            say, it makes ``[..., *K]``.
        data: one array whose last axis are seeds, or a sequence of them: the statistic's arguments.
        generator: source of the resamples.
        repetitions: how many.
        level: nominal coverage.

    Returns:
        A band of shape ``K``; bounds are NaN if an array has one seed, and where the statistic of
        a resample is NaN.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.1 and rliable.

    Raises:
        ValueError: a score is not finite, or the statistic drops the batch axis.

    """
    samples = [_finite(sample) for sample in ([data] if isinstance(data, np.ndarray) else data)]
    estimate = np.asarray(statistic(*samples), dtype=np.float64)
    resampled = [resample_seeds(sample, generator, repetitions) for sample in samples]
    distribution = np.asarray(statistic(*resampled), dtype=np.float64)
    if distribution.shape != (repetitions, *estimate.shape):
        raise ValueError(
            f"the statistic makes {estimate.shape} of the scores, so of {repetitions} resamples "
            f"it must make {(repetitions, *estimate.shape)}, not {distribution.shape}"
        )
    low, high = percentile_bounds(distribution, level)
    if min(sample.shape[-1] for sample in samples) < 2:
        low, high = np.full_like(estimate, np.nan), np.full_like(estimate, np.nan)
    return Band(estimate, np.asarray(low), np.asarray(high), level, PERCENTILE)


def stratified_bootstrap(
    statistic: Statistic,
    data: Array | Sequence[Array],
    generator: Generator,
    repetitions: int = 2000,
    level: float = 0.95,
) -> Interval:
    """:func:`bootstrap_band` of a statistic that makes one number of the scores.

    Raises:
        ValueError: it makes several, or as :func:`bootstrap_band`.

    """
    band = bootstrap_band(statistic, data, generator, repetitions, level)
    if band.estimate.shape:
        raise ValueError(f"the statistic makes {band.estimate.shape}: use bootstrap_band")
    return band[()]


# ------------------------------------------------------------------------------------ aggregates


def mean(scores: npt.ArrayLike) -> Array:
    """Mean over all runs of ``[..., E, S]``; ``[S]`` is one environment."""
    values: Array = _runs(scores).mean(axis=-1)
    return values


def iqm(scores: npt.ArrayLike) -> Array:
    """Interquartile mean over all runs of ``[..., E, S]``; ``[S]`` is one environment.

    The mean without the ``⌊E S / 4⌋`` lowest and as many highest scores.  Use it across
    environments: on one, it hides the runs that collapsed.

    Source: Agarwal et al. 2021, section 4.3; rliable's ``aggregate_iqm``.
    """
    runs = np.sort(_runs(scores), axis=-1)
    cut = runs.shape[-1] // 4
    middle: Array = runs[..., cut : runs.shape[-1] - cut].mean(axis=-1)
    return middle


def per_variant(statistic: Statistic) -> Statistic:
    """A statistic of ``[..., E, S]`` as one of ``[..., E, V, S]`` that makes ``[..., V]``."""
    return lambda scores: statistic(np.moveaxis(scores, -2, -3))


def performance_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """Share of runs, over seeds and environments, strictly above each threshold.

    Args:
        scores: ``[..., E, S]``, normalised.
        thresholds: ``[K]``.

    Returns:
        ``[..., K]``.

    Source: Agarwal et al. 2021, section 4.2; rliable's ``create_performance_profile``.

    """
    above = _runs(scores)[..., None, :] > np.asarray(thresholds)[:, None]
    share: Array = above.mean(axis=-1)
    return share


def performance_profile_band(
    scores: Array,
    thresholds: npt.ArrayLike,
    generator: Generator,
    repetitions: int = 2000,
    level: float = 0.95,
) -> Band:
    """:func:`performance_profile` of ``[E, S]`` with pointwise bootstrap intervals ``[K]``."""

    def profile(resampled: Array) -> Array:
        return performance_profile(resampled, thresholds)

    return bootstrap_band(profile, scores, generator, repetitions, level)


def _runs(scores: npt.ArrayLike) -> Array:
    """``[..., E, S]`` or ``[S]`` → ``[..., E S]``."""
    values = np.atleast_2d(_finite(scores))
    return values.reshape(*values.shape[:-2], -1)


# --------------------------------------------------------------------- the PPO paper's statistic


def normalise(scores: npt.ArrayLike, untrained: npt.ArrayLike, best: npt.ArrayLike) -> Array:
    """The affine map per environment with 0 = untrained policy and 1 = best.

    ``(score − untrained) / (best − untrained)``

    Args:
        scores: ``[E, S]`` or ``[..., E, V, S]``.
        untrained: ``[E]``.
        best: ``[E]``.

    Returns:
        As ``scores``.

    Raises:
        ValueError: in some environment the best is not above the untrained policy, or there is no
            such constant for some environment.

    """
    values, zero, one = _finite(scores), _finite(untrained), _finite(best)
    axis = _environment_axis(values, zero)
    if zero.shape != one.shape:
        raise ValueError(f"untrained scores {zero.shape}, best scores {one.shape}")
    if not (one > zero).all():
        raise ValueError("the best score is not above that of the untrained policy")
    return (values - _along(zero, axis)) / _along(one - zero, axis)


def table1_scores(scores: npt.ArrayLike, untrained: npt.ArrayLike, best: Best = "run") -> Array:
    """The statistic of the PPO paper's Table 1: one number per variant.

    Every environment is mapped by :func:`normalise`, then a variant's score is its mean over
    environments × seeds.  The best is found in ``scores`` itself, therefore a maximum that grows
    with the number of seeds: compare with the paper's 3 by :func:`redrawn_statistic`.

    Args:
        scores: ``[..., E, V, S]``, returns.
        untrained: ``[E]``, returns of the untrained policy.
        best: 1 is the best single run of all variants, or the best variant's mean over seeds (the
            paper's "best result" can be read either way).

    Returns:
        ``[..., V]``; NaN where in some environment nothing is better than the untrained policy.

    Source: PPO paper (arXiv 1707.06347), section 6.1.

    Raises:
        ValueError: fewer than three axes, not one untrained score per environment, or no such best.

    """
    if best not in ("run", "setting"):
        raise ValueError(f"best is 'run' or 'setting', not {best!r}")
    values, zero = _finite(scores), _finite(untrained)
    if values.ndim < 3:
        raise ValueError(f"scores {values.shape} are not [..., E, V, S]")
    _environment_axis(values, zero)
    means = values.mean(axis=-1)
    one = values.max(axis=(-2, -1)) if best == "run" else means.max(axis=-1)
    unit = np.where(one > zero, one - zero, np.nan)
    # Means first: the map is affine, and this is S times less work.
    table: Array = ((means - zero[:, None]) / unit[..., None]).mean(axis=-2)
    return table


def redrawn_statistic(
    scores: npt.ArrayLike,
    untrained: npt.ArrayLike,
    generator: Generator,
    draws: int = 3,
    repetitions: int = 2000,
    best: Best = "run",
) -> Array:
    """What the paper's statistic would have been with ``draws`` of our seeds, many times.

    Each repetition takes ``draws`` of the ``S`` seeds without replacement, for every environment ×
    variant on its own, and computes :func:`table1_scores`, the best run included.  As the subsets
    overlap, the spread shown is somewhat below that of fresh seeds, by the factor
    ``√(1 − draws/S)`` for a mean.

    Args:
        scores: ``[E, V, S]``, returns.
        untrained: ``[E]``.
        generator: source of the draws.
        draws: seeds per environment × variant; the paper has 3.
        repetitions: how many, ``B``.
        best: as in :func:`table1_scores`.

    Returns:
        ``[B, V]``.

    Raises:
        ValueError: there are not ``draws`` seeds, or as :func:`table1_scores`.

    """
    values = _finite(scores)
    if not 1 <= draws <= values.shape[-1]:
        raise ValueError(f"cannot draw {draws} of {values.shape[-1]} seeds")
    shuffled = generator.permuted(np.broadcast_to(values, (repetitions, *values.shape)), axis=-1)
    return table1_scores(shuffled[..., :draws], untrained, best)


def _environment_axis(scores: Array, untrained: Array) -> int:
    """Which axis of ``[E, S]`` or ``[..., E, V, S]`` are the environments."""
    axis = -2 if scores.ndim == 2 else -3
    if scores.ndim < 2 or untrained.shape != (scores.shape[axis],):
        raise ValueError(f"scores {scores.shape} need one constant per environment")
    return axis


def _along(constants: Array, axis: int) -> Array:
    """``[E]`` so that it broadcasts along a negative ``axis``."""
    return constants.reshape(-1, *[1] * (-axis - 1))


# ----------------------------------------------------------------------------------- comparisons


def probability_of_improvement(x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """``1/E Σ_e [P(X_e > Y_e) + P(X_e = Y_e) / 2]`` over all pairs of runs.

    The Mann-Whitney statistic over the number of pairs, averaged over environments; it says how
    often, not by how much.

    Args:
        x: ``[..., E, S1]``.
        y: ``[..., E, S2]``.

    Returns:
        ``[...]``, 0 to 1.

    Source: Agarwal et al. 2021, section 4.3; rliable's ``probability_of_improvement``.

    Raises:
        ValueError: not two axes at least, unlike environments, or a score that is not finite.

    """
    first, second = _finite(x), _finite(y)
    if min(first.ndim, second.ndim) < 2 or first.shape[:-1] != second.shape[:-1]:
        raise ValueError(f"{first.shape} and {second.shape} are not [..., E, S1] and [..., E, S2]")
    signs = np.sign(first[..., :, None] - second[..., None, :])
    probability: Array = (1 + signs.mean(axis=(-3, -2, -1))) / 2
    return probability


def improvement_interval(
    x: Array,
    y: Array,
    generator: Generator,
    repetitions: int = 2000,
    level: float = 0.95,
) -> Interval:
    """:func:`probability_of_improvement` of ``x [E, S1]`` over ``y [E, S2]`` by bootstrap.

    Returns:
        The interval.  Bounds are NaN ("too few") with three seeds or fewer on either side, and
        where the bootstrap is one point: disjoint samples would claim [1, 1].

    Raises:
        ValueError: as :func:`probability_of_improvement`.

    """
    interval = stratified_bootstrap(
        probability_of_improvement, [x, y], generator, repetitions, level
    )
    if min(np.shape(x)[-1], np.shape(y)[-1]) < IMPROVEMENT_MIN_SEEDS:
        return _without_bounds(interval)
    return _without_point(interval)


def permutation_test_one_sided(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    generator: Generator,
    repetitions: int = 99_999,
) -> float:
    """p-value of "the candidate's mean is not lower than the baseline's".

    Share of the splits of all runs into groups of the same sizes that give the candidate a mean as
    low as, or lower than, the observed one.  Up to 200,000 splits all are enumerated (the
    generator is not used); above, ``(1 + hits) / (1 + repetitions)`` over random ones, which keeps
    the test valid.  The smallest possible p of 10 v 10 is 1/184,756, of 3 v 3 is 1/20.

    Args:
        baseline: ``[S0]``.
        candidate: ``[S1]``.
        generator: source of random splits.
        repetitions: how many.

    Source: Phipson & Smyth 2010 (for the + 1).

    Raises:
        ValueError: a sample has no values, not one axis, or a value that is not finite.

    """
    old, new = _finite(baseline), _finite(candidate)
    if old.ndim != 1 or new.ndim != 1:
        raise ValueError("a sample is not one axis of scores")
    pooled = np.concatenate([old, new])
    # The total is the same in every split, so a low mean of the candidate is a low sum.  The same
    # numbers added in another order may differ in the last bits, and must still count as equal.
    bound = new.sum() + 1e-12 * np.abs(pooled).sum()
    if math.comb(len(pooled), len(new)) <= MAX_EXACT_SPLITS:
        sums = pooled[_splits(len(pooled), len(new))].sum(axis=-1)
        return float((sums <= bound).mean())
    shuffled = generator.permuted(np.broadcast_to(pooled, (repetitions, len(pooled))), axis=-1)
    hits = int((shuffled[:, : len(new)].sum(axis=-1) <= bound).sum())
    return (1 + hits) / (1 + repetitions)


@lru_cache(maxsize=4)
def _splits(total: int, chosen: int) -> npt.NDArray[np.int16]:
    """Every choice of ``chosen`` of ``total`` places: ``[C(total, chosen), chosen]``."""
    places = chain.from_iterable(combinations(range(total), chosen))
    count = math.comb(total, chosen)
    splits = np.fromiter(places, np.int16, count * chosen).reshape(count, chosen)
    splits.flags.writeable = False  # shared by all callers
    return splits


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


def stratified_logrank(
    x: Sequence[npt.ArrayLike], y: Sequence[npt.ArrayLike]
) -> tuple[float, float]:
    """Do events of ``x`` come sooner than those of ``y``?  Log-rank test, strata added up.

    ``Z = Σ_strata (O − E) / √Σ_strata V``, with O − E and V of the events of ``x`` as in the
    ordinary test.

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


# ----------------------------------------------------------------------------------------- trend


@dataclass(frozen=True)
class Trend:
    """Page's ``L``, its one-sided p-value, and Kendall's τ as the size of the effect."""

    statistic: float
    p_value: float
    tau: Interval


def trend_test(
    scores: npt.ArrayLike,
    order: Sequence[int],
    generator: Generator,
    repetitions: int = 2000,
    level: float = 0.95,
) -> Trend:
    """Do the values rise along a claimed order of ``K`` settings?

    ``L = Σ_k k Σ_blocks rank_k`` (Page's test; exact for small tables, else asymptotic).  A small
    p speaks for "some step of the order is strict, and none goes the other way"; it is no evidence
    for each step alone.  Ties get their mean rank, which makes the p-value conservative.

    The effect size is Kendall's τ_a between claimed and observed order, ``2 / (K (K − 1))`` times
    concordant minus discordant pairs, tied pairs counting as neither: 1 = the claimed order in
    every block, −1 = its reverse.  Mean over blocks; its interval resamples blocks within each
    environment.

    Args:
        scores: ``[..., S, K]``: ``[blocks, K]``, or ``[E, S, K]`` so that environments are strata.
            A block is one environment × seed.  Settings are independent runs, so how seeds are
            paired into blocks is arbitrary, but must not depend on the scores.  Censored values
            (NaN or +inf = "not reached", of steps to a threshold) rank last, that is as larger
            than all others, and as equal among each other.
        order: the ``K`` columns, from the smallest claimed value to the largest.
        generator: source of the bootstrap.
        repetitions: bootstrap resamples.
        level: nominal coverage.

    Returns:
        The test; bounds of τ are NaN where the bootstrap is one point (all blocks agree).

    Source: Page, Journal of the American Statistical Association 58 (1963); Kendall 1938.

    Raises:
        ValueError: not two axes at least, fewer than two blocks or three settings, or ``order`` is
            not a permutation of the columns.

    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim < 2 or values.size == 0:
        raise ValueError(f"scores {values.shape} are not [..., S, K]")
    settings = values.shape[-1]
    if settings < 3 or values.size // settings < 2:
        raise ValueError("a trend needs three settings and two blocks")
    if sorted(order) != list(range(settings)):
        raise ValueError(f"order {list(order)} is not a permutation of {settings} columns")
    arranged = np.where(np.isnan(values), np.inf, values)[..., list(order)]
    ranks = stats.rankdata(arranged, axis=-1)
    page = stats.page_trend_test(ranks.reshape(-1, settings), ranked=True)
    upper = np.triu_indices(settings, k=1)
    # Ranks instead of values: inf − inf is NaN.
    tau = np.sign(ranks[..., upper[1]] - ranks[..., upper[0]]).mean(axis=-1)
    tau_interval = stratified_bootstrap(mean, np.atleast_2d(tau), generator, repetitions, level)
    return Trend(float(page.statistic), float(page.pvalue), _without_point(tau_interval))


# ------------------------------------------------------------------------------------------ guards


def _without_bounds(interval: Interval) -> Interval:
    return Interval(interval.estimate, math.nan, math.nan, interval.level, interval.method)


def _without_point(interval: Interval) -> Interval:
    """An interval of no width says that there are too few runs, not that they are sure."""
    return _without_bounds(interval) if interval.low == interval.high else interval


def _finite(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no scores")
    if not np.isfinite(array).all():
        raise ValueError("a score is NaN or infinite")
    return array


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
