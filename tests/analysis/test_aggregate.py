"""Runs are taken only as what was planned and written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analysis import aggregate, manifest
from replicate.records import MANIFEST, write_run
from tests.conftest import runs_of

EPISODE = {"env_step": 7, "episodic_return": 1.5, "episodic_length": 7, "terminated": True}
UPDATE = {"update": 0, "env_step": 64, "kl": 0.01}
RUNS = runs_of("env=hopper", "seed=range(0,2)")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "runs"
    for run in RUNS:
        described = {"digest": run.digest, "settings": run.model_dump(mode="json")}
        about = {"status": "finished", "commit": "c0ffee", "resumed": [{"update": 3}]}
        write_run(store / run.run_id, [EPISODE] * 50, [UPDATE] * 50, {**described, **about})
    entries = [
        {"env": "hopper", "variant": "v", "seed": r.seed, "run_id": r.run_id, "digest": r.digest}
        for r in RUNS
    ]
    plan = {"envs": {"hopper": "Hopper-v5"}, "runs": entries}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    return store


def aggregated(store: Path) -> int:
    names = ("episodes.parquet", "updates.parquet", "runs.json", MANIFEST)
    outputs = [str(store.parent / f"hopper.{name}") for name in names]
    return aggregate.main([str(store.parent / "plan.json"), str(store), "hopper", *outputs])


def test_tables_and_what_is_told_of_the_runs(store: Path) -> None:
    assert aggregated(store) == 0
    assert pq.read_table(store.parent / "hopper.episodes.parquet").num_rows == 100
    runs = json.loads((store.parent / "hopper.runs.json").read_text())
    assert {run["env"] for run in runs} == {"hopper"}
    assert [run["seed"] for run in runs] == [0, 1]
    # Lean: settings are in the plan, and the files were checked.
    assert all(run.keys().isdisjoint({"settings", "files"}) for run in runs)
    assert all(run["commit"] == "c0ffee" and run["resumed"] for run in runs)
    manifest.verify(store.parent / f"hopper.{MANIFEST}")


def cut_in_half(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        data = json.loads(file.read_text())
        change(data)
        file.write_text(json.dumps(data))

    return edit


def set_gamma(run: dict[str, Any]) -> None:
    run["settings"]["algo"]["gamma"] = 0.5


def swap_settings_and_digest(run: dict[str, Any]) -> None:
    run |= {"settings": RUNS[0].model_dump(mode="json"), "digest": RUNS[0].digest}


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "half of the episodes": ("episodes.parquet", cut_in_half, "not the file that run.json lists"),
    "no updates": ("updates.parquet", Path.unlink, "missing"),
    "half of run.json": ("run.json", cut_in_half, "damaged"),
    "a list": ("run.json", lambda file: file.write_text("[]") and None, "not an object"),
    "another setting": ("run.json", edited(set_gamma), "its digest is not that of its settings"),
    "no setting": ("run.json", edited(lambda run: run.pop("settings")), "settings: env: missing"),
    "another digest": ("run.json", edited(lambda run: run.update(digest="0" * 64)), "its digest"),
    "no status": ("run.json", edited(lambda run: run.pop("status")), "status: not one of"),
    "a list without a file": (
        "run.json",
        edited(lambda run: run["files"].pop("episodes.parquet")),
        "does not list the files",
    ),
    "no list": ("run.json", edited(lambda run: run.update(files=None)), "does not list the files"),
    "another run": ("run.json", edited(swap_settings_and_digest), "another configuration"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_is_not_what_was_planned_and_written_is_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    name, change, expected = DAMAGES[damage]
    folder = store / RUNS[1].run_id
    change(folder / name)
    assert aggregated(store) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / name}: ") and expected in line
    assert f"delete {folder} and give the command again" in line
    assert not list(store.parent.glob("hopper.*"))


def test_tables_of_another_run_are_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (store / run.run_id for run in RUNS)
    write_run(one, [EPISODE], [UPDATE], json.loads((one / "run.json").read_text()))
    shutil.copy(one / "episodes.parquet", other / "episodes.parquet")
    assert aggregated(store) == 2
    assert f"{other / 'episodes.parquet'}: damaged" in capsys.readouterr().err


def test_runs_from_before_files_were_listed_still_count(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store / RUNS[0].run_id
    for name in ("files", "commit"):
        edited(lambda run, name=name: run.pop(name))(folder / "run.json")
    assert aggregated(store) == 0
    cut_in_half(folder / "updates.parquet")
    assert aggregated(store) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / 'updates.parquet'}: damaged")
