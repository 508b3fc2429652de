"""What a study reads: its runs, out of tables that have those of others too."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import aggregate, manifest
from analysis.study import Study, read_study
from replicate.messages import DataError
from replicate.settings import RunSettings
from replicate.store.files import MANIFEST
from replicate.store.records import ENV_TABLES
from tests.conftest import runs_of
from tests.stored import EPISODE, store_run

STEPS = 6144
RUNS = runs_of(
    "env=hopper,reacher", "algo.clip_epsilon=0.1,0.2", "seed=range(0,3)", "total_env_steps=6144"
)
ENVS = {"hopper": "Hopper-v5", "reacher": "Reacher-v5"}
NAMES = {env_id: name for name, env_id in ENVS.items()}


def value(run: RunSettings) -> float:
    """The return of each of its episodes."""
    assert run.algo.name == "ppo"
    return 100 * run.algo.clip_epsilon + run.seed


def entry(run: RunSettings, variant: str | None = None) -> dict[str, Any]:
    """Of a plan."""
    assert run.algo.name == "ppo"
    return {
        "env": NAMES[run.env.id],
        "variant": variant or f"clip_{run.algo.clip_epsilon:g}",
        "seed": run.seed,
        "run_id": run.run_id,
        "digest": run.digest,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of all runs: seeds 0 and 1 in one part, seed 2 in another."""
    store = tmp_path / "store"
    for run in RUNS:
        ends = range(EPISODE, STEPS + 1, EPISODE)
        rows = [
            {
                "env_step": end,
                "episodic_return": value(run),
                "episodic_length": EPISODE,
                "terminated": True,
            }
            for end in ends
        ]
        store_run(store, run, {"episodes": rows})
    for part, seeds in (("early", (0, 1)), ("late", (2,))):
        for env, env_id in ENVS.items():
            names = [run.run_id for run in RUNS if run.env.id == env_id and run.seed in seeds]
            files = [tmp_path / part / f"{env}.{name}" for name in (*ENV_TABLES, MANIFEST)]
            assert aggregate.main([str(store), *names, "--out", *map(str, files)]) == 0
    (tmp_path / "plans").mkdir()
    return tmp_path


def plan(folder: Path, entries: list[dict[str, Any]], *parts: str) -> Path:
    """Writes a plan."""
    data = {env: [f"../{part}/{env}" for part in parts] for env in ENVS}
    variants = [
        {"name": name, "label": name} for name in dict.fromkeys(e["variant"] for e in entries)
    ]
    content = {
        "study": "s",
        "scale": "smoke",
        "total_env_steps": STEPS,
        "envs": ENVS,
        "data": data,
        "variants": variants,
        "runs": entries,
    }
    file = folder / "plans/s.json"
    file.write_text(json.dumps(content))
    return file


def of_each(study: Study) -> dict[tuple[str, str, int], float]:
    """Run → return of its episodes, which are all there."""
    returns = {}
    for key, rows in study.episodes.groupby(["env", "variant", "seed"]):
        assert rows.env_step.tolist() == list(range(EPISODE, STEPS + 1, EPISODE))
        (returns[key],) = set(rows.episodic_return.round(3))
    return returns


def test_rows_are_those_of_the_planned_runs_in_the_order_of_the_plan(folder: Path) -> None:
    entries = [entry(run) for run in reversed(RUNS) if run.seed != 1]
    study = read_study(plan(folder, entries, "early", "late"))
    keys = ["env", "variant", "seed"]
    shown = study.updates[keys].drop_duplicates().itertuples(index=False, name=None)
    planned = [tuple(e[key] for key in keys) for env in ENVS for e in entries if e["env"] == env]
    assert list(shown) == planned
    assert [tuple(run[key] for key in keys) for run in study.runs] == planned
    expected = {tuple(entry(run).values())[:3]: value(run) for run in RUNS if run.seed != 1}
    assert of_each(study) == pytest.approx(expected)
    assert len(study.updates) == len(entries) * STEPS // 2048
    assert study.seeds == [0, 2]
    types = {"env_step": "int32", "episodic_return": "float32", "terminated": "bool", "env": "str"}
    assert study.episodes.dtypes.astype("str")[list(types)].to_dict() == types


def test_environments_may_have_unlike_seeds(folder: Path) -> None:
    entries = [entry(run) for run in RUNS if run.env.id == "Hopper-v5" or run.seed == 0]
    study = read_study(plan(folder, entries, "early", "late"))
    seeds = study.episodes.groupby("env").seed.unique().map(sorted)
    assert seeds.to_dict() == {"hopper": [0, 1, 2], "reacher": [0]}
    assert study.on("reacher").updates.seed.unique() == [0]
    assert {run["seed"] for run in study.on("reacher").runs} == {0}
    assert study.seeds == [0] and study.on("hopper").seeds == [0, 1, 2]
    even = study.even
    assert {(run["env"], run["seed"]) for run in even.runs} == {("hopper", 0), ("reacher", 0)}
    assert len(even.runs) == 4 and study.on("hopper").even.seeds == [0, 1, 2]


def test_environments_without_a_seed_in_common_are_not_shown_together(folder: Path) -> None:
    entries = [entry(run) for run in RUNS if (run.env.id == "Hopper-v5") == (run.seed == 0)]
    study = read_study(plan(folder, entries, "early", "late"))
    with pytest.raises(DataError, match="no seed that every environment has"):
        _ = study.even


def test_a_run_that_two_variants_share_is_in_the_tables_of_both(folder: Path) -> None:
    run = RUNS[0]
    study = read_study(plan(folder, [entry(run, "a"), entry(run, "b")], "early"))
    assert of_each(study) == pytest.approx({("hopper", v, 0): value(run) for v in "ab"})
    pd.testing.assert_frame_equal(
        study.updates[study.updates.variant == "a"].drop(columns="variant"),
        study.updates[study.updates.variant == "b"].drop(columns="variant").reset_index(drop=True),
    )


def test_a_run_without_an_episode_has_no_row_and_is_still_there(folder: Path) -> None:
    store_run(folder / "store", RUNS[0], {"episodes": []}, episodes=0)
    names = [run.run_id for run in RUNS if run.env.id == "Hopper-v5" and run.seed < 2]
    files = [folder / f"early/hopper.{name}" for name in (*ENV_TABLES, MANIFEST)]
    assert aggregate.main([str(folder / "store"), *names, "--out", *map(str, files)]) == 0
    study = read_study(plan(folder, [entry(run) for run in RUNS[:2]], "early"))
    assert set(study.episodes.seed) == {1} and set(study.updates.seed) == {0, 1}
    assert [run["episodes"] for run in study.runs] == [0, 96]
    alone = read_study(plan(folder, [entry(RUNS[0])], "early"))
    assert len(alone.episodes) == 0 and list(alone.episodes) == list(study.episodes)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"run_id": "hopper_v5-ppo-s0-0123456789ab"}, "s0-0123456789ab: not there"),
        ({"digest": "0" * 64}, "made from other settings than the planned"),
    ],
)
def test_a_planned_run_that_the_tables_lack_is_one_line(
    folder: Path, changed: dict[str, str], said: str
) -> None:
    file = plan(folder, [entry(RUNS[1]), entry(RUNS[0]) | changed], "early", "late")
    with pytest.raises(DataError, match=said) as raised:
        read_study(file)
    assert "early/hopper.*" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_no_plan_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"study": "epsilon", "recipe": "modern"}')
    with pytest.raises(DataError, match=r"plan.json: no plan of a study \(it has no 'envs'\)"):
        read_study(tmp_path / "plan.json")


def test_one_manifest_above_all_is_as_good_as_one_beside_each(folder: Path) -> None:
    """As the repository has it; the plan is listed too."""
    file = plan(folder, [entry(run) for run in RUNS], "early", "late")
    for beside in folder.rglob(f"*.{MANIFEST}"):
        beside.unlink()
    with pytest.raises(manifest.AlteredDataError, match=r"no manifest\.json lists it"):
        read_study(file)
    study = Study(file.parent, json.loads(file.read_text()))
    manifest.write(folder / MANIFEST, study.files)
    with pytest.raises(manifest.AlteredDataError, match=r"s\.json: not listed"):
        read_study(file)
    manifest.write(folder / MANIFEST, [file, *study.files])
    assert len(read_study(file).runs) == len(RUNS)
    (folder / "late/reacher.updates.parquet").write_bytes(b"")
    with pytest.raises(manifest.AlteredDataError, match=r"late/reacher\.updates\.parquet"):
        read_study(file)
