"""Statistics of all runs of a variant at once: one number, or one curve.

Shapes: ``E`` environments, ``V`` variants, ``S`` seeds; a leading ``...`` stands for any number of
axes, so that a bootstrap computes all its resamples in one call.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy import stats  # type: ignore[import-untyped]

from analysis.statistics import Array, finite

Best = Literal["run", "setting"]


def iqm(values: npt.ArrayLike) -> Array:
    """Interquartile mean over all runs of ``[..., E, S]``.

    The mean without the ``⌊E S / 4⌋`` lowest and as many highest values.  Use it across
    environments: on one, it hides the runs that collapsed.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.3; rliable's ``aggregate_iqm``.
    """
    middle: Array = stats.trim_mean(_runs(values), 0.25, axis=-1)
    return middle


def performance_profile(values: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """Share of runs, over seeds and environments, strictly above each threshold.

    Args:
        values: ``[..., E, S]``.
        thresholds: ``[K]``.

    Returns:
        ``[..., K]``.

    Source: Agarwal et al. 2021, section 4.2; rliable's ``create_performance_profile``.

    """
    above: Array = (_runs(values)[..., None, :] > np.asarray(thresholds)[:, None]).mean(axis=-1)
    return above


def _runs(values: npt.ArrayLike) -> Array:
    """``[..., E, S]`` → ``[..., E S]``."""
    array = finite(values)
    return array.reshape(*array.shape[:-2], -1)


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
        ValueError: not two axes at least, unlike environments, or a value that is not finite.

    """
    first, second = finite(x), finite(y)
    if min(first.ndim, second.ndim) < 2 or first.shape[:-1] != second.shape[:-1]:
        raise ValueError(f"{first.shape} and {second.shape} are not [..., E, S1] and [..., E, S2]")
    signs = np.sign(first[..., :, None] - second[..., None, :])
    probability: Array = (1 + signs.mean(axis=(-3, -2, -1))) / 2
    return probability


# --------------------------------------------------------------------- the PPO paper's statistic


def normalise(scores: npt.ArrayLike, untrained: npt.ArrayLike, best: npt.ArrayLike) -> Array:
    """``(score − untrained) / (best − untrained)`` on every environment.

    Args:
        scores: ``[..., E, V, S]``.
        untrained: ``[E]``.
        best: ``[..., E]``.

    Returns:
        As ``scores``; NaN on environments where the best is not above the untrained policy.

    Raises:
        ValueError: not so many axes, not one constant per environment, or a score that is not
            finite.

    """
    values, zero, one = finite(scores), finite(untrained), finite(best)
    if values.ndim < 3 or zero.shape != values.shape[-3:-2] or one.shape[-1:] != zero.shape:
        raise ValueError(f"scores {values.shape} need one constant per environment")
    unit = np.where(one > zero, one - zero, np.nan)[..., None, None]
    scaled: Array = (values - zero[:, None, None]) / unit
    return scaled


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
        ValueError: as :func:`normalise`, or no such best.

    """
    if best not in ("run", "setting"):
        raise ValueError(f"best is 'run' or 'setting', not {best!r}")
    values = finite(scores)
    means = values.mean(axis=-1, keepdims=True)
    one = (values if best == "run" else means).max(axis=(-2, -1))
    # Means first: the map is affine, and this is S times less work.
    table: Array = normalise(means, untrained, one)[..., 0].mean(axis=-2)
    return table


def redrawn_statistic(
    scores: npt.ArrayLike,
    untrained: npt.ArrayLike,
    generator: Generator,
    draws: int = 3,
    repetitions: int = 2000,
    best: Best = "run",
) -> Array:
    """What the paper's statistic might have been with ``draws`` other seeds, many times.

    Each repetition draws ``draws`` of the ``S`` seeds with replacement, for every environment ×
    variant on its own, and computes :func:`table1_scores`, the best run included.  Of a mean the
    spread is that of fresh seeds times ``√(1 − 1/S)``: 0.89 with five.  (Without replacement it
    would be times ``√(1 − draws/S)``: 0.63 with three of five.)

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
        ValueError: ``draws`` is not positive, or as :func:`table1_scores`.

    """
    values = finite(scores)
    if draws < 1:
        raise ValueError(f"cannot draw {draws} seeds")
    shape = (repetitions, *values.shape[:-1], draws)
    drawn = np.take_along_axis(
        values[None], generator.integers(values.shape[-1], size=shape), axis=-1
    )
    return table1_scores(drawn, untrained, best)
