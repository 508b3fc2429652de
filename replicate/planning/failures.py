"""What failed under Snakemake, said again after all that Snakemake says."""

import atexit
import re
from collections.abc import Iterable
from pathlib import Path

from replicate.messages import say

LINES = 5
"""How many lines of the end of a log are shown."""
MOST_LOGS = 3
# Snakemake's words for a command that failed here (also with --quiet), and for a failed job.
LOG_OF_A_FAILED_JOB = re.compile(
    r"> (\S+) 2>&1' returned non-zero exit status|^ +log: (\S+) \(check log file", re.M
)


def failed_logs(snakemake_log: str) -> list[Path]:
    """Logs of the jobs that failed, as Snakemake's own log tells it, in order."""
    logs = (Path(here or there) for here, there in LOG_OF_A_FAILED_JOB.findall(snakemake_log))
    return list(dict.fromkeys(logs))


def summary(logs: Iterable[Path]) -> str:
    """The end of each log under its name, of the first few."""
    logs = list(logs)
    parts = []
    for log in logs[:MOST_LOGS]:
        text = log.read_text(errors="replace") if log.is_file() else ""
        lines = [line for line in text.splitlines() if line.strip()] or ["(empty)"]
        parts += ["", f"{log} ends with:", *(f"  {line}" for line in lines[-LINES:])]
    if len(logs) > MOST_LOGS:
        parts += ["", f"{len(logs) - MOST_LOGS} more jobs failed"]
    return "\n".join(parts)


def tell_at_exit(snakemake_logs: Iterable[str]) -> None:
    """Snakemake's ``onerror``: when the process ends, say why jobs failed.

    Not at once, since a dozen of Snakemake's own lines come after ``onerror``.
    """
    texts = [Path(log).read_text(encoding="utf-8", errors="replace") for log in snakemake_logs]
    if logs := failed_logs("\n".join(texts)):
        atexit.register(say, summary(logs))
