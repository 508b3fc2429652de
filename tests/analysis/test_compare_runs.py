"""A run that is trained again is the repository's to the last bit, or is named."""

import hashlib
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis import aggregate, compare_runs, manifest
from analysis.aggregate import runs_below
from replicate.store.columns import SCHEMAS
from replicate.store.files import MANIFEST
from replicate.store.records import ENV_TABLES
from replicate.training.runs import train_cohort
from tests.conftest import runs_of
from tests.stored import episodes_of, store_run, updates_of

RUNS = runs_of("env=hopper", "total_env_steps=6144", "seed=range(0,3)")
ROOT = Path(compare_runs.__file__).parents[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What the repository has of three runs."""
    store, data = tmp_path / "first", tmp_path / "data"
    for run in RUNS:
        store_run(store, run)
    tabulate(store, data)
    return data


def tabulate(store: Path, data: Path) -> None:
    names = [folder.name for folder in store.iterdir() if "-s" in folder.name]
    files = [data / f"part/hopper.{name}" for name in (*ENV_TABLES, MANIFEST)]
    assert aggregate.main([str(store), *names, "--out", *map(str, files)]) == 0


def test_runs_that_are_the_same_are_counted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in RUNS[1:]:
        store_run(tmp_path / "again", run, ended="2026-02-02T00:00:00+00:00")
    assert compare_runs.main([str(tmp_path / "again"), str(data)]) == 0
    assert capsys.readouterr().out == f"2 of 2 runs are byte for byte those of {data}\n"


@pytest.mark.parametrize("simd", ["AVX2", "AVX512"])
def test_one_other_bit_in_one_run_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], simd: str
) -> None:
    rows = episodes_of(6144)
    rows[5]["episodic_return"] = 1.5000002
    store_run(tmp_path / "again", RUNS[0])
    store_run(tmp_path / "again", RUNS[1], {"episodes": rows}, simd=simd)
    assert compare_runs.main([str(tmp_path / "again"), str(data)]) == 1
    differs, counted = capsys.readouterr().out.splitlines()
    assert differs.startswith(f"{RUNS[1].run_id}: other episodes.parquet")
    assert ("no equal bytes promised" in differs) == (simd == "AVX512")
    assert counted.startswith("1 of 2 runs are")


def test_a_column_that_is_newer_than_the_tables_is_not_compared(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [data / f"part/hopper.{name}" for name in ENV_TABLES]
    (updates,) = [file for file in files if ".updates." in file.name]
    pq.write_table(pq.read_table(updates).drop_columns("entropy"), updates)
    manifest.write(data / f"part/hopper.{MANIFEST}", files)
    rows = [{**row, "kl": 0.125} for row in updates_of(RUNS[1], 3)]
    store_run(tmp_path / "again", RUNS[0])
    store_run(tmp_path / "again", RUNS[1], {"updates": rows})
    assert compare_runs.main([str(tmp_path / "again"), str(data)]) == 1
    differs, counted = capsys.readouterr().out.splitlines()
    assert differs.startswith(f"{RUNS[1].run_id}: other updates.parquet")
    assert counted.startswith("1 of 2 runs are")


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_what_training_writes_comes_back_out_of_the_tables(tmp_path: Path) -> None:
    """Null and NaN included: of a run that diverges, too."""
    common = ["env=hopper", "algo.num_steps=128", "total_env_steps=512"]
    runs = runs_of(*common, "algo.learning_rate=1e-3,1e22", "seed=range(0,2)")
    train_cohort(runs, tmp_path / "store", "cpu", 100)
    tabulate(tmp_path / "store", tmp_path / "data")
    number, lines = compare_runs.compare(tmp_path / "store", tmp_path / "data")
    assert (number, lines) == (4, [])
    statuses = [
        stored_run.description["status"] for stored_run in runs_below(tmp_path / "data").values()
    ]
    assert sorted(statuses) == ["diverged", "diverged", "finished", "finished"]


def test_altered_tables_damaged_runs_and_strangers_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    store_run(again, *runs_of("env=hopper", "total_env_steps=6144", "seed=9"))
    assert compare_runs.main([str(again), str(data)]) == 2
    assert f"{again}: none of its runs is in {data}" in capsys.readouterr().err
    folder = store_run(again, RUNS[0])
    shutil.copy(folder / "updates.parquet", folder / "episodes.parquet")
    assert compare_runs.main([str(again), str(data)]) == 2
    assert f"{folder / 'episodes.parquet'}: damaged" in capsys.readouterr().err
    store_run(again, RUNS[0])
    table = data / "part/hopper.updates.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    assert compare_runs.main([str(again), str(data)]) == 2
    assert f"{table}: not the file that" in capsys.readouterr().err


def test_the_tables_of_the_repository_are_what_the_runs_wrote() -> None:
    """Every 20th run: its rows, written again, have the digest that its ``run.json`` lists."""
    stored = sorted(runs_below(ROOT / "results/reference/runs").items())
    assert stored
    for run, stored_run in stored[::20]:
        for name in SCHEMAS:
            made = compare_runs.table_bytes(stored_run.stem, run, name)
            listed = stored_run.description["files"][f"{name}.parquet"]
            assert hashlib.sha256(made).hexdigest() == listed
