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
    Case,
    Coverage,
    bootstrap_iqm,
    bootstrap_mean,
    cases,
    coverage_of,
    draw_counts,
    t_bounds,
)
from analysis.run_statistics import iqm
from analysis.statistics import BOOTSTRAP, EXACT, T, bootstrap_intervals, interval, mean_of_runs


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
    counts = draw_counts(4000, 2, 3, rng())
    assert counts.shape == (4000, 2, 3)
    assert (counts.sum(axis=-1) == 3).all() and counts.max() == 3
    # A seed is missing from a resample with probability (2/3)³.
    assert abs((counts == 0).mean() - 8 / 27) < 0.01
    assert abs(np.corrcoef(counts[:, 0, 0], counts[:, 1, 0])[0, 1]) < 0.06


def test_shortcut_bootstraps_are_the_bootstrap_of_seeds() -> None:
    values = rng(1).normal(size=(2, 7, 10))
    for shortcut, statistic in (
        (bootstrap_mean, lambda x: x.mean(axis=(-2, -1))),
        (bootstrap_iqm, iqm),
    ):
        low, high = shortcut(values, rng(), 9_999)
        for n in range(2):
            (plain,) = bootstrap_intervals(statistic, values[n], rng(n))
            width = plain.high - plain.low
            np.testing.assert_allclose(
                [low[n], high[n]], [plain.low, plain.high], atol=0.03 * width
            )


def test_vectorised_t_intervals_are_the_plain_ones() -> None:
    values = rng(1).normal(size=(3, 8, 4)) * np.arange(1, 9)[:, None]
    low, high = t_bounds(values)
    for n in range(3):
        plain = interval(mean_of_runs(values[n], "u"))
        np.testing.assert_allclose([low[n], high[n]], [plain.low, plain.high])


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("statistic", ["mean", "paired difference"])
def test_t_intervals_of_normal_values_cover_what_they_claim(statistic: str, seeds: int) -> None:
    row = coverage_of(Case(statistic, T, "normal", 1, seeds), rng(1), 4000)
    assert row.monte_carlo_error == pytest.approx(math.sqrt(0.95 * 0.05 / 4000), rel=0.1)
    assert abs(row.coverage - 0.95) < 3 * row.monte_carlo_error
    # E[s] = c4 σ, with c4 = √(2 / (n − 1)) Γ(n / 2) / Γ((n − 1) / 2).
    c4 = math.sqrt(2 / (seeds - 1)) * special.gamma(seeds / 2) / special.gamma((seeds - 1) / 2)
    sigma = 1 if statistic == "mean" else math.sqrt(1.25)
    width = 2 * stats.t.ppf(0.975, seeds - 1) * c4 / math.sqrt(seeds) * sigma
    spread = width * math.sqrt(1 / c4**2 - 1) / math.sqrt(4000)
    assert abs(row.mean_width - width) < 4 * spread


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_iqm_is_compared_with_its_own_true_value(
    distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With 40 seeds the bootstrap has little reason to miss; the mean of the skewed and of the
    # bimodal values (0) lies many standard errors from their interquartile mean.
    monkeypatch.setattr(coverage, "REPETITIONS", 500)
    row = coverage_of(Case("iqm", BOOTSTRAP, distribution, 7, 40), rng(), 200)
    assert abs(row.coverage - 0.95) < 0.01 + 3 * math.sqrt(0.95 * 0.05 / 200)


def test_shares_are_held_at_least_as_often_as_claimed() -> None:
    for seeds in (3, 10, 30):
        row = coverage_of(Case("share", EXACT, "one in ten", 7, seeds), rng())
        assert 0.95 <= row.coverage < 1
    # One run: its interval holds 0.1 where it is good (0 to 0.975) and misses where bad (from
    # 0.025: it holds too).
    assert coverage_of(Case("share", EXACT, "one in ten", 1, 1), rng()).coverage == pytest.approx(1)


def test_same_generator_same_row() -> None:
    case = Case("iqm", BOOTSTRAP, "collapses", 7, 10)
    assert coverage_of(case, rng(0), 150) == coverage_of(case, rng(0), 150)
    assert coverage_of(case, rng(0), 150) != coverage_of(case, rng(1), 150)


def test_data_sets_that_do_not_fill_a_batch_are_kept() -> None:
    row = coverage_of(Case("mean", BOOTSTRAP, "normal", 7, 10), rng(), 130)
    assert row.coverage * 130 == pytest.approx(round(row.coverage * 130))
    assert row.monte_carlo_error == pytest.approx(
        math.sqrt(row.coverage * (1 - row.coverage) / 130)
    )


@pytest.mark.parametrize(("statistic", "method"), [("iqm", T), ("mean", "guess")])
def test_intervals_that_do_not_exist_are_refused(statistic: str, method: str) -> None:
    with pytest.raises(ValueError, match=f"no {method} interval of {statistic}"):
        coverage_of(Case(statistic, method, "normal", 7, 3), rng())


def test_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "DATA_SETS", {T: 20, BOOTSTRAP: 20})
    monkeypatch.setattr(coverage, "REPETITIONS", 20)
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert [coverage.main([str(file)]) for file in files] == [0, 0]
    assert files[0].read_bytes() == files[1].read_bytes()
    with files[0].open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == [f.name for f in fields(Coverage)]
    shown = [tuple(map(str, asdict(case).values())) for case in cases()]
    assert [tuple(row.values())[:5] for row in rows] == shown
    assert len(set(shown)) == len(shown)
    first = asdict(next(coverage.all_coverages()))
    for name, value in first.items():
        assert rows[0][name] == (f"{value:.4f}" if isinstance(value, float) else str(value))
