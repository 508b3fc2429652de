"""The policies after each pass of an update are those that a training goes through."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis.claims.strategies import STOP_FACTOR
from replicate import probes
from replicate.engine.cohort import Cohort
from replicate.planning.composition import CONF
from replicate.probes.update_anatomy import Extent
from replicate.probes.update_passes import COLUMNS, METHODS, PASSES, WHOLE, update_passes

TINY = Extent(envs=("hopper",), seeds=2, updates=(0, 2), shape=("algo.num_steps=256",))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("passes") / "update_passes.csv"
    probes.write_csv(file, COLUMNS, update_passes(TINY))
    return file


@pytest.fixture
def table(record: Path) -> pd.DataFrame:
    return pd.read_csv(record)


def test_the_same_bytes_every_time(record: Path, tmp_path: Path) -> None:
    probes.write_csv(tmp_path / "again.csv", COLUMNS, update_passes(TINY))
    assert (tmp_path / "again.csv").read_bytes() == record.read_bytes()


def test_every_pass_of_every_batch_is_there_once(table: pd.DataFrame) -> None:
    keys = ["env", "env_steps", "seed", "method", "passes"]
    assert len(table) == len(table.drop_duplicates(keys)) == 2 * 2 * len(METHODS) * PASSES
    assert table.notna().all(axis=None) and (table.kl > 0).all()


def test_the_last_pass_is_the_end_of_the_trainings_own_update(table: pd.DataFrame) -> None:
    """And the training goes on as if no batch had been frozen."""
    training = Cohort(TINY.runs("hopper", "algo=ppo"))
    for _ in range(3):
        training.step()
    last = table[(table.method == "ppo") & (table.passes == PASSES)]
    assert len(last) == 4
    for row in last.itertuples():
        made = training.records.lanes[row.seed].updates[row.env_steps // 256]
        assert row.kl == pytest.approx(made["kl"], rel=1e-5)


def test_an_earlier_pass_is_the_end_of_an_update_with_so_many(table: pd.DataFrame) -> None:
    training = Cohort(
        TINY.runs("hopper", "algo=ppo", "algo.objective=none", "algo.update_epochs=3")
    )
    training.step()
    first = table[(table.method == "ppo_noclip") & (table.passes == 3) & (table.env_steps == 0)]
    assert first.kl.tolist() == pytest.approx(
        [lane.updates[0]["kl"] for lane in training.records.lanes], rel=1e-5
    )


def test_the_extent_is_that_of_the_study() -> None:
    study = yaml.safe_load((CONF / "study/early_stopping.yaml").read_text())
    scale = yaml.safe_load((CONF / "scale/ledger.yaml").read_text())
    assert set(WHOLE.envs) == set(study["envs"]) & set(scale["envs"])
    algo = yaml.safe_load((CONF / "algo/ppo.yaml").read_text())
    assert (algo["update_epochs"], algo["target_kl_factor"]) == (PASSES, STOP_FACTOR)
