"""How often do the intervals that are shown hold the truth, with few seeds?  By simulation.

python -m analysis.coverage OUT.csv

Values are drawn from known distributions, scaled to mean 0 and standard deviation 1 (so widths are
in standard deviations of one run); every environment has the same one.  Statistics:

- ``mean``: over environments × seeds;
- ``paired difference``: of two such means, the second of values with half the spread, so that
  skewness does not cancel; what the runs of one seed share does;
- ``iqm``: interquartile mean over environments × seeds;
- ``share``: of runs, one in ten of which are bad (this one is no simulation).
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.progress import track
from scipy import special, stats  # type: ignore[import-untyped]

from analysis import manifest
from analysis.run_statistics import iqm
from analysis.statistics import (
    BOOTSTRAP,
    EXACT,
    FEW_SEEDS,
    Array,
    T,
    percentile_bounds,
    satterthwaite,
    share,
)
from replicate.messages import given_files, one_line_errors

LEVEL = 0.95
SEEDS = (3, 5, 10)
ENVIRONMENTS = (1, 7)
DATA_SETS = {T: 20_000, BOOTSTRAP: 4_000}
REPETITIONS = 1_000
# Data sets of one batch share their resamples; more batches average the resamples' own error out.
BATCH = 100

LOG_SPREAD = 0.75
COLLAPSED_SHARE = 0.2
COLLAPSE_DEPTH = 5.0
BAD_SHARE = 0.1


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
class Case:
    """An interval that is shown somewhere."""

    statistic: str
    method: str
    distribution: str
    environments: int
    seeds: int


@dataclass(frozen=True)
class Coverage(Case):
    """A row of the table.

    Args:
        nominal: what the interval claims.
        coverage: share of data sets whose interval held the truth.
        monte_carlo_error: its standard error ``√(c (1 − c) / data_sets)``.
        mean_width: of the intervals, in standard deviations of one run.

    """

    nominal: float
    coverage: float
    monte_carlo_error: float
    mean_width: float


def cases() -> Iterator[Case]:
    """The kinds of intervals that verdicts and Table 1 have: t, exact, and the bootstrap.

    Not the bootstrap of a probability of improvement or of a performance profile.
    """
    for statistic in ("mean", "paired difference"):
        for distribution in DISTRIBUTIONS:
            for environments in ENVIRONMENTS:
                for seeds in SEEDS:
                    yield Case(statistic, T, distribution, environments, seeds)
            yield Case(statistic, BOOTSTRAP, distribution, max(ENVIRONMENTS), FEW_SEEDS)
    for distribution in DISTRIBUTIONS:
        yield Case("iqm", BOOTSTRAP, distribution, max(ENVIRONMENTS), FEW_SEEDS)
    for seeds in SEEDS:
        yield Case("share", EXACT, "one in ten", max(ENVIRONMENTS), seeds)


def coverage_of(case: Case, generator: Generator, data_sets: int | None = None) -> Coverage:
    """Share of simulated data sets whose interval holds the true value.

    Args:
        case: what is simulated.
        generator: of the data sets, then of the resamples: with equal seeds, two methods judge the
            same data sets.
        data_sets: how many, if not ``DATA_SETS``.

    Raises:
        ValueError: there is no such interval.

    """
    if case.method == EXACT:
        return _coverage_of_share(case)
    known = {("mean", T), ("paired difference", T), ("mean", BOOTSTRAP)}
    known |= {("paired difference", BOOTSTRAP), ("iqm", BOOTSTRAP)}
    if (case.statistic, case.method) not in known:
        raise ValueError(f"no {case.method} interval of {case.statistic}")
    count = data_sets or DATA_SETS[case.method]
    draw, shape = DISTRIBUTIONS[case.distribution], (count, case.environments, case.seeds)
    values = draw(generator, shape)
    if case.statistic == "paired difference":
        values = values - 0.5 * draw(generator, shape)
    truth = _true_iqm(case.distribution) if case.statistic == "iqm" else 0.0
    if case.method == T:
        low, high = t_bounds(values)
    else:
        bootstrap = bootstrap_iqm if case.statistic == "iqm" else bootstrap_mean
        batches = [values[i : i + BATCH] for i in range(0, count, BATCH)]
        bounds = [bootstrap(batch, generator, REPETITIONS) for batch in batches]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
    coverage = float(((low <= truth) & (truth <= high)).mean())
    error = float(np.sqrt(coverage * (1 - coverage) / count))
    return Coverage(
        **asdict(case),
        nominal=LEVEL,
        coverage=coverage,
        monte_carlo_error=error,
        mean_width=float((high - low).mean()),
    )


def _coverage_of_share(case: Case) -> Coverage:
    """The coverage of a share's interval: exact, by the binomial distribution of bad runs."""
    runs = case.environments * case.seeds
    intervals = [share(hits, runs, LEVEL) for hits in range(runs + 1)]
    weights = stats.binom.pmf(np.arange(runs + 1), runs, BAD_SHARE)
    held = np.array([f.low <= BAD_SHARE <= f.high for f in intervals])
    widths = np.array([f.high - f.low for f in intervals])
    return Coverage(
        **asdict(case),
        nominal=LEVEL,
        coverage=float(weights @ held),
        monte_carlo_error=0.0,
        mean_width=float(weights @ widths),
    )


def t_bounds(values: Array) -> tuple[Array, Array]:
    """Bounds ``[N]`` of the mean of ``N`` data sets ``[N, E, S]``, environments fixed."""
    _, environments, seeds = values.shape
    variances = values.var(axis=-1, ddof=1) / seeds / environments**2
    error, df = satterthwaite(variances, np.full(environments, seeds - 1.0))
    half = special.stdtrit(df, (1 + LEVEL) / 2) * error
    mean = values.mean(axis=(-2, -1))
    return mean - half, mean + half


def bootstrap_mean(values: Array, generator: Generator, repetitions: int) -> tuple[Array, Array]:
    """Percentile bounds ``[N]`` of the mean for ``N`` data sets ``[N, E, S]``.

    How often each seed is drawn is a matrix ``[B, E S]`` common to the data sets, so that all
    resampled means are one product with it.
    """
    _, environments, seeds = values.shape
    counts = draw_counts(repetitions, environments, seeds, generator).reshape(repetitions, -1)
    means = counts @ values.reshape(len(values), -1).T / (environments * seeds)
    return percentile_bounds(means, LEVEL)


def draw_counts(repetitions: int, environments: int, seeds: int, generator: Generator) -> Array:
    """How often each seed is in each resample of each environment: ``[B, E, S]``."""
    even = np.full(seeds, 1 / seeds)
    drawn = generator.multinomial(seeds, even, size=(repetitions, environments))
    return drawn.astype(np.float64)


def bootstrap_iqm(values: Array, generator: Generator, repetitions: int) -> tuple[Array, Array]:
    """Percentile bounds ``[N]`` of the interquartile mean for ``N`` data sets ``[N, E, S]``."""
    _, environments, seeds = values.shape
    drawn = generator.integers(seeds, size=(repetitions, environments, seeds))
    places = drawn + seeds * np.arange(environments)[:, None]
    return percentile_bounds(iqm(values.reshape(len(values), -1)[:, places]).T, LEVEL)


@cache
def _true_iqm(distribution: str) -> float:
    """From a million scores: a hundredth of the error of the largest data set's, hence harmless."""
    return float(iqm(DISTRIBUTIONS[distribution](np.random.default_rng(0), (1, 1_000_000))))


def all_coverages() -> Iterator[Coverage]:
    """The coverage of every case; two methods of one case judge the same data sets."""
    for case in cases():
        values = [case.statistic, case.distribution, case.environments, case.seeds]
        yield coverage_of(case, np.random.default_rng([0, *repr(values).encode()]))


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    (out,) = map(Path, given_files("analysis.coverage", ["OUT.csv"], arguments))
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Coverage)], lineterminator="\n")
        table.writeheader()
        total = len(list(cases()))
        for row in track(all_coverages(), "cases", total, console=Console(stderr=True)):
            table.writerow(
                {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            )
    manifest.renew(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
