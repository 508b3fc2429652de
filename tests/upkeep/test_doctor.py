"""The doctor: wrong arguments, checks that fail, and how findings are told."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from replicate.maths.returns import gae
from replicate.upkeep import doctor
from replicate.upkeep.checks import machine
from replicate.upkeep.checks.finding import Finding
from tests.upkeep.checks.heard import silent


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
    monkeypatch.setattr(machine, "broken_promises", lambda _: iter(()))
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
    now = [0.0]
    monkeypatch.setattr(doctor.time, "monotonic", lambda: now[0])
    with doctor.teller(doctor.Console()) as tell:
        tell("too early")
        now[0] += doctor.SECONDS_BETWEEN_LINES
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
