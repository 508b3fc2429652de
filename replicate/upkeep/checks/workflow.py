"""Checks of Snakemake: its lock, and what it would run."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from replicate.messages import counted, few, why_it_ended
from replicate.planning.choices import Choice
from replicate.upkeep.checks.finding import Finding, Tell


def snakemake_processes(folder: Path) -> list[int]:
    """Ids of the Snakemake processes whose working folder is ``folder``; none without a /proc."""
    numbers = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is somebody else's
            words = (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            is_snakemake = any(Path(word).name == "snakemake" for word in words[:3])
            if is_snakemake and (process / "cwd").readlink() == folder.resolve():
                numbers.append(int(process.name))
    return numbers


def snakemake_lock(folder: Path) -> Finding:
    """Snakemake's lock on a working folder: files without a word of who made them."""
    if not list((folder / ".snakemake/locks").glob("*.lock")):
        return Finding("locks", "ok", "Snakemake's: none")
    running = snakemake_processes(folder)
    if running:
        processes = few([str(number) for number in sorted(running)])
        return Finding("locks", "note", f"Snakemake runs in this folder (process {processes})")
    return Finding(
        "locks",
        "problem",
        "Snakemake's lock is there and no Snakemake runs in this folder on this machine",
        "snakemake --unlock, unless one runs on another machine",
    )


# How Snakemake begins a reason, and what it means here.
UPDATED_INPUT = "Updated input files"
REASONS = {
    "Missing output files": "not made yet, or deleted",
    "Incomplete output files": "cut off while it was made",
    UPDATED_INPUT: "an input is newer",
    "Input files updated by another job": "an input is made anew",
    "Set of input files has changed since last execution": "it has other inputs than last time",
    "Code has changed since last execution": "the rule's command has changed",
    "Params have changed since last execution": "the rule's parameters have changed",
    "Software environment definition has changed since last execution": (
        "environment.yaml has changed"
    ),
    "Forced execution": "forced",
}
IF_TIMES_LIE = (
    "where only times differ (a clone, a copy), snakemake --touch, with the same --config, takes "
    "the files as they are"
)


def jobs_and_reasons(dry_run: str) -> dict[str, tuple[int, Counter[str]]]:
    """Rule → number of jobs, and how often each reason, from what ``snakemake -n`` prints.

    Rules that train count as one, ``train``; the rule ``all`` makes nothing.
    """
    jobs: dict[str, tuple[int, Counter[str]]] = {}
    rule = ""
    for line in dry_run.splitlines():
        if heading := re.fullmatch(r"(?:local)?rule (\w+):", line):
            rule = re.sub(r"^(train|products)_.*", r"\1", heading[1])
            count, reasons = jobs.get(rule, (0, Counter()))
            jobs[rule] = count + 1, reasons
        elif given := re.fullmatch(r" +reason: (.*)", line):
            jobs[rule][1].update(part.partition(":")[0] for part in given[1].split("; "))
    jobs.pop("all", None)
    return jobs


def to_run(done: subprocess.CompletedProcess[str]) -> Iterator[Finding]:
    """What ``snakemake -n`` would run, and mostly why."""
    if done.returncode != 0:
        why = why_it_ended(done.stderr or done.stdout)
        text = f"snakemake -n ends with code {done.returncode}: {why}"
        yield Finding("snakemake", "problem", text, "put that right; nothing can run before")
        return
    jobs = jobs_and_reasons(done.stdout)
    if not jobs and "Nothing to be done" in done.stdout + done.stderr:
        yield Finding("snakemake", "ok", "nothing to run")
    elif not jobs:
        text = "cannot read what snakemake -n prints"
        yield Finding("snakemake", "problem", text, "look at it yourself: snakemake -n")
    for rule, (count, reasons) in jobs.items():
        ((reason, _),) = reasons.most_common(1) or [("no reason given", 0)]
        yield Finding(
            "snakemake",
            "note",
            f"{rule}: {counted(count, 'job')}, {REASONS.get(reason, reason)}",
            IF_TIMES_LIE if UPDATED_INPUT in reasons else "",
        )


def dry_run(choice: Choice, tell: Tell) -> subprocess.CompletedProcess[str]:
    """Ask Snakemake what it would run here."""
    tell("asking snakemake -n what it would run")
    config = [f"scale={choice.scale}", f"studies={','.join(choice.studies)}"]
    command = [sys.executable, "-m", "snakemake", "-n", "--config", *config]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
