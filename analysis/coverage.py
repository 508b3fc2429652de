"""How often do nominal 95 % intervals hold the truth, with few seeds?  By simulation.

python -m analysis.coverage OUT.csv

Scores are drawn from known distributions, scaled to mean 0 and standard deviation 1 (so widths are
in standard deviations of one run); every environment has the same one.  Statistics:

- ``mean``: over environments × seeds;
- ``difference``: of two such means, the second from scores with half the spread, so that neither
  skewness nor variances cancel;
- ``iqm``: over environments × seeds, on several environments only.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.random import Generator

from analysis import manifest
from analysis.statistics import (
    PERCENTILE,
    SATTERTHWAITE,
    Array,
    iqm,
    percentile_bounds,
    satterthwaite_half_width,
)

LEVEL = 0.95
SEEDS = (3, 5, 10)
ENVIRONMENTS = (1, 7)
DATA_SETS = {"mean": 4000, "difference": 4000, "iqm": 1000}
REPETITIONS = {"mean": 1000, "difference": 1000, "iqm": 400}
# Data sets of one batch share their resamples; more batches average the resamples' own error out.
BATCH = 100

LOG_SPREAD = 0.75
COLLAPSED_SHARE = 0.2
COLLAPSE_DEPTH = 5.0


def _normal(generator: Generator, shape: tuple[int, ...]) -> Array:
    return generator.standard_normal(shape)


def _skewed(generator: Generator, shape: tuple[int, ...]) -> Array:
    """Lognormal: a few runs far above the others."""
    variance = LOG_SPREAD**2
    centre = np.exp(variance / 2)
    spread = centre * np.sqrt(np.expm1(variance))
    scores: Array = (np.exp(LOG_SPREAD * generator.standard_normal(shape)) - centre) / spread
    return scores


def _collapses(generator: Generator, shape: tuple[int, ...]) -> Array:
    """One run in five lies five standard deviations of the others below them."""
    collapsed = generator.random(shape) < COLLAPSED_SHARE
    scores = generator.standard_normal(shape) - COLLAPSE_DEPTH * collapsed
    centre = -COLLAPSE_DEPTH * COLLAPSED_SHARE
    variance = 1 + COLLAPSE_DEPTH**2 * COLLAPSED_SHARE * (1 - COLLAPSED_SHARE)
    standardised: Array = (scores - centre) / np.sqrt(variance)
    return standardised


DISTRIBUTIONS: dict[str, Callable[[Generator, tuple[int, ...]], Array]] = {
    "normal": _normal,
    "skewed": _skewed,
    "collapses": _collapses,
}


@dataclass(frozen=True)
class Coverage:
    """One simulated case: a row of the table."""

    statistic: str
    method: str
    distribution: str
    environments: int
    seeds: int
    nominal: float
    coverage: float
    monte_carlo_error: float
    mean_width: float


def simulated_coverage(
    statistic: str,
    method: str,
    distribution: str,
    environments: int,
    seeds: int,
    generator: Generator,
    data_sets: int | None = None,
    repetitions: int | None = None,
) -> Coverage:
    """Share of simulated data sets whose interval holds the true value.

    Args:
        statistic: ``mean``, ``difference`` or ``iqm``.
        method: one of ``analysis.statistics``: the percentile bootstrap, or Welch-Satterthwaite's t
            (not for ``iqm``), which on one environment is Student's t and Welch's.
        distribution: a key of ``DISTRIBUTIONS``.
        environments: ``E``.
        seeds: ``S``, per environment (and sample).
        generator: of the data sets, then of the resamples: with equal seeds, two methods judge the
            same data sets.
        data_sets: how many, if not ``DATA_SETS``.
        repetitions: resamples of one bootstrap, if not ``REPETITIONS``.

    Returns:
        The row; its ``monte_carlo_error`` is the standard error ``√(c (1 − c) / data_sets)``.

    Raises:
        ValueError: there is no such interval.

    """
    if method not in (PERCENTILE, SATTERTHWAITE) or (statistic, method) == ("iqm", SATTERTHWAITE):
        raise ValueError(f"no {method} interval of {statistic}")
    count = data_sets or DATA_SETS[statistic]
    draw = DISTRIBUTIONS[distribution]
    # Samples are stacked along the environments: a difference is a sum with weights 1/E and −1/E.
    spreads = {"mean": [1.0], "iqm": [1.0], "difference": [1.0, 0.5]}[statistic]
    signs = np.repeat([1.0, -1.0][: len(spreads)], environments)
    scores = draw(generator, (count, len(signs), seeds))
    scores *= np.repeat(spreads, environments)[:, None]
    truth = _true_iqm(distribution) if statistic == "iqm" else 0.0
    if method == SATTERTHWAITE:
        low, high = satterthwaite_intervals(scores, signs / environments)
    else:
        resamples = repetitions or REPETITIONS[statistic]
        batches = [scores[i : i + BATCH] for i in range(0, count, BATCH)]
        if statistic == "iqm":
            bounds = [bootstrap_iqm(batch, generator, resamples) for batch in batches]
        else:
            weights = signs / environments
            bounds = [bootstrap_sum(batch, weights, generator, resamples) for batch in batches]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
    coverage = float(((low <= truth) & (truth <= high)).mean())
    return Coverage(
        statistic=statistic,
        method=method,
        distribution=distribution,
        environments=environments,
        seeds=seeds,
        nominal=LEVEL,
        coverage=coverage,
        monte_carlo_error=float(np.sqrt(coverage * (1 - coverage) / count)),
        mean_width=float((high - low).mean()),
    )


def satterthwaite_intervals(scores: Array, weights: Array) -> tuple[Array, Array]:
    """Bounds ``[N]`` of ``Σ_e w_e mean_e`` for ``N`` data sets ``[N, E, S]``."""
    seeds = scores.shape[-1]
    variances = weights**2 * scores.var(axis=-1, ddof=1) / seeds
    half = satterthwaite_half_width(variances, seeds - 1, LEVEL)
    estimate = scores.mean(axis=-1) @ weights
    return estimate - half, estimate + half


def bootstrap_sum(
    scores: Array, weights: Array, generator: Generator, repetitions: int
) -> tuple[Array, Array]:
    """Percentile bounds ``[N]`` of ``Σ_e w_e mean_e`` for ``N`` data sets ``[N, E, S]``.

    How often each seed is drawn is a matrix ``[B, E S]`` common to the data sets, so that all
    resampled sums are one product with it.
    """
    counts = draw_counts(repetitions, scores.shape[1], scores.shape[2], generator)
    matrix = (counts * (weights[:, None] / scores.shape[2])).reshape(repetitions, -1)
    return percentile_bounds(matrix @ scores.reshape(len(scores), -1).T, LEVEL)


def draw_counts(repetitions: int, environments: int, seeds: int, generator: Generator) -> Array:
    """How often each seed is in each resample of each environment: ``[B, E, S]``."""
    shape = (repetitions, environments, seeds)
    drawn = generator.integers(seeds, size=shape)
    rows = np.arange(repetitions * environments).reshape(repetitions, environments, 1)
    places = (rows * seeds + drawn).ravel()
    return np.bincount(places, minlength=drawn.size).reshape(shape).astype(np.float64)


def bootstrap_iqm(scores: Array, generator: Generator, repetitions: int) -> tuple[Array, Array]:
    """Percentile bounds ``[N]`` of the interquartile mean for ``N`` data sets ``[N, E, S]``."""
    _, environments, seeds = scores.shape
    drawn = generator.integers(seeds, size=(repetitions, environments, seeds))
    places = drawn + seeds * np.arange(environments)[:, None]
    return percentile_bounds(iqm(scores.reshape(len(scores), -1)[:, places]).T, LEVEL)


@cache
def _true_iqm(distribution: str) -> float:
    """From a million scores: a hundredth of the error of the largest data set's, hence harmless."""
    return float(iqm(DISTRIBUTIONS[distribution](np.random.default_rng(0), (1_000_000,))))


def all_coverages(seed: int = 0) -> Iterator[Coverage]:
    """Every case of the report; the methods of a case judge the same data sets."""
    statistics = ("mean", "difference", "iqm")
    cases = product(statistics, DISTRIBUTIONS, ENVIRONMENTS, SEEDS)
    for number, (statistic, distribution, environments, seeds) in enumerate(cases):
        if statistic == "iqm" and environments == 1:
            continue
        for method in (PERCENTILE, SATTERTHWAITE) if statistic != "iqm" else (PERCENTILE,):
            generator = np.random.default_rng([seed, number])
            yield simulated_coverage(
                statistic, method, distribution, environments, seeds, generator
            )


def main(arguments: list[str]) -> int:
    """The command line."""
    (out,) = map(Path, arguments)
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Coverage)], lineterminator="\n")
        table.writeheader()
        for row in all_coverages():
            table.writerow(
                {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            )
    manifest.renew(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
