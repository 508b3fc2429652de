"""The doctor, each check against a situation made for it."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from replicate.maths.returns import gae
from replicate.networks import MKL_CODE_PATH
from replicate.planning.choices import Choice, chosen_runs
from replicate.store import checkpoints, software
from replicate.store.records import write_run
from replicate.store.software import made_by, unlike_the_lock
from replicate.store.staleness import Answer
from replicate.upkeep import doctor, selftest
from replicate.upkeep.doctor import Finding
from tests.conftest import runs_of
from tests.stored import description, store_run

ROOT = Path(__file__).resolve().parents[2]


def silent(_: str) -> None:
    """Told nothing."""


def only(found: Iterator[Finding] | list[Finding]) -> Finding:
    (finding,) = found
    return finding


@pytest.mark.parametrize(
    ("environment", "state", "expected"),
    [
        ({}, "ok", "training 1 a process"),
        ({"OMP_NUM_THREADS": "1"}, "ok", "training 1 a process"),
        ({"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "1"}, "note", "OMP_NUM_THREADS=4"),
    ],
)
def test_threads(environment: dict[str, str], state: str, expected: str) -> None:
    found = doctor.threads(8, 4, environment)
    assert (found.state, "8 cores" in found.text) == (state, True)
    assert expected in found.text and "MKL_NUM_THREADS" not in found.text + found.todo


def test_a_code_path_of_mkl_that_the_user_chose_is_told() -> None:
    machine = {"cpu": "Abacus", "simd": "AVX9"}
    assert doctor.simd({**machine, "mkl_cbwr": MKL_CODE_PATH}).state == "ok"
    found = doctor.simd({**machine, "mkl_cbwr": "SSE4_2"})
    assert found.state == "note" and "MKL_CBWR=SSE4_2" in found.text
    assert MKL_CODE_PATH in found.todo


@pytest.mark.parametrize(
    ("line", "state", "expected"),
    [
        ("torch=={torch}", "ok", "as in requirements.lock"),
        ("torch==2.0.0", "problem", "torch {torch} (lock: 2.0.0)"),
        ("ruff==0.0.1", "note", "(lock: 0.0.1)"),
        ("no-such-package==1.0", "note", "no-such-package missing (lock: 1.0)"),
    ],
)
def test_versions_are_compared_with_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, state: str, expected: str
) -> None:
    here = software.version("torch").partition("+")[0]
    monkeypatch.setattr(software, "LOCK", tmp_path / "requirements.lock")
    software.LOCK.write_text(line.format(torch=here) + "\n")
    found = only(doctor.versions((3, 11), unlike_the_lock(), True))
    assert found.state == state
    assert expected.format(torch=software.version("torch")) in found.text


def test_another_python_is_a_problem_and_no_lock_file_a_note() -> None:
    python, lock = doctor.versions((3, 13), {}, False)
    assert python.state == "problem" and "Python 3.13, not 3.11" in python.text
    assert lock.state == "note"


def test_what_matters_for_the_numbers_is_named_first() -> None:
    unlike: dict[str, tuple[str, str | None]] = dict.fromkeys("abcd", ("1", "2"))
    found = only(doctor.versions((3, 11), {**unlike, "Box2D": ("1", None)}, True))
    assert "lock: Box2D missing (lock: 1), a 2 (lock: 1), b 2 (lock: 1) and 2 more" in found.text


def test_code_without_a_commit_is_told() -> None:
    clean = {"commit": "c" * 40, "dirty": False}
    assert doctor.code(clean, "d" * 12, True).state == "ok"
    assert doctor.code({**clean, "dirty": True}, "d" * 12, True).state == "note"
    assert "git" in doctor.code({"commit": None, "dirty": None}, "d" * 12, True).text


def test_code_without_traces_is_told_with_the_command() -> None:
    found = doctor.code({"commit": "c" * 40, "dirty": False}, "d" * 12, False)
    assert found.state == "note" and "python -m replicate traces" in found.todo


HOLD = """
import sys, time
from pathlib import Path
from replicate.store.locks import only_writer
with only_writer(Path(sys.argv[1]), "hopper_ppo", ["a", "b"]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_that_is_held_and_one_that_a_killed_process_left(tmp_path: Path) -> None:
    assert only(doctor.writers(tmp_path)).state == "ok"
    command = [sys.executable, "-c", HOLD, str(tmp_path / checkpoints.FOLDER)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            held = only(doctor.writers(tmp_path))
        finally:
            process.kill()
    assert held.state == "note" and "hopper_ppo.lock" in held.text
    assert f"process {process.pid} on" in held.text and "trains 2 runs since 20" in held.text
    left = only(doctor.writers(tmp_path))
    assert left.state == "note" and "hopper_ppo.lock left by a process that is gone" in left.text
    assert "locks nothing" in left.todo


def test_the_lock_of_a_snakemake_that_is_gone_and_of_one_that_runs(tmp_path: Path) -> None:
    assert doctor.snakemake_lock(tmp_path).state == "ok"
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("a.csv\n")
    gone = doctor.snakemake_lock(tmp_path)
    assert gone.state == "problem" and "snakemake --unlock" in gone.todo
    script = tmp_path / "bin/snakemake"
    script.parent.mkdir()
    script.write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    command = [sys.executable, str(script), "--cores", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            running = doctor.snakemake_lock(tmp_path)
            assert doctor.snakemake_processes(ROOT / "tests") == []
        finally:
            process.kill()
    assert running.state == "note" and f"(process {process.pid})" in running.text


def write_checkpoint(store: Path, update: int, **changed: Any) -> Path:
    """Of a cohort of two; the file."""
    runs = runs_of("env=hopper", "seed=0,1")
    history = {"commit": "c0ffee" * 6, **made_by(), **changed}
    header = {"update": update, "num_updates": 8, "seconds": {}, "history": history}
    checkpoints.write(store, "hopper_ppo", runs, header, {"a": np.arange(100)})
    files = (store / checkpoints.FOLDER).glob(f"*{checkpoints.SUFFIX}")
    return min(files, key=lambda file: len(file.name))


def test_how_far_a_checkpoint_is(tmp_path: Path) -> None:
    assert only(doctor.unfinished(tmp_path)).state == "ok"
    write_checkpoint(tmp_path, 2)
    write_checkpoint(tmp_path, 3)  # the one before stays, and is no news
    found = only(doctor.unfinished(tmp_path))
    assert found.state == "note" and "update 3 of 8, 2 runs" in found.text


def test_a_truncated_checkpoint_and_the_one_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 2)
    file = write_checkpoint(tmp_path, 3)
    file.write_bytes(file.read_bytes()[:-40])
    damaged, before = doctor.unfinished(tmp_path)
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
    found = only(doctor.unfinished(tmp_path))
    assert found.state == "note" and "(update 3 of 8" in found.text
    assert f"made by other {what} (" in found.text
    assert "python -m replicate traces c0ffeec0ffee finds out" in found.text
    assert "check out commit c0ffeec0ffee" in found.todo and "start anew" in found.todo


@pytest.mark.parametrize(
    ("free", "needed", "state"), [(9e8, 0, "problem"), (2e9, 1e8, "ok"), (2e9, 3e9, "problem")]
)
def test_free_disk(free: float, needed: float, state: str) -> None:
    assert doctor.disk(free, needed, True, Path("runs")).state == state
    assert "cannot be written" in doctor.disk(free, needed, False, Path("runs")).text


def test_what_a_choice_needs_grows_with_it_and_falls_when_runs_are_finished(tmp_path: Path) -> None:
    smoke = Choice(("epsilon",), "smoke")
    before = doctor.bytes_needed(smoke, tmp_path)
    assert 0 < before < doctor.bytes_needed(Choice(("epsilon",), "quick"), tmp_path)
    ((_, runs),) = chosen_runs(smoke)
    for planned in runs:
        folder = tmp_path / planned.run.run_id
        folder.mkdir()
        (folder / "run.json").write_text("{}")
    assert doctor.bytes_needed(smoke, tmp_path) == 0
    assert doctor.existing(tmp_path / "not/there/yet") == tmp_path


SEVEN = runs_of("env=hopper", "total_env_steps=2048", "seed=range(0,7)")


def test_stored_runs_by_other_software(tmp_path: Path) -> None:
    now, *old_ones, elsewhere_one = SEVEN
    store_run(tmp_path, now)
    whole = only(doctor.stored_runs(tmp_path, silent))
    assert (whole.state, "1 finished" in whole.text) == ("ok", True)
    for run in old_ones:
        store_run(tmp_path, run, code_digest="0" * 64)
    store_run(tmp_path, elsewhere_one, versions={}, dirty=True, commit="decade")
    found = only(doctor.stored_runs(tmp_path, silent))
    assert found.state == "note"
    assert "6 of 7 made by other package versions (no box2d" in found.text
    assert "other training code (000000000000), not known here" in found.text
    assert found.text.count("hopper_v5-ppo") == 3 and found.text.endswith("and 3 more")
    assert found.todo.startswith("python -m replicate traces c0ffee finds out")


def test_stored_runs_by_software_that_does_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store_run(tmp_path, SEVEN[0]).name
    monkeypatch.setattr(doctor, "compare", lambda *_: Answer("other", "other training code"))
    found = only(doctor.stored_runs(tmp_path, silent))
    assert found.state == "note" and f"1 of 1 made by other training code: {name}" in found.text
    assert "python -m replicate retrain" in found.todo


def test_damaged_runs(tmp_path: Path) -> None:
    told: list[str] = []
    folders = [store_run(tmp_path, run) for run in SEVEN[:5]]
    file = folders[0] / "run.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    for folder in folders[1:]:
        file = folder / "episodes.parquet"
        file.write_bytes(file.read_bytes()[:-1])
    found = list(doctor.stored_runs(tmp_path, told.append))
    assert [finding.state for finding in found] == ["problem"] * 4
    assert f"{folders[0]}/run.json: damaged (its digest is not" in found[0].text
    assert f"{folders[1]}/episodes.parquet: damaged" in found[1].text
    assert found[1].todo.startswith(f"delete {folders[1]} and")
    assert "2 more are damaged" in found[3].text
    assert told[-1] == f"{tmp_path}: reading run 5 of 5"


def test_runs_that_were_swapped(tmp_path: Path) -> None:
    one, other = (store_run(tmp_path, run) for run in SEVEN[:2])
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    found = list(doctor.stored_runs(tmp_path, silent))
    assert [finding.state for finding in found] == ["problem"] * 2
    assert f"{one}/run.json: damaged (it is of another run, {other.name})" in found[0].text


def test_data_that_is_not_what_the_manifest_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    data = tmp_path / "reference"
    shutil.copytree(ROOT / "results/reference", data)
    assert only(doctor.manifests(tmp_path)).state == "ok"
    altered = data / "runs/quick/hopper.updates.parquet"
    altered.write_bytes(altered.read_bytes()[:-1])
    found = only(doctor.manifests(tmp_path))
    assert found.state == "problem" and f"{altered}: not the file" in found.text
    assert "restore it from git" in found.todo


DRY_RUN = """
rule train_hopper_v5_ppo_8cacab7f80e3:
    output: results/a/run.json
    reason: Missing output files: results/a/run.json
rule train_hopper_v5_vpg_182b85bbe34c:
    reason: Missing output files: results/b/run.json
rule figure:
    reason: Updated input files: analysis/x.py; Code has changed since last execution
rule figure:
    reason: Code has changed since last execution; Input files updated by another job: a, b
localrule all:
    reason: Input files updated by another job: results/a/run.json
"""


def completed(code: int, out: str, error: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, out, error)


def test_reasons_of_snakemake() -> None:
    train, figure = doctor.to_run(completed(0, DRY_RUN, ""))
    assert train == Finding("snakemake", "note", "train: 2 jobs, not made yet, or deleted")
    assert figure.text == "figure: 2 jobs, the rule's command has changed"
    assert "snakemake --touch" in figure.todo


@pytest.mark.parametrize(
    ("code", "out", "error", "state", "expected"),
    [
        (0, "", "Nothing to be done (all is there).", "ok", "nothing to run"),
        (0, "Rule = figure", "", "problem", "cannot read"),
        (2, "", "Using profile\nerror: scale=x\nbye\n", "problem", "code 2: scale=x"),
        (1, "", "Traceback\nIt broke.\n\n", "problem", "code 1: It broke."),
        (1, "", "", "problem", "no word of why"),
        (1, "Error: No Snakefile found", "", "problem", "No Snakefile found"),
    ],
)
def test_snakemake_with_nothing_to_do_and_one_that_fails(
    code: int, out: str, error: str, state: str, expected: str
) -> None:
    found = only(doctor.to_run(completed(code, out, error)))
    assert found.state == state and expected in found.text


def gae_that_looks_aside(*arguments: Any) -> Tensor:
    advantages = gae(*arguments)
    return advantages + 1e-3 * advantages.mean(0)


def gae_that_counts() -> Any:
    numbers = itertools.count()
    return lambda *arguments: gae(*arguments) * (1 + 1e-6 * next(numbers))


def generators_that_change_places(tensors: Any, lanes: list[int]) -> Any:
    from replicate.engine.state import take_lanes_of_tensors

    found = take_lanes_of_tensors(tensors, lanes)
    return {**found, "generators": found["generators"].roll(1, 0)}


@pytest.mark.parametrize(
    ("broken", "replacement", "fails", "holds"),
    [
        (None, None, [], [selftest.AGAIN, selftest.ALONE, selftest.REORDERED, selftest.RESUMED]),
        (
            "engine.cohort.gae",
            gae_that_looks_aside,
            [selftest.ALONE],
            [selftest.AGAIN, selftest.RESUMED],
        ),
        ("engine.cohort.gae", gae_that_counts(), [selftest.AGAIN, selftest.RESUMED], []),
        (
            "training.resume.take_lanes_of_tensors",
            generators_that_change_places,
            [selftest.RESUMED],
            [selftest.AGAIN, selftest.ALONE, selftest.REORDERED],
        ),
        ("training.resume.stored", lambda _: ([], []), ["does not go on from its checkpoint"], []),
    ],
)
@pytest.mark.parametrize("algo", ["ppo", "trpo"])
def test_the_self_test_names_the_promise_that_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    algo: str,
    broken: str | None,
    replacement: Any,
    fails: list[str],
    holds: list[str],
) -> None:
    monkeypatch.setattr(selftest, "TASKS", selftest.TASKS[:1])
    monkeypatch.setattr(selftest, "VARIED", {algo: selftest.VARIED[algo]})
    monkeypatch.setattr(selftest, "BATCHED", ())
    if broken:
        monkeypatch.setattr(f"replicate.{broken}", replacement)
    found = list(doctor.determinism(silent))
    text = "\n".join(finding.text for finding in found)
    assert [finding.state for finding in found] == (["problem"] * len(found) if fails else ["ok"])
    assert all(promise in text for promise in fails)
    if fails:
        assert f"Hopper-v5 {algo} seed" in text
        assert not any(promise in text for promise in holds)


def test_a_difference_is_named_by_file_column_and_step(tmp_path: Path) -> None:
    row = {"update": 0, "env_step": 128, "kl": 0.5, "entropy": float("nan")}
    later = {**row, "update": 1, "env_step": 256}
    changes = {"a": later, "b": {**later, "kl": 0.25}, "c": {**later, "entropy": 1.0}}
    for name, last in changes.items():
        write_run(tmp_path / name, [], [row, last], description(SEVEN[0]))
    write_run(tmp_path / "short", [], [row], description(SEVEN[0]))
    a = tmp_path / "a"
    assert selftest.first_difference(a, a) is None
    for name, expected in {
        "b": "updates.parquet, kl at env step 256",
        "c": "updates.parquet, entropy at env step 256",
        "short": "updates.parquet, 2 and 1 rows",
    }.items():
        assert selftest.first_difference(a, tmp_path / name) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("scale=papr", "'paper'"),
        ("studies=table2", "'table1'"),
        ("study=table1", "'studies'"),
        ("smoke", "smoke: unknown key"),
        ("out=", "out"),
    ],
)
def test_wrong_arguments_are_one_line(
    argument: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error:") and expected in line


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Snakefile, and a plan that cannot be made: said, line by line."""

    def broken(*_: Any) -> Iterator[str]:
        raise RuntimeError("it broke\nhere")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "bytes_needed", broken)
    monkeypatch.setattr(doctor, "broken_promises", lambda _: iter(()))
    assert doctor.main(["scale=smoke"]) == 1
    lines = capsys.readouterr().out.splitlines()
    problems = [line for line in lines if line.startswith("problem")]
    assert [line.split()[1] for line in problems] == ["disk", "snakemake"]
    assert "the check failed: RuntimeError: it broke" in problems[0]
    assert any(line.split()[:2] == ["ok", "self-test"] for line in lines)
    assert lines[-1] == "2 problems"
    assert lines[0] == "scale=smoke studies=comparison,comparison_modern,table1,epsilon out=runs"
    assert all(line.split()[0] in ("ok", "note", "problem") for line in lines[1:-1])


def test_a_narrow_terminal_gets_whole_words() -> None:
    finding = Finding("runs", "problem", "a/long-path-that/has-no-blank is damaged", "delete it")
    lines = doctor.told(finding, 50).splitlines()
    assert lines[0] == "problem  runs         a/long-path-that/has-no-blank"
    assert [line.strip() for line in lines[1:]] == ["is damaged → delete it"]
    assert "\n" not in doctor.told(finding, sys.maxsize)


def test_what_takes_its_time_is_told_where_no_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "SECONDS_BETWEEN_LINES", 0.05)
    with doctor.teller(doctor.Console()) as tell:
        tell("too early")
        time.sleep(0.06)
        tell("self-test: Hopper-v5 ppo")
        tell("too early again")
    assert capsys.readouterr().err == "self-test: Hopper-v5 ppo\n"


def test_a_signal_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """During a training of the self-test, which takes the signal first."""

    def gae_and_a_signal(*arguments: Any) -> Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return gae(*arguments)

    monkeypatch.setattr(
        doctor, "examination", lambda *_: [("self-test", lambda: doctor.determinism(silent))]
    )
    monkeypatch.setattr("replicate.engine.cohort.gae", gae_and_a_signal)
    assert doctor.main([]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "stopped; nothing was changed\n"
