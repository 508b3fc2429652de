"""Going on from checkpoints, whatever happened to the process, the disk or the clock."""

import hashlib
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from torch import Tensor

from replicate.__main__ import main
from replicate.engine.cohort import LaneRecords, Progress
from replicate.engine.state import CohortState
from replicate.envs import make_envs
from replicate.messages import InterruptedTraining, UnusableCheckpointError
from replicate.planning.cohorts import (
    cohort_env_steps,
    cohorts,
    cohorts_to_train,
    env_steps_left,
)
from replicate.settings import RunSettings
from replicate.store import checkpoints, columns, locks, records, software, staleness
from replicate.store.checkpoints import cohort_name
from replicate.store.records import read_description
from replicate.training import provenance, resume
from replicate.training.runs import train_cohort
from replicate.training.signals import stop_request
from tests.conftest import runs_of
from tests.interruption.kill import digests

SHORT = ("algo.num_steps=64", "total_env_steps=640")  # 10 updates
EVERY = 3
RUNS = ("env=hopper", "algo.update_epochs=1", "seed=range(0,3)", *SHORT)


class Crash(BaseException):
    """The end of a process, as far as one can have it without ending it."""


def crash_after(update: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.update == update:
            raise Crash

    return report


def train(runs: list[RunSettings], store: Path, crash: int | None = None) -> None:
    if crash is None:
        train_cohort(runs, store, "cpu", EVERY)
    else:
        with pytest.raises(Crash):
            train_cohort(runs, store, "cpu", EVERY, crash_after(crash))


def checkpoint_files(store: Path) -> list[Path]:
    """The newest, then the one before."""
    return sorted((store / checkpoints.FOLDER).glob("*.npz"), key=lambda f: "previous" in f.name)


def resumed(store: Path) -> set[tuple[int, ...]]:
    """The updates after which each run went on."""
    descriptions = [read_description(file.parent) for file in store.glob("*/run.json")]
    return {tuple(note["update"] for note in d["resumed"]) for d in descriptions}


@pytest.fixture(scope="module")
def runs() -> list[RunSettings]:
    return runs_of(*RUNS)


@pytest.fixture(scope="module")
def whole(runs: list[RunSettings], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bytes of an uninterrupted training."""
    store = tmp_path_factory.mktemp("whole")
    train(runs, store)
    assert resumed(store) == {()} and len(digests(store)) == 6
    return digests(store)


ALGORITHMS = {
    "ppo": ("algo=ppo", "algo.update_epochs=2", "algo.objective=clip,none,adaptive_kl"),
    "ppo with early stops": ("algo=ppo", "algo.target_kl=0.001", "algo.learning_rate=1e-2"),
    "trpo": ("algo=trpo", "algo.value_minibatch_size=64", "algo.max_kl=0.01,0.1"),
    "vpg": ("algo=vpg", "algo.value_minibatch_size=64"),
}


def test_a_column_that_not_every_row_has_goes_through_a_checkpoint() -> None:
    """As of an algorithm of one's own that tells something in some updates only."""
    rows = [{"update": 0, "kl": 0.5}, {"update": 1}, {"update": 2, "kl": 0.25}]
    late = [{"update": 0}, {"update": 1, "kl": 0.125}]
    lanes = [LaneRecords([], rows), LaneRecords([], late, 64)]
    arrays = resume.records_as_arrays(lanes)
    assert resume.records_from_arrays(arrays, [0, 1]) == lanes
    assert resume.records_from_arrays(arrays, [1]) == lanes[1:]


# Each algorithm on each environment, and under each recipe somewhere.
CASES = [
    (algo, ("paper2017", "modern")[(i + j) % 2], env)
    for i, algo in enumerate(ALGORITHMS)
    for j, env in enumerate(("hopper", "bipedal_walker", "cart_pole"))
]


@pytest.mark.parametrize(("algo", "recipe", "env"), CASES)
def test_it_goes_on_to_the_same_bytes(algo: str, recipe: str, env: str, tmp_path: Path) -> None:
    runs = runs_of(f"env={env}", f"recipe={recipe}", *ALGORITHMS[algo], "seed=0,1", *SHORT)
    train(runs, tmp_path / "whole")
    train(runs, tmp_path / "cut", crash=4)
    train(runs, tmp_path / "cut", crash=8)
    train(runs, tmp_path / "cut")
    assert resumed(tmp_path / "cut") == {(3, 6)}
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    assert not (tmp_path / "cut" / checkpoints.FOLDER).exists()


def test_a_crash_at_any_write_loses_nothing(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before and after each rename, of checkpoints and of the runs' own files."""
    original = Path.replace
    renames: list[str] = []

    def count(path: Path, target: Path) -> Path:
        renames.append(Path(target).name)
        return original(path, target)

    monkeypatch.setattr(Path, "replace", count)
    train(runs, tmp_path / "counted")
    moments = len(renames)
    # 4 checkpoints, 3 of which move another out of the way; 3 files of each of 3 runs.
    assert moments == 4 + 3 + 9 and renames[-1] == "run.json"

    for moment in range(moments):
        for before in (True, False):
            store = tmp_path / f"{moment}{before}"
            left = moment

            def crash(path: Path, target: Path, before: bool = before) -> Path:
                nonlocal left
                left -= 1
                if left < 0 and before:
                    raise Crash
                written = original(path, target)
                if left < 0:
                    raise Crash
                return written

            monkeypatch.setattr(Path, "replace", crash)
            with pytest.raises(Crash):
                train_cohort(runs, store, "cpu", EVERY)
            monkeypatch.setattr(Path, "replace", original)
            finished = {file: file.stat().st_mtime_ns for file in store.glob("*/run.json")}
            for cohort in cohorts_to_train(runs, store):
                train(cohort, store)
            assert digests(store) == whole
            assert {file: file.stat().st_mtime_ns for file in finished} == finished
            anew = [
                file
                for file in store.glob("*/run.json")
                if file not in finished and not read_description(file.parent)["resumed"]
            ]
            assert not anew or (moment == 0 and before), "it began anew"


def test_any_lanes_of_a_checkpoint_go_on(
    runs: list[RunSettings], whole: dict[str, str], tmp_path: Path
) -> None:
    train(runs, tmp_path, crash=5)
    train([runs[2], runs[0]], tmp_path)
    assert len(checkpoint_files(tmp_path)) == 1, "the third run still needs it"
    groups = cohorts_to_train([*runs, *runs_of(*RUNS[:-1], "total_env_steps=1280")], tmp_path)
    assert sorted(map(len, groups)) == [1, 3]
    train(groups[0], tmp_path)
    assert digests(tmp_path) == whole
    assert resumed(tmp_path) == {(3,)}
    assert not (tmp_path / checkpoints.FOLDER).exists()


def test_lanes_of_a_checkpoint_that_can_no_longer_share_a_cohort_go_on_apart(
    tmp_path: Path,
) -> None:
    """A key without effect is no part of a run's digest, but the lanes of a cohort share it."""
    base = ("env=hopper", "algo.update_epochs=1", *SHORT)
    (one,) = runs_of(*base, "algo.target_kl=null", "algo.target_kl_factor=1.5")
    (other,) = runs_of(*base, "algo.target_kl=0.01", "algo.target_kl_factor=1.5")
    train([one, other], tmp_path, crash=4)
    (again,) = runs_of(*base, "algo.target_kl=null", "algo.target_kl_factor=1.0")
    assert again.digest == one.digest
    groups = cohorts_to_train([again, other], tmp_path)
    assert [len(group) for group in groups] == [1, 1]
    for group in groups:
        train(group, tmp_path)
    assert resumed(tmp_path) == {(3,)}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_checkpoint_of_another_shape_is_one_line(
    is_there: bool,
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of an environment of one's own that observes more by now."""
    tensors = CohortState.tensors

    def of_another_shape(state: CohortState) -> dict[str, Tensor]:
        name = "learner.policy_state.parameters"
        by_name = tensors(state)
        cut = by_name.pop(name)[:, 1:]
        return by_name | ({name: cut} if is_there else {})

    monkeypatch.setattr(CohortState, "tensors", of_another_shape)
    train(runs, tmp_path, crash=4)
    monkeypatch.setattr(CohortState, "tensors", tensors)
    capsys.readouterr()
    train(runs, tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert "the state of another environment or learner" in line
    assert digests(tmp_path) == whole


def test_an_interrupted_cohort_stays_together_whatever_is_planned_beside_it(
    runs: list[RunSettings], tmp_path: Path
) -> None:
    train(runs, tmp_path, crash=4)
    more = runs_of("env=hopper", "algo.update_epochs=1", "seed=range(0,40)", *SHORT)
    groups = cohorts_to_train(more, tmp_path)
    assert [run.digest for run in groups[0]] == [run.digest for run in runs]
    assert sorted(map(len, groups[1:])) == [18, 19]
    assert [len(group) for group in cohorts(more)] == [20, 20]


def test_what_is_left_is_told_without_what_a_checkpoint_has(
    runs: list[RunSettings], tmp_path: Path
) -> None:
    more = [*runs, *runs_of("env=hopper", "algo.update_epochs=1", "seed=7", *SHORT)]
    train(runs, tmp_path, crash=8)  # its last checkpoint is of update 6
    left = env_steps_left(more, checkpoints.updates_done(tmp_path))
    assert left == cohort_env_steps(more) - len(runs) * 6 * 64
    remains = checkpoint_files(tmp_path)[0]
    partial = remains.with_name(f".{remains.name}.1.partial")
    partial.write_bytes(b"half")  # of a process that was killed
    train(runs, tmp_path)
    assert not (tmp_path / checkpoints.FOLDER).exists()


def test_a_diverged_lane_stays_diverged(tmp_path: Path) -> None:
    base = ("env=hopper", "algo=vpg", "algo.value_minibatch_size=64", *SHORT)
    runs, wild = runs_of(*base, "seed=0,1"), runs_of(*base, "algo.value_learning_rate=1e30")
    train([*runs, *wild], tmp_path / "whole")
    train([*runs, *wild], tmp_path / "cut", crash=5)
    train([*runs, *wild], tmp_path / "cut")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    (run,) = wild
    told = read_description(tmp_path / "cut" / run.run_id)
    assert told["status"] == "diverged" and told["resumed"][0]["update"] == 3


def test_what_another_process_finished_meanwhile_is_left_as_it_is(
    runs: list[RunSettings], whole: dict[str, str], tmp_path: Path
) -> None:
    """Between planning and locking there may be hours, where a command has several cohorts."""
    train([runs[1]], tmp_path)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/*")}
    train(runs, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert digests(tmp_path) == whole
    train(runs, tmp_path)


# Damaged or useless checkpoints.


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    with np.load(file) as stored:
        needle = stored["state.learner.policy_state.parameters"].tobytes()[:64]
    data[bytes(data).index(needle) + 5] ^= 1
    file.write_bytes(data)


def pickle_in(file: Path) -> None:
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["state.update"] = np.array([print], dtype=object)
    np.savez(file, allow_pickle=True, **arrays)
    sign(file)


def of_other_code(file: Path) -> None:
    rewrite_history(file, code_digest="0" * 64)


def of_other_versions(file: Path) -> None:
    rewrite_history(file, versions={"torch": "1.0"})


def without_history(file: Path) -> None:
    rewrite_header(file, history=None)


def rewrite_history(file: Path, **changes: Any) -> None:
    history = checkpoints.read_header(file).header["history"]
    rewrite_header(file, history={**history, **changes})


def rewrite_header(file: Path, **changes: Any) -> None:
    """As if it had been written so; what becomes None is left out."""
    with np.load(file) as stored:
        arrays = dict(stored)
    header = {**checkpoints.read_header(file).header, **changes}
    header = {name: value for name, value in header.items() if value is not None}
    arrays[checkpoints.HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file, **arrays)
    sign(file)


def sign(file: Path) -> None:
    file.write_bytes(file.read_bytes() + hashlib.sha256(file.read_bytes()).digest())


DAMAGE = {
    cut_in_half: "damaged",
    empty: "damaged",
    flip_a_byte: "damaged",
    pickle_in: "Object arrays cannot be loaded",
    without_history: "lacks history",
    of_other_code: "made by other training code",
    of_other_versions: "made by other package versions",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_an_unusable_checkpoint_is_one_line_and_the_one_before_is_used(
    damage: Callable[[Path], None],
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(runs, tmp_path, crash=8)
    newest, before = checkpoint_files(tmp_path)
    damage(newest)
    capsys.readouterr()
    train(runs, tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"{newest}: ") and DAMAGE[damage] in said[0]
    assert said[1] == "going on after update 3 of 10"
    assert digests(tmp_path) == whole and not before.exists()


def test_no_bit_of_a_checkpoint_may_differ(runs: list[RunSettings], tmp_path: Path) -> None:
    train(runs, tmp_path, crash=4)
    (file,) = checkpoint_files(tmp_path)
    data = file.read_bytes()
    chance = np.random.default_rng(0)
    # The list of contents at the end says what there is to read.
    for place in (*chance.integers(0, len(data), 100), *range(len(data) - 200, len(data))):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(chance.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(UnusableCheckpointError, match="not the bytes"):
            checkpoints.read_header(file)


def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(
    runs: list[RunSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And training does not start anew: a file server that fails must cost no hours."""
    train(runs, tmp_path, crash=4)
    (file,) = checkpoint_files(tmp_path)
    read = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fails)
        with pytest.raises(PermissionError):
            resume.begin(runs, tmp_path, "cpu", 1)
    file.unlink()
    with pytest.raises(UnusableCheckpointError, match="not there"):
        checkpoints.read_header(file)


@pytest.mark.parametrize("then", ["a full disk", "a crash"])
def test_a_damaged_checkpoint_does_not_take_the_place_of_a_good_one(
    then: str,
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(runs, tmp_path, crash=8)
    newest, before = checkpoint_files(tmp_path)
    cut_in_half(newest)
    good = before.read_bytes()

    def fail(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path)) if then == "a full disk" else Crash

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write_atomically", fail)
        train(runs, tmp_path, crash=8)  # after it has gone on from update 3 and not saved 6
    assert before.read_bytes() == good
    train(runs, tmp_path)
    assert digests(tmp_path) == whole and resumed(tmp_path) == {(3,)}


def test_a_checkpoint_by_other_code_is_kept_for_who_goes_back_to_it(
    runs: list[RunSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        for module in (staleness, provenance):
            then.setattr(module, "made_by", lambda: {"code_digest": "old", "versions": {}})
        train(runs, tmp_path, crash=5)
        (old,) = checkpoint_files(tmp_path)
        kept = old.read_bytes()
    train(runs, tmp_path, crash=8)
    assert old.read_bytes() == kept and len(checkpoint_files(tmp_path)) == 3
    train(runs, tmp_path)
    assert not old.exists(), "its runs are finished"


def test_environments_are_made_for_a_checkpoint_of_this_code_only(
    runs: list[RunSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The software is looked at first."""
    train(runs, tmp_path, crash=5)
    of_other_code(checkpoint_files(tmp_path)[0])
    made = []
    original = resume.Cohort

    def count(*arguments: Any) -> Any:
        made.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(resume, "Cohort", count)
    train(runs, tmp_path)
    assert len(made) == 1


def test_a_checkpoint_of_code_with_equal_traces_goes_on(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And each part is recorded with its own code."""
    train(runs, tmp_path, crash=5)
    monkeypatch.setattr(staleness, "traces_of", lambda *_: dict.fromkeys(staleness.panel(), "1"))
    kind = staleness.kind_of(runs[0])
    monkeypatch.setattr(staleness, "panel", lambda: {"row": kind})
    of_other_code(checkpoint_files(tmp_path)[0])
    train(runs, tmp_path)
    assert digests(tmp_path) == whole and resumed(tmp_path) == {(3,)}
    description = read_description(tmp_path / runs[0].run_id)
    assert description["code_digest"] == "0" * 64
    assert description["resumed"][0]["code_digest"] == software.code_digest()


def test_without_a_usable_checkpoint_it_begins_anew(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(runs, tmp_path, crash=8)
    for file in checkpoint_files(tmp_path):
        cut_in_half(file)
    capsys.readouterr()
    train(runs, tmp_path)
    assert capsys.readouterr().err.count("damaged") == 2
    assert digests(tmp_path) == whole and resumed(tmp_path) == {()}
    assert not (tmp_path / checkpoints.FOLDER).exists()


class Remembering(gymnasium.Env):
    """A position that goes on from episode to episode."""

    observation_space = gymnasium.spaces.Box(-math.inf, math.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self.place = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.array([self.place], np.float32), {}

    def step(self, action: int) -> Any:
        self.place += action
        return np.array([self.place], np.float32), 1.0, self.np_random.random() < 0.2, False, {}


def test_an_environment_that_does_not_replay_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gymnasium.register("Remembering-v0", Remembering)
    try:
        runs = runs_of("env.id=Remembering-v0", "algo.update_epochs=1", *SHORT)
        train(runs, tmp_path / "whole")
        train(runs, tmp_path / "cut", crash=4)
        capsys.readouterr()
        train(runs, tmp_path / "cut")
    finally:
        gymnasium.registry.pop("Remembering-v0")
    (line,) = capsys.readouterr().err.splitlines()
    assert "lead elsewhere" in line
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    assert resumed(tmp_path / "cut") == {()}


@pytest.mark.parametrize("hardcore", ["false", "true"])
def test_a_bipedal_walker_replays_whatever_went_before(hardcore: str) -> None:
    (run,) = runs_of("env=bipedal_walker", f"env.kwargs.hardcore={hardcore}")
    for seed in range(3):
        chance = np.random.default_rng(seed)
        original = make_envs(run.env, [seed])
        original.reset()
        arrays = np.zeros((1, 1)), np.zeros((1, 24)), np.zeros((2, 1), bool)
        while original.episodes[0] < 3 or len(original.actions_of(0)) < 40:
            action = chance.uniform(-1, 1, (1, 4)).astype(np.float32)
            original.step([0], 0, action, arrays[0][0], arrays[1], *arrays[2])
        fresh = make_envs(run.env, [seed])
        fresh.replay(original.episodes, [original.actions_of(0)])
        assert np.array_equal(fresh.observations, original.observations)
        assert fresh.episodic_returns == original.episodic_returns


# Disks and clocks.


def limited(command: list[str], largest_file_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run where no file may grow beyond a size: a write fails as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes,) * 2)

    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


def command_line(out: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "replicate", "-m", *RUNS]
    return [*start, f"checkpoint_every_updates={EVERY}", f"out={out}", *more]


def long_command_line(out: Path) -> list[str]:
    """So long that it is stopped before its end."""
    return [re.sub(r"^(total_env_steps)=.*", r"\1=640000", word) for word in command_line(out)]


def test_a_disk_too_full_for_checkpoints_does_not_stop_training(
    whole: dict[str, str], tmp_path: Path
) -> None:
    done = limited(command_line(tmp_path), 50_000)
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "no checkpoint" in line]
    assert len(complaints) == 4 and all("File too large" in line for line in complaints)
    assert digests(tmp_path) == whole
    assert not list(tmp_path.rglob(".*")), "partial files are left"


@pytest.mark.parametrize("largest_file_bytes", [0, 500])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    largest_file_bytes: int, runs: list[RunSettings], whole: dict[str, str], tmp_path: Path
) -> None:
    """With room for the lock's file or without."""
    train(runs, tmp_path, crash=8)
    newest = checkpoint_files(tmp_path)[0].read_bytes()
    done = limited(command_line(tmp_path), largest_file_bytes)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    file = "episodes.parquet" if largest_file_bytes else ".lock"
    assert f"{file}: File too large" in line and "the same command goes on" in line
    assert newest in [file.read_bytes() for file in checkpoint_files(tmp_path)]
    assert not list(tmp_path.rglob(".*"))
    again = subprocess.run(command_line(tmp_path), capture_output=True, text=True)
    assert again.returncode == 0 and "going on after update 6 of 10" in again.stderr
    assert digests(tmp_path) == whole


def test_runs_that_were_written_before_the_disk_was_full_are_kept(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = columns.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.parent.name == runs[1].run_id:
            raise OSError(28, "No space left on device", str(path))
        original(path, data)

    monkeypatch.setattr(columns, "write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        train_cohort(runs, tmp_path, "cpu", EVERY)
    monkeypatch.setattr(columns, "write_atomically", original)
    first = tmp_path / runs[0].run_id / "run.json"
    written = first.stat().st_mtime_ns
    (rest,) = cohorts_to_train(runs, tmp_path)
    train(rest, tmp_path)
    assert first.stat().st_mtime_ns == written
    assert digests(tmp_path) == whole
    assert resumed(tmp_path) == {(), (10,)}, "trained again"


def test_a_clock_that_jumps_changes_nothing(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(runs, tmp_path, crash=8)
    newest, _ = checkpoint_files(tmp_path)
    os.utime(newest, (0, 0))  # older than the one before, to go by their times

    class Before(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(1999, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(resume, "datetime", Before)
    train(runs, tmp_path)
    assert resumed(tmp_path) == {(6,)}
    assert digests(tmp_path) == whole
    description = read_description(tmp_path / runs[0].run_id)
    assert description["ended"] < description["started"]
    assert all(seconds >= 0 for seconds in description["cohort"]["seconds"].values())


# One writer.


def holding(folder: Path, name: str, run_ids: list[str]) -> "subprocess.Popen[str]":
    """A process that holds a lock until its input ends."""
    program = (
        "import sys; from pathlib import Path; from replicate.store.locks import only_writer\n"
        "with only_writer(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(folder), name, *run_ids]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("name", ["the same cohort", "another cohort with a run of it"])
def test_a_second_writer_is_refused_in_one_line(
    name: str, runs: list[RunSettings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = cohort_name(runs) if name == "the same cohort" else "other"
    folder = tmp_path / checkpoints.FOLDER
    holder = holding(folder, held, [runs[1].run_id])
    try:
        assert main(["-m", *RUNS, f"out={tmp_path}"]) == 2
    finally:
        holder.communicate("")
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert f"process {holder.pid}" in printed.err and f"kill {holder.pid}" in printed.err
    assert f"trains {runs[1].run_id} since" in printed.err
    assert not list(tmp_path.glob("*/run.json"))
    assert not (folder / f"{held}.lock").exists(), "whoever held it has deleted it"


@pytest.mark.parametrize("folder", ["link", "link/checkpoints"])
def test_a_link_that_leads_nowhere_is_no_folder_for_a_lock(folder: str, tmp_path: Path) -> None:
    """As where a disk is not mounted: to try for ever would not help."""
    (tmp_path / "link").symlink_to(tmp_path / "unmounted" / "runs")
    with pytest.raises(OSError), locks.only_writer(tmp_path / folder, "a", ["b"]):
        pass


def test_a_lock_left_by_a_killed_process_does_not_lock(
    runs: list[RunSettings], whole: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / checkpoints.FOLDER
    holder = holding(folder, cohort_name(runs), [run.run_id for run in runs])
    path = folder / f"{cohort_name(runs)}.lock"
    holder_ = locks.holder(path)
    assert holder_ is not None and holder_["pid"] == holder.pid
    holder.kill()
    holder.communicate()
    assert path.is_file() and locks.holder(path) is None
    train(runs, tmp_path)
    assert digests(tmp_path) == whole and not folder.exists()


# Signals.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_a_checkpoint(
    number: signal.Signals, runs: list[RunSettings], whole: dict[str, str], tmp_path: Path
) -> None:
    def ask(progress: Progress) -> None:
        if progress.update == 5:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(InterruptedTraining, match="after update 5 of 10") as raised:
        train_cohort(runs, tmp_path, "cpu", EVERY, ask)
    assert raised.value.signal_number == number
    assert signal.getsignal(number) is before
    train(runs, tmp_path)
    assert resumed(tmp_path) == {(5,)} and digests(tmp_path) == whole


def test_a_signal_after_the_last_update_stops_too(
    runs: list[RunSettings],
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The runs are written first; another cohort of the same command is not begun."""
    original = records.write_json

    def write_and_ask(path: Path, data: Any) -> None:
        original(path, data)
        if path.parent.name == runs[0].run_id:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(records, "write_json", write_and_ask)
    with pytest.raises(InterruptedTraining, match="stopped by SIGTERM after the last update"):
        train(runs, tmp_path)
    assert digests(tmp_path) == whole and not (tmp_path / checkpoints.FOLDER).exists()


def test_nobody_listening_is_no_reason_to_lose_a_checkpoint(tmp_path: Path) -> None:
    """Ctrl-C on ``... 2>&1 | tee log`` ends the tee as well."""
    long = long_command_line(tmp_path)
    reader, writer = os.pipe()
    process = subprocess.Popen(long, stdout=writer, stderr=writer)
    os.close(writer)
    while process.poll() is None and not checkpoint_files(tmp_path):
        time.sleep(0.02)
    os.close(reader)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    update = checkpoints.read_header(checkpoint_files(tmp_path)[0]).update
    assert update > 0 and not list((tmp_path / checkpoints.FOLDER).glob("*.lock"))


def test_a_second_signal_acts_as_ever() -> None:
    with pytest.raises(KeyboardInterrupt), stop_request() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_a_signal_that_the_shell_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_request() as stop:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_stopped_command_says_how_to_go_on(tmp_path: Path) -> None:
    long = long_command_line(tmp_path)
    process = subprocess.Popen(long, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not checkpoint_files(tmp_path):
        time.sleep(0.02)
    process.terminate()
    _, printed = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in printed
    assert printed.splitlines()[-1].startswith("stopped by SIGTERM after update ")
    newest, _ = checkpoint_files(tmp_path)
    assert f"after update {checkpoints.read_header(newest).update} of 10000" in printed
    shutil.rmtree(tmp_path / checkpoints.FOLDER)
