"""Checks of Snakemake, each against a situation made for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from replicate.upkeep.checks import workflow as checks
from replicate.upkeep.checks.finding import Finding
from tests.upkeep.checks.heard import only

ROOT = Path(__file__).resolve().parents[3]


def test_the_lock_of_a_snakemake_that_is_gone_and_of_one_that_runs(tmp_path: Path) -> None:
    assert checks.snakemake_lock(tmp_path).state == "ok"
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("a.csv\n")
    gone = checks.snakemake_lock(tmp_path)
    assert gone.state == "problem" and "snakemake --unlock" in gone.todo
    script = tmp_path / "bin/snakemake"
    script.parent.mkdir()
    script.write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    command = [sys.executable, str(script), "--cores", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            running = checks.snakemake_lock(tmp_path)
            assert checks.snakemake_processes(ROOT / "tests") == []
        finally:
            process.kill()
    assert running.state == "note" and f"(process {process.pid})" in running.text


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
    train, figure = checks.to_run(completed(0, DRY_RUN, ""))
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
    finding = only(checks.to_run(completed(code, out, error)))
    assert finding.state == state and expected in finding.text
