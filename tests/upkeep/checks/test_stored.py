"""Checks of what is stored, each against a situation made for it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.planning.choices import Choice, chosen_runs
from replicate.store import checkpoints
from replicate.store.software import made_by
from replicate.store.staleness import Answer
from replicate.upkeep.checks import stored as checks
from tests.conftest import runs_of
from tests.stored import store_run
from tests.upkeep.checks.heard import only, silent

ROOT = Path(__file__).resolve().parents[3]


HOLD = """
import sys, time
from pathlib import Path
from replicate.store.locks import only_writer
with only_writer(Path(sys.argv[1]), "hopper_ppo", ["a", "b"]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_that_is_held_and_one_that_a_killed_process_left(tmp_path: Path) -> None:
    assert only(checks.writers(tmp_path)).state == "ok"
    command = [sys.executable, "-c", HOLD, str(tmp_path / checkpoints.FOLDER)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            held = only(checks.writers(tmp_path))
        finally:
            process.kill()
    assert held.state == "note" and "hopper_ppo.lock" in held.text
    assert f"process {process.pid} on" in held.text and "trains 2 runs since 20" in held.text
    left = only(checks.writers(tmp_path))
    assert left.state == "note" and "hopper_ppo.lock left by a process that is gone" in left.text
    assert "locks nothing" in left.todo


def write_checkpoint(store: Path, update: int, **changed: Any) -> Path:
    """Of a cohort of two; the file."""
    runs = runs_of("env=hopper", "seed=0,1")
    history = {"commit": "c0ffee" * 6, **made_by(), **changed}
    header = {"update": update, "num_updates": 8, "seconds": {}, "history": history}
    checkpoints.write(store, "hopper_ppo", runs, header, {"a": np.arange(100)})
    files = (store / checkpoints.FOLDER).glob(f"*{checkpoints.SUFFIX}")
    return min(files, key=lambda file: len(file.name))


def test_how_far_a_checkpoint_is(tmp_path: Path) -> None:
    assert only(checks.unfinished(tmp_path)).state == "ok"
    write_checkpoint(tmp_path, 2)
    write_checkpoint(tmp_path, 3)  # the one before stays, and is no news
    finding = only(checks.unfinished(tmp_path))
    assert finding.state == "note" and "update 3 of 8, 2 runs" in finding.text


def test_a_truncated_checkpoint_and_the_one_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 2)
    file = write_checkpoint(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:-40])
    damaged, before = checks.unfinished(tmp_path)
    assert damaged.state == "problem" and f"{file}: damaged" in damaged.text
    assert "delete it" in damaged.todo
    assert before.state == "note" and "update 2 of 8" in before.text


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"code_digest": "0" * 64}, "training code"),
        ({"versions": {"torch": "1.0"}}, "package versions"),
    ],
)
def test_a_checkpoint_by_other_software(tmp_path: Path, changed: dict[str, Any], what: str) -> None:
    write_checkpoint(tmp_path, 3, **changed)
    finding = only(checks.unfinished(tmp_path))
    assert finding.state == "note" and "(update 3 of 8" in finding.text
    assert f"made by other {what} (" in finding.text
    assert "python -m replicate traces c0ffeec0ffee finds out" in finding.text
    assert "check out commit c0ffeec0ffee" in finding.todo and "start anew" in finding.todo


def test_what_a_choice_needs_grows_with_it_and_falls_when_runs_are_finished(tmp_path: Path) -> None:
    smoke = Choice(("epsilon",), "smoke")
    before = checks.bytes_needed(smoke, tmp_path)
    assert 0 < before < checks.bytes_needed(Choice(("epsilon",), "quick"), tmp_path)
    ((_, runs),) = chosen_runs(smoke)
    for planned in runs:
        folder = tmp_path / planned.run.run_id
        folder.mkdir()
        (folder / "run.json").write_text("{}")
    assert checks.bytes_needed(smoke, tmp_path) == 0


SEVEN = runs_of("env=hopper", "total_env_steps=2048", "seed=range(0,7)")


def test_stored_runs_by_other_software(tmp_path: Path) -> None:
    now, *old_ones, elsewhere_one = SEVEN
    store_run(tmp_path, now)
    whole = only(checks.stored_runs(tmp_path, silent))
    assert (whole.state, "1 finished" in whole.text) == ("ok", True)
    for run in old_ones:
        store_run(tmp_path, run, code_digest="0" * 64)
    store_run(tmp_path, elsewhere_one, versions={}, dirty=True, commit="decade")
    finding = only(checks.stored_runs(tmp_path, silent))
    assert finding.state == "note"
    assert "6 of 7 made by other package versions (no box2d" in finding.text
    assert "other training code (000000000000), not known here" in finding.text
    assert finding.text.count("hopper_v5-ppo") == 3 and finding.text.endswith("and 3 more")
    assert finding.todo.startswith("python -m replicate traces c0ffee finds out")


def test_stored_runs_by_software_that_does_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store_run(tmp_path, SEVEN[0]).name
    monkeypatch.setattr(checks, "compare", lambda *_: Answer("other", "other training code"))
    finding = only(checks.stored_runs(tmp_path, silent))
    assert finding.state == "note" and f"1 of 1 made by other training code: {name}" in finding.text
    assert "python -m replicate retrain" in finding.todo


def test_damaged_runs(tmp_path: Path) -> None:
    told: list[str] = []
    folders = [store_run(tmp_path, run) for run in SEVEN[:5]]
    file = folders[0] / "run.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    for folder in folders[1:]:
        file = folder / "episodes.parquet"
        file.write_bytes(file.read_bytes()[:-1])
    findings = list(checks.stored_runs(tmp_path, told.append))
    assert [finding.state for finding in findings] == ["problem"] * 4
    assert f"{folders[0]}/run.json: damaged (its digest is not" in findings[0].text
    assert f"{folders[1]}/episodes.parquet: damaged" in findings[1].text
    assert findings[1].todo.startswith(f"delete {folders[1]} and")
    assert "2 more are damaged" in findings[3].text
    assert told[-1] == f"{tmp_path}: reading run 5 of 5"


def test_runs_that_were_swapped(tmp_path: Path) -> None:
    one, other = (store_run(tmp_path, run) for run in SEVEN[:2])
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    findings = list(checks.stored_runs(tmp_path, silent))
    assert [finding.state for finding in findings] == ["problem"] * 2
    assert f"{one}/run.json: damaged (it is of another run, {other.name})" in findings[0].text


def test_data_that_is_not_what_the_manifest_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    data = tmp_path / "reference"
    shutil.copytree(ROOT / "results/reference", data)
    assert only(checks.manifests(tmp_path)).state == "ok"
    altered = data / "runs/quick/hopper.updates.parquet"
    altered.write_bytes(altered.read_bytes()[:-1])
    finding = only(checks.manifests(tmp_path))
    assert finding.state == "problem" and f"{altered}: not the file" in finding.text
    assert "restore it from git" in finding.todo
