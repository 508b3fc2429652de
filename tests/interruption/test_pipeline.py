"""Kill -9 under Snakemake: the whole group, a cohort alone, Snakemake without its children."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from replicate.store.records import read_description
from tests.interruption.kill import digests
from tests.planning.test_pipeline import MADE, copy_of, fresh, snakemake

__all__ = ["fresh"]  # the fixture

STORE = MADE / "runs"
SMOKE = ("--config", "scale=smoke", "studies=comparison")


@pytest.fixture(scope="module")
def longer(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose smoke scale has six updates, short ones, each with a checkpoint."""
    tree = copy_of(fresh, tmp_path_factory.mktemp("longer") / "tree")
    for file, old, new in (
        ("scale/smoke", "total_env_steps: 4096", "total_env_steps: 6144"),
        ("study/comparison", "\noverrides: [", "\noverrides: [algo.num_steps=1024, "),
        ("config", "checkpoint_every_updates: 25", "checkpoint_every_updates: 1"),
    ):
        path = tree / f"conf/{file}.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    done = snakemake(tree, "-n", *SMOKE)
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture(scope="module")
def manifest(longer: Path) -> Path:
    """The list of a cohort's runs."""
    (listed,) = (longer / MADE / "cohorts").glob("hopper_v5_ppo_*.json")
    return listed.relative_to(longer)


@pytest.fixture(scope="module")
def command(longer: Path, manifest: Path) -> tuple[str, ...]:
    """What trains this cohort and nothing else."""
    return (*SMOKE, "--", json.loads((longer / manifest).read_text())["stamps"][-1])


@pytest.fixture(scope="module")
def whole(longer: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bytes of an uninterrupted training."""
    tree = copy_of(longer, tmp_path_factory.mktemp("whole") / "tree")
    train = [sys.executable, "-m", "replicate", "--cohort", str(manifest)]
    subprocess.run(train, cwd=tree, capture_output=True, check=True)
    return digests(tree / STORE)


@pytest.fixture
def tree(longer: Path, tmp_path: Path) -> Path:
    return copy_of(longer, tmp_path / "tree")


def started(tree: Path, command: tuple[str, ...]) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """Snakemake in a group of its own, and its training, once a checkpoint exists."""
    process = subprocess.Popen(
        ["snakemake", "--cores", "2", *command],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not list((tree / STORE / "checkpoints").glob("*.npz")):
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    (training,) = [p for p in below if p.name().startswith("python") and "--cohort" in p.cmdline()]
    return process, training


def assert_it_goes_on(tree: Path, command: tuple[str, ...], whole: dict[str, str]) -> None:
    again = snakemake(tree, *command)
    assert again.returncode == 0, again.stderr
    assert digests(tree / STORE) == whole
    for file in (tree / STORE).glob("*/run.json"):
        assert 0 < read_description(file.parent)["resumed"][-1]["update"] < 6
    assert not (tree / STORE / "checkpoints").exists()


def test_everything_killed(tree: Path, command: tuple[str, ...], whole: dict[str, str]) -> None:
    process, _ = started(tree, command)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    again = snakemake(tree, *command)
    assert again.returncode == 1 and "--unlock" in again.stderr, "Snakemake's own lock is left"
    assert snakemake(tree, "--unlock").returncode == 0
    assert_it_goes_on(tree, command, whole)


def test_a_cohort_killed(tree: Path, command: tuple[str, ...], whole: dict[str, str]) -> None:
    process, training = started(tree, command)
    time.sleep(random.Random(str(command)).uniform(0, 0.7))  # of some two seconds
    training.kill()
    printed, _ = process.communicate()
    assert process.returncode == 1, printed
    assert_it_goes_on(tree, command, whole)


def test_a_training_that_outlives_snakemake(
    tree: Path, command: tuple[str, ...], whole: dict[str, str]
) -> None:
    process, orphan = started(tree, command)
    process.kill()
    orphan.suspend()  # it shall not end before the second Snakemake meets it
    assert snakemake(tree, "--unlock").returncode == 0
    again = snakemake(tree, *command)
    assert again.returncode == 1
    assert f"process {orphan.pid} on " in again.stderr and "more of these runs" in again.stderr
    orphan.terminate()
    orphan.resume()
    orphan.wait(60)
    process.communicate()
    assert_it_goes_on(tree, command, whole)


def test_a_job_that_fails_half_way_keeps_the_runs_it_has_written(
    tree: Path, manifest: Path, command: tuple[str, ...], whole: dict[str, str]
) -> None:
    """Snakemake deletes the outputs of a job that fails: no file of a run may be one."""
    in_the_way = tree / STORE / Path(json.loads((tree / manifest).read_text())["stamps"][-1]).name
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("no folder")
    failed = snakemake(tree, *command)
    assert failed.returncode == 1
    (line,) = [text for text in failed.stderr.splitlines() if text.startswith("error:")]
    assert in_the_way.name in line and "File exists" in line
    finished = {f: f.stat().st_mtime_ns for f in (tree / STORE).glob("*/run.json")}
    assert len(finished) == 3
    in_the_way.unlink()
    again = snakemake(tree, *command)
    assert again.returncode == 0, again.stderr
    assert {f: f.stat().st_mtime_ns for f in finished} == finished
    assert read_description(in_the_way)["resumed"][-1]["update"] == 6, "trained again"
    assert digests(tree / STORE) == whole
