"""Today's training code begins the repository's long runs as they were recorded."""

from functools import cache
from pathlib import Path

import pytest

from analysis.study import Study, read_study
from replicate.engine.cohort import Cohort, LaneRecords
from replicate.planning.studies import load_scale, load_study, study_runs

PLANS = Path("results/reference/plans/paper")
ENV = "hopper"
NEAR = 1e-2
"""Relative: another CPU rounds otherwise, and one update has not had time to blow that up."""
SIZES = ("kl", "filter_kl", "entropy", "explained_variance", "ratio_max")


@cache
def stored(name: str) -> Study:
    return read_study(PLANS / f"{name}.json").on(ENV)


@pytest.mark.parametrize("method", ["vpg", "ppo_noclip", "trpo", "ppo"])
@pytest.mark.parametrize("name", ["comparison", "comparison_modern"])
def test_a_run_of_the_repository_begins_as_it_did(name: str, method: str) -> None:
    """Returns of the first rollout and the size of the first update, under both recipes."""
    (run,) = [
        planned.run
        for planned in study_runs(load_study(name), load_scale("paper"), range(1))
        if (planned.env, planned.variant) == (ENV, method)
    ]
    cohort = Cohort([run])
    cohort.step()
    ours: LaneRecords = cohort.records.lanes[0]
    study = stored(name)
    episodes, updates = (
        table[(table.variant == method) & (table.seed == 0)]
        for table in (study.episodes, study.updates)
    )
    first = episodes[episodes.env_step <= run.algo.num_steps]
    assert [episode["env_step"] for episode in ours.episodes] == first.env_step.tolist()
    returns = [episode["episodic_return"] for episode in ours.episodes]
    assert returns == pytest.approx(first.episodic_return.tolist(), rel=NEAR)
    assert len(returns) > 50
    row = updates.iloc[0]
    for column in SIZES:
        assert ours.updates[0][column] == pytest.approx(row[column], rel=NEAR, abs=1e-6), column
