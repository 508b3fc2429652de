"""The panel: what it reaches of what long runs do."""

from pathlib import Path
from typing import Any, get_args

import pytest

from replicate.algorithms.learner import PIECE
from replicate.messages import ConfigError
from replicate.planning.composition import options
from replicate.planning.studies import load_scale, load_study, study_runs
from replicate.settings import ALGORITHMS, Objective
from replicate.store.records import read_description, read_table
from replicate.store.staleness import kind_of, rows_like
from replicate.upkeep.panel import load_panel
from tests.conftest import runs_of


def test_the_panel_has_every_algorithm_objective_recipe_and_environment() -> None:
    runs = [lane for lanes in load_panel().values() for lane in lanes]
    assert {run.algo.name for run in runs} == set(ALGORITHMS)
    objectives = {getattr(run.algo, "objective", None) for run in runs}
    assert objectives >= set(get_args(Objective))
    assert {run.recipe.name for run in runs} == set(options("recipe"))
    known = {kind_of(run).environment for run in runs}
    assert known == {runs_of(f"env={env}")[0].env.id for env in options("env")}


@pytest.mark.parametrize("study", options("study"))
def test_every_run_of_a_study_has_rows_of_its_own_kind(study: str) -> None:
    panel = {name: kind_of(lanes[0]) for name, lanes in load_panel().items()}
    for kind in {kind_of(p.run) for p in study_runs(load_study(study), load_scale("paper"))}:
        rows = [panel[name] for name in rows_like(kind, panel)]
        assert rows and all(row == kind for row in rows)


def test_some_rows_walk_a_batch_in_several_pieces() -> None:
    longest = dict.fromkeys(ALGORITHMS, 0)
    for run, *_ in load_panel().values():
        longest[run.algo.name] = max(longest[run.algo.name], run.algo.num_steps)
    assert min(longest.values()) > 2 * PIECE


def test_the_panel_reaches_what_long_runs_reach(tmp_path: Path) -> None:
    from replicate.planning.cohorts import cohorts
    from replicate.training.runs import train_cohort

    panel = load_panel()

    def values(row: str, column: str, table: str = "updates") -> list[Any]:
        for cohort in cohorts(panel[row]):
            train_cohort(cohort, tmp_path, "cpu", 100)
        tables = [read_table(tmp_path / run.run_id, table) for run in panel[row]]
        return [value for of_lane in tables for value in of_lane[column].to_pylist()]

    assert max(values("ppo/hopper", "clip_fraction")) > 0.1
    assert len(set(values("ppo_adaptive_kl/hopper", "kl_beta"))) > 1
    stops = [row for row in panel if row.startswith("ppo_early_stop")]
    assert len(stops) == 10
    for row in stops:
        assert min(values(row, "policy_epochs")) < 10, row
    assert max(values("trpo_backtracking/hopper", "backtracks")) > 0
    assert any(values("ppo/hopper", "terminated", "episodes"))
    assert not all(values("ppo/reacher", "terminated", "episodes"))
    values("vpg_diverging/inverted_pendulum", "kl")
    (status,) = {
        read_description(tmp_path / run.run_id)["status"]
        for run in panel["vpg_diverging/inverted_pendulum"]
    }
    assert status == "diverged"


def test_without_a_panel_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicate.upkeep.panel.FILE", tmp_path / "traces.yaml")
    with pytest.raises(ConfigError, match=r"traces\.yaml: cannot be read"):
        load_panel()
