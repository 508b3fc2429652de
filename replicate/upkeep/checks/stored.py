"""Checks of what is stored: locks, checkpoints, finished runs, data with a manifest."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from replicate.messages import DamagedRunError, UnusableCheckpointError, counted, few, why_it_ended
from replicate.planning.choices import Choice, chosen_runs
from replicate.planning.cohorts import missing
from replicate.store import checkpoints, locks
from replicate.store.files import MANIFEST
from replicate.store.records import read_stored
from replicate.store.staleness import Answer, command, compare
from replicate.upkeep.checks.finding import Finding, Tell
from replicate.upkeep.estimate import Pace, disk_bytes

# Untrained policies of the shortest tasks: more episodes than a training has.
MOST_EPISODES_PER_ENV_STEP = 0.1


def writers(store: Path) -> Iterator[Finding]:
    """Who trains into a store, and locks of those who did and are gone."""
    left = []
    files = sorted((store / checkpoints.FOLDER).glob(f"*{locks.SUFFIX}"))
    for file in files:
        if writer := locks.holder(file):
            yield Finding(
                "locks",
                "note",
                f"{file}: process {writer['pid']} on {writer['host']} trains "
                f"{counted(len(writer['runs']), 'run')} since {writer['since']}",
            )
        else:
            left.append(file.name)
    if left:
        yield Finding(
            "locks",
            "note",
            f"{store / checkpoints.FOLDER}: {few(left)} left by a process that is gone",
            "nothing: it locks nothing, and the next training of that cohort takes it",
        )
    if not files:
        yield Finding("locks", "ok", f"nobody trains into {store}")


def unfinished(store: Path) -> Iterator[Finding]:
    """Checkpoints of a store: how far they are, and which cannot be used."""
    stored, complaints = checkpoints.stored(store)
    for complaint in complaints:
        todo = "delete it; the cohort goes on from the checkpoint before, or else starts anew"
        yield Finding("checkpoints", "problem", complaint, todo)
    readable = {checkpoint.file for checkpoint in stored}
    for checkpoint in stored:
        newest = checkpoint.file.with_name(
            checkpoint.file.name.replace(checkpoints.PREVIOUS, checkpoints.SUFFIX)
        )
        if newest != checkpoint.file and newest in readable:
            continue
        progress = (
            f"update {checkpoint.update} of {checkpoint.header['num_updates']}, "
            f"{counted(len(checkpoint.runs), 'run')}"
        )
        try:
            checkpoint.check_software()
        except UnusableCheckpointError as error:
            made_at = checkpoint.header["history"].get("commit")
            back = f"check out commit {made_at[:12]}" if made_at else "go back to that software"
            todo = f"{back} to go on from it, or delete it: its runs start anew"
            yield Finding("checkpoints", "note", f"{error} ({progress})", todo)
        else:
            todo = "the command that made it goes on from it"
            yield Finding("checkpoints", "note", f"{checkpoint.file}: {progress}", todo)
    if not stored and not complaints:
        yield Finding("checkpoints", "ok", f"none in {store}")


def bytes_needed(choice: Choice, store: Path) -> float:
    """Most bytes that the unfinished runs of a choice of studies can take, generously."""
    runs = [planned.run for _, some in chosen_runs(choice) for planned in some]
    pace = Pace(seconds_per_env_step=0, episodes_per_env_step=MOST_EPISODES_PER_ENV_STEP)
    return disk_bytes(missing(runs, store), pace)


def stored_runs(store: Path, tell: Tell) -> Iterator[Finding]:
    """Finished runs that are damaged, or by software that does other than the one here."""
    folders = sorted(file.parent for file in store.glob("*/run.json"))
    stale: dict[str, list[tuple[str, Answer]]] = {"other": [], "unknown": [], "same": []}
    damaged = []
    for number, folder in enumerate(folders, 1):
        tell(f"{store}: reading run {number} of {len(folders)}")
        try:
            description = read_stored(store, folder.name)
        except DamagedRunError as error:
            damaged.append(str(error))
            continue
        answer = compare(description, [description["settings"]])
        stale[answer.same].append((folder.name, answer))
    for line in damaged[:3]:
        message, _, todo = line.rpartition("; ")
        yield Finding("runs", "problem", message, todo)
    if len(damaged) > 3:
        yield Finding("runs", "problem", f"{store}: {len(damaged) - 3} more are damaged")
    finds_out = command(answer for _, answer in stale["unknown"])
    for kind, todo in (
        (
            "other",
            "they are used as they are; python -m replicate retrain sets those of a study "
            "aside, to be trained anew",
        ),
        ("unknown", f"{finds_out} finds out whether that is the same"),
    ):
        if answers := stale[kind]:
            names = few([name for name, _ in answers])
            why = few(sorted({answer.why for _, answer in answers}))
            text = f"{len(answers)} of {len(folders)} made by {why}: {names}"
            yield Finding("runs", "note", f"{store}: {text}", todo)
    if len(stale["same"]) == len(folders):
        number = len(folders)
        text = f"{number} finished, all whole and as by the software here" if number else "none"
        yield Finding("runs", "ok", f"{store}: {text}")


def manifests(results: Path) -> Iterator[Finding]:
    """Whether stored data is what its manifest lists."""
    for folder in sorted(results.glob("*/")):
        if not any(folder.rglob(f"*{MANIFEST}")):
            continue
        # A process, since nothing here may know the analysis.
        command = [sys.executable, "-m", "analysis.manifest", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if done.returncode == 0:
            yield Finding("data", "ok", f"{folder}: as its manifests list it")
        else:
            message, _, todo = why_it_ended(done.stderr).partition("; ")
            yield Finding("data", "problem", message, todo)
