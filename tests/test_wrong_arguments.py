"""Programs of the pipeline without their arguments, files nested too deeply, narrow terminals."""

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.aggregate import read_runs
from analysis.findings import read_claims
from analysis.manifest import verify
from replicate.__main__ import main
from replicate.messages import DataError, begin
from replicate.store.files import read_json, write_manifest
from replicate.store.locks import NOBODY, holder, only_writer

PROGRAMS = [
    *(f"replicate.probes.{name}" for name in ("clipped_objective", "untrained", "two_actions")),
    "replicate.probes.update_anatomy",
    *(f"analysis.{name}" for name in ("aggregate", "report", "forest")),
    *(f"analysis.{name}" for name in ("claims", "measures", "products")),
    *(
        f"analysis.probe_figures.{name}"
        for name in ("clipped_objective", "update_line", "update_passes")
    ),
    *(f"analysis.{name}" for name in ("findings", "coverage", "compare_runs", "manifest")),
    *("tests.regression.false_alarms", "tests.parity.learning_curves"),
]


@pytest.fixture(autouse=True)
def _modules_as_before() -> Iterator[None]:
    before = dict(sys.modules)
    yield
    sys.modules.update(before)


@pytest.mark.parametrize("arguments", [[], ["--nope"], ["x"] * 40])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_wrong_arguments_are_one_line_that_says_what_is_right(
    program: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "usage: python -m " in line


@pytest.mark.parametrize("arguments", [["--cohort"], ["-x"], ["mirror"], ["mirror", "--follow"]])
def test_wrong_flags_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


NESTED = '{"runs": ' * 100_000


def test_json_that_is_nested_too_deeply_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.runs.json"
    file.write_text(NESTED)
    for read in (read_json, read_runs, read_claims):
        (tmp_path / "manifest.json").unlink(missing_ok=True)
        with pytest.raises(DataError) as raised:
            read(file)
        assert "\n" not in str(raised.value) and str(file) in str(raised.value)
    assert main(["--cohort", str(file)]) == 2
    assert "nested too deeply" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{}", '"a"', "[1]", "[{}]", "[[]]", "3"])
def test_claims_that_are_none_are_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "claims.json"
    file.write_text(content)
    write_manifest(tmp_path / "claims.manifest.json", [file])
    with pytest.raises(DataError, match="no list of claims with their verdicts"):
        read_claims(file)


@pytest.mark.parametrize("content", ["{}", '"a"', "[1]", "[{}]", "[[]]", "3", "null"])
def test_runs_that_are_none_are_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "hopper.runs.json"
    file.write_text(content)
    with pytest.raises(DataError, match="no list of runs"):
        read_runs(file)


def test_a_manifest_that_lists_no_name_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"a\\u0000": "0"}')
    with pytest.raises(DataError, match="no name of a file"):
        verify(tmp_path / "manifest.json")


@pytest.mark.parametrize("content", [NESTED, "[1]", "3", "null", "{", ""])
def test_a_held_lock_that_says_nothing_of_its_holder_is_held_all_the_same(
    tmp_path: Path, content: str
) -> None:
    with only_writer(tmp_path, "cohort", ["a"]):
        (lock,) = tmp_path.glob("*.lock")
        lock.write_text(content)
        assert holder(lock) == NOBODY


def test_what_a_terminal_cannot_show_is_printed_as_its_code_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for encoding in ("ascii", "latin-1", "utf-8"):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["--help"]) == 0
        out.flush()
        text = out.buffer.getvalue().decode(encoding)
        assert ("\\u03b5" in text) is (encoding != "utf-8")
    monkeypatch.setattr(sys, "stdout", None)
    begin()


def test_files_are_read_whatever_the_locale_is() -> None:
    """Study titles, code and lock file have letters that ASCII lacks."""
    program = (
        "from replicate.planning.studies import load_study\n"
        "from replicate.planning.imports import files_of\n"
        "from replicate.store.software import code_digest, unlike_the_lock\n"
        "load_study('epsilon'), files_of('analysis.figures.epsilon'), code_digest()\n"
        "unlike_the_lock()\n"
    )
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    environment = {**os.environ, **ascii_only}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("program", "imported"), [("replicate", "hydra"), ("analysis.measures", "pandas")]
)
def test_ctrl_c_while_a_program_is_imported_is_one_line(
    tmp_path: Path, program: str, imported: str
) -> None:
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(9**9): pass\n"
    (tmp_path / f"{imported}.py").write_text(kill)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run(
        [sys.executable, "-m", program], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (130, "stopped before it began\n")
