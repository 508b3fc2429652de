"""Checks of the machine, each against a situation made for it."""

from pathlib import Path

import pytest

from replicate.networks import MKL_CODE_PATH
from replicate.store import software
from replicate.store.software import unlike_the_lock
from replicate.upkeep.checks import machine as checks
from tests.upkeep.checks.heard import only


@pytest.mark.parametrize(
    ("environment", "state", "expected"),
    [
        ({}, "ok", "training 1 a process"),
        ({"OMP_NUM_THREADS": "1"}, "ok", "training 1 a process"),
        ({"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "1"}, "note", "OMP_NUM_THREADS=4"),
    ],
)
def test_threads(environment: dict[str, str], state: str, expected: str) -> None:
    finding = checks.threads(8, 4, environment)
    assert (finding.state, "8 cores" in finding.text) == (state, True)
    assert expected in finding.text and "MKL_NUM_THREADS" not in finding.text + finding.todo


def test_a_code_path_of_mkl_that_the_user_chose_is_told() -> None:
    machine = {"cpu": "Abacus", "simd": "AVX9"}
    assert checks.simd({**machine, "mkl_cbwr": MKL_CODE_PATH}).state == "ok"
    finding = checks.simd({**machine, "mkl_cbwr": "SSE4_2"})
    assert finding.state == "note" and "MKL_CBWR=SSE4_2" in finding.text
    assert MKL_CODE_PATH in finding.todo


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
    finding = only(checks.versions((3, 11), unlike_the_lock(), True))
    assert finding.state == state
    assert expected.format(torch=software.version("torch")) in finding.text


def test_another_python_is_a_problem_and_no_lock_file_a_note() -> None:
    python, lock = checks.versions((3, 13), {}, False)
    assert python.state == "problem" and "Python 3.13, not 3.11" in python.text
    assert lock.state == "note"


def test_what_matters_for_the_numbers_is_named_first() -> None:
    unlike: dict[str, tuple[str, str | None]] = dict.fromkeys("abcd", ("1", "2"))
    finding = only(checks.versions((3, 11), {**unlike, "Box2D": ("1", None)}, True))
    assert "lock: Box2D missing (lock: 1), a 2 (lock: 1), b 2 (lock: 1) and 2 more" in finding.text


def test_code_without_a_commit_is_told() -> None:
    clean = {"commit": "c" * 40, "dirty": False}
    assert checks.code(clean, "d" * 12, True).state == "ok"
    assert checks.code({**clean, "dirty": True}, "d" * 12, True).state == "note"
    assert checks.code({**clean, "dirty": None}, "d" * 12, True).state == "ok"  # git was too slow
    assert "git" in checks.code({"commit": None, "dirty": None}, "d" * 12, True).text


def test_code_without_traces_is_told_with_the_command() -> None:
    finding = checks.code({"commit": "c" * 40, "dirty": False}, "d" * 12, False)
    assert finding.state == "note" and "python -m replicate traces" in finding.todo


@pytest.mark.parametrize(
    ("free", "needed", "state"), [(9e8, 0, "problem"), (2e9, 1e8, "ok"), (2e9, 3e9, "problem")]
)
def test_free_disk(free: float, needed: float, state: str) -> None:
    assert checks.disk(free, needed, True, Path("runs")).state == state
    assert "cannot be written" in checks.disk(free, needed, False, Path("runs")).text


def test_a_folder_that_is_not_there_yet_stands_for_the_one_around_it(tmp_path: Path) -> None:
    assert checks.existing(tmp_path / "not/there/yet") == tmp_path
