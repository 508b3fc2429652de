"""What Snakemake's own log says failed, and what is said of it."""

from pathlib import Path

from replicate.planning.failures import failed_logs, summary

HERE = """\
Command 'set -euo pipefail;  python -m analysis.measures a b > results/logs/a.log 2>&1' returned \
non-zero exit status 2.
[Wed Nov 25 01:13:12 2026]
Error in rule measures:
    message: None
    output: b.txt
    log: results/logs/a.log (check log file(s) for error details)
    shell:
        python -m analysis.measures a b > results/logs/a.log 2>&1
"""
ELSEWHERE = """\
rule table:
    output: fine.csv
    log: results/logs/fine.log
Error in rule figure:
    log: results/logs/b.log (check log file(s) for error details)
"""


def test_logs_of_jobs_that_failed() -> None:
    assert failed_logs(HERE) == [Path("results/logs/a.log")]
    assert failed_logs(HERE + ELSEWHERE) == [Path(f"results/logs/{name}.log") for name in "ab"]
    assert failed_logs("2 of 13 steps (15%) done\n") == []


def test_the_ends_of_a_few_logs(tmp_path: Path) -> None:
    logs = [tmp_path / f"{number}.log" for number in range(5)]
    logs[0].write_text("".join(f"line {n}\n" for n in range(20)))
    logs[1].write_text("")
    said = summary(logs).splitlines()
    assert said[:3] == ["", f"{logs[0]} ends with:", "  line 15"] and said[6] == "  line 19"
    assert said[8:10] == [f"{logs[1]} ends with:", "  (empty)"]
    assert said[-1] == "2 more jobs failed"
