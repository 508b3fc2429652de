"""Every rule from the same policy and batch, as the training itself would have made the update."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from replicate import probes
from replicate.engine.cohort import Cohort
from replicate.envs import make_envs
from replicate.probes import update_anatomy as probe
from replicate.probes.update_anatomy import COLUMNS, LINE_COLUMNS, METHODS, Extent

TINY = Extent(envs=("hopper",), seeds=2, updates=(0, 2), episodes=1, shape=("algo.num_steps=256",))


def stored(extent: Extent, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    anatomy, line = probe.update_anatomy(extent)
    probes.write_csv(folder / "update_anatomy.csv", COLUMNS, anatomy)
    probes.write_csv(folder / "update_line.csv", LINE_COLUMNS, line)
    return pd.read_csv(folder / "update_anatomy.csv"), pd.read_csv(folder / "update_line.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anatomy")


@pytest.fixture(scope="module")
def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return stored(TINY, folder)


@pytest.fixture(scope="module")
def anatomy(tables: tuple[pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    return tables[0]


@pytest.fixture(scope="module")
def line(tables: tuple[pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    return tables[1]


def test_the_same_bytes_every_time(
    tables: tuple[pd.DataFrame, pd.DataFrame], folder: Path, tmp_path: Path
) -> None:
    stored(TINY, tmp_path)
    for name in ("update_anatomy.csv", "update_line.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_ppos_update_is_the_one_that_the_training_makes(anatomy: pd.DataFrame) -> None:
    """And the training goes on as if no batch had been frozen."""
    training = Cohort(TINY.runs("hopper", "algo=ppo"))
    for _ in range(3):
        training.step()
    ours = anatomy[(anatomy.method == "ppo") & (anatomy.setting == 0.2)]
    assert len(ours) == 4
    for row in ours.itertuples():
        made = training.records.lanes[row.seed].updates[row.env_steps // 256]
        assert row.kl == pytest.approx(made["kl"], rel=1e-5)
        assert row.ratio_deviation_99 == pytest.approx(made["ratio_deviation_99"], rel=1e-5)
        assert row.ratio_max == pytest.approx(made["ratio_max"], rel=1e-5)
        assert row.outside == row.outside_own == pytest.approx(made["clip_fraction"], rel=1e-5)
        sample_size = made["effective_sample_size"]
        assert row.effective_sample_size == pytest.approx(sample_size, rel=1e-5)


def test_every_rule_and_setting_is_there_once(anatomy: pd.DataFrame, line: pd.DataFrame) -> None:
    settings = sum(len(method.settings) for method in METHODS)
    assert len(anatomy) == len(anatomy.drop_duplicates(probe.KEYS)) == 2 * 2 * settings
    assert len(line) == len(line.drop_duplicates([*probe.KEYS, "t"])) == 2 * 2 * len(METHODS) * 21
    assert set(anatomy.method) == set(line.method) == {method.name for method in METHODS}
    assert all(method.usual in method.settings for method in METHODS)
    assert anatomy.drop(columns="outside_own").notna().all(axis=None) and line.notna().all(
        axis=None
    )
    has_one = anatomy.method.isin(["ppo", "ppo_max"])
    assert (anatomy.outside_own.notna() == has_one).all()


def test_the_line_starts_at_the_old_policy_and_passes_the_new_one(
    anatomy: pd.DataFrame, line: pd.DataFrame
) -> None:
    start = line[line.t == 0]
    assert (start.kl == 0).all() and (start.clip_fraction == 0).all()
    assert (start.effective_sample_size == 1).all()
    assert (start[["surrogate", "clipped_surrogate"]].abs() < 1e-6).all(axis=None)
    both = line[line.t == 1].merge(anatomy, on=probe.KEYS, suffixes=("", "_of_update"))
    assert len(both) == len(start)
    for column in ("kl", "effective_sample_size"):
        assert both[column].tolist() == pytest.approx(
            both[f"{column}_of_update"].tolist(), rel=1e-3
        )
    assert both.clip_fraction.tolist() == pytest.approx(both.outside.tolist(), abs=1 / 256)
    assert (line.clipped_surrogate <= line.surrogate + 1e-6).all()


def test_a_larger_setting_moves_naive_policy_gradient_further_and_trpo_keeps_its_bound(
    anatomy: pd.DataFrame,
) -> None:
    for _, rows in anatomy[anatomy.method == "vpg"].groupby(["env_steps", "seed"]):
        assert rows.sort_values("setting").kl.is_monotonic_increasing
    trpo = anatomy[anatomy.method == "trpo"]
    assert (trpo.kl <= trpo.setting * 1.0001).all() and (trpo.kl > 0).all()
    assert (anatomy.kl_max >= anatomy.kl).all()
    assert (anatomy.ratio_deviation_max >= anatomy.ratio_max - 1 - 1e-5).all()


def test_old_and_new_policy_act_in_the_same_episodes(anatomy: pd.DataFrame) -> None:
    of_batch = anatomy.groupby(["env_steps", "seed"])
    assert (of_batch.old_return.nunique() == 1).all() and of_batch.new_return.nunique().min() > 1
    cohort = Cohort(TINY.runs("hopper", "algo=ppo"))
    with torch.no_grad():
        frozen = probe.freeze(cohort)
        (run, *_) = cohort.runs
        policy = frozen.learner.policy_state.parameters
        fresh = make_envs(run.env, [1000, 2000] * 3)
        first, again, other = probe.mean_returns(
            frozen, [policy, policy, 0 * policy], fresh, 1, run
        )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.tolist() == pytest.approx(
        anatomy[anatomy.env_steps == 0].groupby("seed").old_return.first().tolist(), rel=1e-5
    )


def test_no_rule_changes_what_the_others_start_from() -> None:
    cohort = Cohort(TINY.runs("hopper", "algo=ppo"))
    with torch.no_grad():
        frozen = probe.freeze(cohort)
        before = frozen.learner.policy_state.parameters.clone()
        advantages = frozen.batch.advantages.clone()
        for method in METHODS:
            runs = TINY.runs("hopper", *method.overrides(method.usual))
            first, again = (probe.updated(frozen, runs).policy_state for _ in range(2))
            assert torch.equal(first.parameters, again.parameters)
            assert not torch.equal(first.parameters, before)
        assert torch.equal(frozen.learner.policy_state.parameters, before)
        assert torch.equal(frozen.batch.advantages, advantages)
