"""Estimates paired by seed: closed forms, and coverage of their intervals by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import Estimate, interval, mean_estimate, paired_difference


def test_on_one_environment_it_is_the_paired_t_test() -> None:
    x, y = np.array([3.0, 5.0, 4.0, 8.0]), np.array([1.0, 4.0, 4.0, 5.0])
    found = paired_difference(x, y, "u")
    theirs = stats.ttest_rel(x, y).confidence_interval(0.9)
    ours = interval(found, 0.9)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs))
    assert found.value == 1.5 and found.df == 3 and found.n == 4 and found.unit == "u"


def test_over_environments_it_is_satterthwaites_sum() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5)) * np.array([[1.0], [2.0], [10.0]])
    found = mean_estimate(x)
    variances = x.var(axis=1, ddof=1) / 5 / 9
    assert found.standard_error == pytest.approx(math.sqrt(variances.sum()))
    assert found.df == pytest.approx(variances.sum() ** 2 / (variances**2 / 4).sum())
    assert found.n == 15 and found.value == pytest.approx(x.mean())


def test_pairs_take_out_what_seeds_share() -> None:
    rng = np.random.default_rng(0)
    shared = 100 * rng.normal(size=(2, 5))
    x, y = shared + rng.normal(size=(2, 5)), shared + rng.normal(size=(2, 5))
    assert paired_difference(x, y).standard_error < 2 < mean_estimate(x).standard_error


def test_seeds_that_agree_are_not_free_of_noise_where_a_least_spread_is_given() -> None:
    same = np.ones((2, 3))
    assert paired_difference(same, same).standard_error == 0
    found = paired_difference(same, same, least_spread=0.01)
    assert found.standard_error == pytest.approx(0.01 / math.sqrt(6)) and found.df == 4


def test_one_seed_has_no_interval() -> None:
    found = interval(mean_estimate([[1.0], [2.0]]))
    assert found.estimate == 1.5 and found.too_few


def test_an_exact_number_is_its_own_interval() -> None:
    found = interval(Estimate(2.0, 0.0, math.inf, 1, "u"))
    assert found.low == found.high == 2.0


@pytest.mark.parametrize("bad", [[[1.0, math.nan]], [[1.0, math.inf]], np.ones((2, 2, 2)), []])
def test_what_is_no_sample_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"score|not"):
        mean_estimate(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pairs"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("seeds", [3, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    rng = np.random.default_rng(1)
    spread = np.array([[1.0], [1.0], [3.0], [0.1]])
    hits = 0
    for _ in range(2000):
        shared = rng.normal(size=(4, seeds))
        x = shared + spread * rng.normal(size=(4, seeds)) + 0.5
        y = shared + spread * rng.normal(size=(4, seeds))
        found = interval(paired_difference(x, y))
        hits += found.low <= 0.5 <= found.high
    # Satterthwaite's degrees of freedom are approximate: a percent above or below.
    assert hits / 2000 == pytest.approx(0.95, abs=0.025)
