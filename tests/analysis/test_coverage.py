"""Simulated coverage: its shortcuts against the plain statistics, its numbers against theory."""

import csv
import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from analysis import coverage
from analysis.coverage import (
    DISTRIBUTIONS,
    Coverage,
    bootstrap_iqm,
    bootstrap_sum,
    draw_counts,
    satterthwaite_intervals,
    simulated_coverage,
)
from analysis.statistics import (
    PERCENTILE,
    SATTERTHWAITE,
    aggregate_difference_interval,
    aggregate_interval,
    iqm,
    mean,
    stratified_bootstrap,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distributions_have_mean_zero_and_unit_spread(distribution: str) -> None:
    scores = DISTRIBUTIONS[distribution](rng(), (400_000,))
    assert abs(scores.mean()) < 4 * scores.std() / math.sqrt(scores.size)
    assert abs((scores**2).mean() - 1) < 4 * (scores**2).std() / math.sqrt(scores.size)


def test_distributions_are_as_skewed_as_they_say() -> None:
    skewness = {d: stats.skew(draw(rng(), (100_000,))) for d, draw in DISTRIBUTIONS.items()}
    assert abs(skewness["normal"]) < 0.05
    assert skewness["skewed"] > 2
    assert skewness["collapses"] < -0.8


def test_counts_are_of_draws_with_replacement() -> None:
    counts = draw_counts(500, 2, 3, rng())
    assert counts.shape == (500, 2, 3)
    assert (counts.sum(axis=-1) == 3).all()
    assert counts.max() == 3
    drawn = rng().integers(3, size=(500, 2, 3))
    for place in range(3):
        np.testing.assert_array_equal(counts[..., place], (drawn == place).sum(axis=-1))


def test_shortcut_bootstraps_are_the_stratified_bootstrap() -> None:
    scores = rng(1).normal(size=(2, 7, 5))
    sums = bootstrap_sum(scores, np.full(7, 1 / 7), rng(), 300)
    iqms = bootstrap_iqm(scores, rng(), 300)
    for (low, high), statistic in ((sums, mean), (iqms, iqm)):
        for n in range(2):
            plain = stratified_bootstrap(statistic, scores[n], rng(), 300)
            np.testing.assert_allclose([low[n], high[n]], [plain.low, plain.high], rtol=1e-10)


def test_vectorised_t_intervals_are_the_plain_ones() -> None:
    scores = rng(1).normal(size=(3, 8, 4)) * np.arange(1, 9)[:, None]
    low, high = satterthwaite_intervals(scores, np.full(8, 1 / 8))
    signs = np.repeat([0.25, -0.25], 4)
    low_of_difference, high_of_difference = satterthwaite_intervals(scores, signs)
    for n in range(3):
        plain = aggregate_interval(scores[n])
        np.testing.assert_allclose([low[n], high[n]], [plain.low, plain.high])
        plain = aggregate_difference_interval(scores[n, :4], scores[n, 4:])
        ours = [low_of_difference[n], high_of_difference[n]]
        np.testing.assert_allclose(ours, [plain.low, plain.high])


@pytest.mark.parametrize(
    ("environments", "seeds", "expected"),
    [(1, 3, 0.75), (1, 5, 0.83), (1, 10, 0.90), (7, 3, 0.87), (7, 5, 0.90), (7, 10, 0.94)],
)
def test_percentile_intervals_cover_as_little_as_the_design_says(
    environments: int, seeds: int, expected: float
) -> None:
    row = simulated_coverage("mean", PERCENTILE, "normal", environments, seeds, rng(7))
    # Expected values are rounded to 0.01, and are simulations themselves.
    assert abs(row.coverage - expected) < 0.01 + 3 * row.monte_carlo_error


@pytest.mark.parametrize("seeds", [3, 10])
def test_t_intervals_of_normal_scores_cover_what_they_claim(seeds: int) -> None:
    row = simulated_coverage("mean", SATTERTHWAITE, "normal", 1, seeds, rng(1))
    assert row.monte_carlo_error == pytest.approx(math.sqrt(0.95 * 0.05 / 4000), rel=0.1)
    assert abs(row.coverage - 0.95) < 3 * row.monte_carlo_error
    # E[s] = c4 σ, with c4 = √(2 / (n − 1)) Γ(n / 2) / Γ((n − 1) / 2).
    c4 = math.sqrt(2 / (seeds - 1)) * special.gamma(seeds / 2) / special.gamma((seeds - 1) / 2)
    width = 2 * stats.t.ppf(0.975, seeds - 1) * c4 / math.sqrt(seeds)
    spread = width * math.sqrt(1 / c4**2 - 1) / math.sqrt(4000)
    assert abs(row.mean_width - width) < 4 * spread


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("statistic", ["mean", "difference"])
def test_with_three_seeds_t_covers_better_than_the_bootstrap(
    statistic: str, distribution: str
) -> None:
    rows = [
        simulated_coverage(statistic, method, distribution, 7, 3, rng(2), 1000, 500)
        for method in (PERCENTILE, SATTERTHWAITE)
    ]
    assert rows[0].coverage + 3 * rows[0].monte_carlo_error < rows[1].coverage
    assert rows[0].mean_width < rows[1].mean_width


def test_second_sample_of_a_difference_has_half_the_spread() -> None:
    # Var = (1 + 1/4) / S; with 400 seeds the bootstrap is as wide as the normal interval.
    row = simulated_coverage("difference", PERCENTILE, "normal", 1, 400, rng(), 200, 1000)
    assert row.mean_width == pytest.approx(2 * 1.96 * math.sqrt(1.25 / 400), rel=0.03)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_iqm_is_compared_with_its_own_true_value(distribution: str) -> None:
    # With 100 seeds the bootstrap has no reason to miss; the mean of the skewed and of the
    # bimodal scores (0) lies many standard errors from their interquartile mean.
    row = simulated_coverage("iqm", PERCENTILE, distribution, 7, 100, rng(), 200, 200)
    assert abs(row.coverage - 0.95) < 0.01 + 3 * math.sqrt(0.95 * 0.05 / 200)


def test_same_generator_same_row() -> None:
    def row(seed: int) -> Coverage:
        return simulated_coverage("iqm", PERCENTILE, "collapses", 7, 3, rng(seed), 150, 50)

    assert row(0) == row(0)
    assert row(0) != row(1)


def test_data_sets_that_do_not_fill_a_batch_are_kept() -> None:
    row = simulated_coverage("mean", PERCENTILE, "normal", 1, 3, rng(), 130, 50)
    assert row.coverage * 130 == pytest.approx(round(row.coverage * 130))
    assert row.monte_carlo_error == pytest.approx(
        math.sqrt(row.coverage * (1 - row.coverage) / 130)
    )


@pytest.mark.parametrize(("statistic", "method"), [("iqm", SATTERTHWAITE), ("mean", "guess")])
def test_intervals_that_do_not_exist_are_refused(statistic: str, method: str) -> None:
    with pytest.raises(ValueError, match=f"no {method} interval of {statistic}"):
        simulated_coverage(statistic, method, "normal", 7, 3, rng())


def test_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "DATA_SETS", {"mean": 20, "difference": 20, "iqm": 5})
    monkeypatch.setattr(coverage, "REPETITIONS", {"mean": 20, "difference": 20, "iqm": 5})
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert [coverage.main([str(file)]) for file in files] == [0, 0]
    assert files[0].read_bytes() == files[1].read_bytes()
    with files[0].open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == [f.name for f in fields(Coverage)]
    # 3 distributions × (2 statistics × 2 methods × 2 × 3, and the IQM on 7 environments × 3).
    assert len(rows) == 3 * (2 * 2 * 2 * 3 + 3)
    assert len({(*list(row.values())[:5],) for row in rows}) == len(rows)
    assert {row["environments"] for row in rows if row["statistic"] == "iqm"} == {"7"}
    first = asdict(next(coverage.all_coverages()))
    for name, value in first.items():
        assert rows[0][name] == (f"{value:.4f}" if isinstance(value, float) else str(value))
