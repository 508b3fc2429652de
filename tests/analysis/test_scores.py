"""Scores of runs: what counts as collapsed, slow, diverged, and what 0 and 1 mean."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.normalisers import Normaliser, normalisers, untrained_return
from analysis.scores import COLUMNS, collapsed, course, drawdown, run_scores
from analysis.study import Study
from tests.analysis import made_up

ENVS = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}
HEADER = "recipe,total_env_steps,env,untrained,best\n"


def curve(*values: float) -> pd.Series:
    """Evenly spaced bins of a run, indexed by their middle."""
    middles = (np.arange(len(values)) + 0.5) / len(values)
    return pd.Series(values, index=middles, dtype=float)


def frozen(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "normalisers.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return file


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_up.study(tmp_path / "s", [made_up.clip(0.1), made_up.clip(0.2)], ENVS, seeds=2)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([0, 0.5, 1.0] + [0.9] * 15 + [0.4] * 2, 0.5, True),
        ([0, 0.5, 1.0] + [0.9] * 15 + [0.6] * 2, 0.5, False),
        ([0, 0.5, 1.0] + [0.9] * 15 + [0.6] * 2, 0.7, True),
        ([0, 0.2] + [0.2] * 17 + [-1.0], 0.5, False),  # never got anywhere
        ([0.3] + [0.0] * 19, 0.3, True),
    ],
)
def test_a_run_collapses_when_it_loses_what_it_had(
    values: list[float], share: float, expected: bool
) -> None:
    assert collapsed(curve(*values), share) is expected


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=30))
def test_drawdown_is_the_largest_fall_from_an_earlier_peak(values: list[float]) -> None:
    slow = max(max(values[: i + 1]) - value for i, value in enumerate(values))
    assert drawdown(curve(*values)) == pytest.approx(slow)


@given(st.floats(-1e3, 1e3), st.floats(1, 1e3), st.floats(0.1, 10), st.floats(-100, 100))
def test_normalised_measures_do_not_depend_on_units(
    untrained: float, gain: float, scale: float, shift: float
) -> None:
    returns = curve(*(untrained + gain * x for x in (0, 0.5, 1, 0.25)))
    one = course(returns, Normaliser(untrained, untrained + gain, True), untrained + gain / 2)
    moved = Normaliser(scale * untrained + shift, scale * (untrained + gain) + shift, True)
    # A hair below half-way, which rounding must not decide.
    half = scale * (untrained + 0.499 * gain) + shift
    two = course(scale * returns + shift, moved, half)
    assert two["area"] == pytest.approx(one["area"], rel=1e-6, abs=1e-6)
    assert two["drawdown"] == pytest.approx(0.75, rel=1e-6) == pytest.approx(one["drawdown"])
    assert two["early_area"] == pytest.approx(0.0, abs=1e-6)
    assert two["steps_to_half"] == 0.375
    assert two["collapsed_30"] and one["collapsed_30"]


def test_frozen_constants_are_used_for_runs_of_their_length_only(
    study: Study, tmp_path: Path
) -> None:
    scores = made_up.scores(study, score=lambda env, variant, seed: 10.0 + seed)
    file = frozen(tmp_path, "paper2017,999424,hopper,5,500", "paper2017,4096,swimmer,3,30")
    known = normalisers(study, scores, file)
    assert known["hopper"] == Normaliser(5.0, 500.0, True)
    # Swimmer's best is of shorter runs; what no training gives is the same.
    assert known["swimmer"] == Normaliser(3.0, 11.0, False)
    other_recipe = frozen(tmp_path, "modern,999424,hopper,5,500")
    assert not normalisers(study, scores, other_recipe)["hopper"].frozen


def test_without_constants_the_first_rollout_is_the_untrained_policy(tmp_path: Path) -> None:
    study = made_up.study(
        tmp_path / "s", [made_up.clip(0.1)], ENVS, seeds=2, total_env_steps=100 * 2048
    )
    # Returns rise evenly to 100 + seed; the first two of 200 episodes end before the first update.
    expected = np.mean([np.mean([0.005, 0.01]) * (100 + seed) for seed in (0, 1)])
    assert untrained_return(study, "hopper") == pytest.approx(expected, rel=1e-3)


def test_a_row_per_run_in_the_order_of_the_plan(study: Study, tmp_path: Path) -> None:
    scores = run_scores(study, frozen(tmp_path, "paper2017,999424,hopper,0,100"))
    planned = [tuple(run[key] for key in ("env", "variant", "seed")) for run in study.plan["runs"]]
    assert list(scores[["env", "variant", "seed"]].itertuples(index=False, name=None)) == planned
    assert list(scores.columns) == ["env", "variant", "seed", *COLUMNS]
    first = scores.iloc[0]
    # The last 100 of 200 episodes, evenly from 50.5 to 100.
    assert first.score == pytest.approx(75.25, abs=0.01) and first.episodes == 100
    assert first.normalised == pytest.approx(0.7525, abs=1e-3) and first.frozen
    # Half of the best setting's mean score, 75.25 and 76.0 of two seeds.
    assert first.steps_to_half == pytest.approx(0.378 * 999_424, rel=0.04)
    assert first.area == pytest.approx(0.5, abs=0.01)
    assert first.early_area == pytest.approx(0.125, abs=0.02)


def test_a_diverged_run_scores_at_most_what_no_training_gives(study: Study, tmp_path: Path) -> None:
    file = study.folder / "hopper.runs.json"
    runs = json.loads(file.read_text())
    runs[0]["status"] = "diverged"
    file.write_text(json.dumps(runs))
    scores = run_scores(study, frozen(tmp_path, "paper2017,999424,hopper,7,100"))
    gone, kept = scores.iloc[0], scores.iloc[1]
    assert gone.diverged and gone.score == 7 and gone.normalised == 0
    assert gone[["collapsed_30", "collapsed_50", "collapsed_70"]].all()
    assert not kept.diverged and kept.score > 7 and not kept.collapsed_70


def test_a_run_without_an_episode_scores_as_untrained(study: Study, tmp_path: Path) -> None:
    file = study.folder / "hopper.episodes.parquet"
    episodes = pd.read_parquet(file)
    episodes[~((episodes.variant == "clip_0.1") & (episodes.seed == 0))].to_parquet(file)
    scores = run_scores(study, frozen(tmp_path, "paper2017,999424,hopper,7,100"))
    assert scores.iloc[0].score == 7 and scores.iloc[0].episodes == 0
    assert np.isnan(scores.iloc[0].area)
