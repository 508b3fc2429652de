"""Tracing – train the panel by the code of a checkout, in a process of its own."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicate.messages import ConfigError, TraceError, first_line, why_it_ended
from replicate.planning.cohorts import cohorts
from replicate.settings import RunSettings, validated
from replicate.store import software, staleness
from replicate.store.records import read_description
from replicate.store.staleness import DIGITS, Traces
from replicate.upkeep.panel import row_digest

MACHINE = ("cpu", "simd", "mkl_cbwr", "device")
"""What ``run.json`` says of the class of CPU."""


# What runs in a process of its own, also by the code of an earlier commit: JSON in, JSON out.


class _StoppedError(Exception):
    """Stands for a crash after a checkpoint."""


def train_rows(rows: Mapping[str, list[RunSettings]], device: str) -> dict[str, Any]:
    """Train the lanes of all rows, in cohorts, each going on from a checkpoint.

    Returns what a ``run.json`` says of code and machine, and ``traces``: row → trace.
    """
    from replicate.engine.cohort import Progress
    from replicate.training.runs import train_cohort

    def stop(progress: Progress) -> None:
        if progress.update == progress.num_updates - 1:
            raise _StoppedError

    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        store = Path(folder)
        unique = {run.digest: run for lanes in rows.values() for run in lanes}.values()
        for cohort in cohorts(unique):
            with suppress(_StoppedError):
                train_cohort(cohort, store, device, 1, stop)
            train_cohort(cohort, store, device, 1)
        folders = {name: [store / run.run_id for run in runs] for name, runs in rows.items()}
        made = read_description(next(iter(folders.values()))[0])
        return {
            **{name: made[name] for name in ("code_digest", "versions", *MACHINE)},
            "traces": {name: trace_of(lanes) for name, lanes in folders.items()},
        }


def trace_of(folders: Iterable[Path]) -> str:
    """Digest of the Parquet bytes of some lanes, and of where they went on and diverged."""
    digest = hashlib.sha256()
    for folder in folders:
        description = read_description(folder)
        went_on = [note["update"] for note in description["resumed"]]
        digest.update(json.dumps([went_on, description["diverged_at_env_step"]]).encode())
        for name in ("episodes", "updates"):
            digest.update((folder / f"{name}.parquet").read_bytes())
    return digest.hexdigest()[:DIGITS]


def answer_with_traces(file: Path, device: str) -> None:
    """Train the rows that a JSON file lists, and put in its place what came out."""
    asked = json.loads(file.read_text(encoding="utf-8"))
    rows = {
        name: [validated(RunSettings, {**lane}) for lane in lanes] for name, lanes in asked.items()
    }
    unlike = {package.lower() for package in software.unlike_the_lock()}
    as_locked = unlike.isdisjoint(software.PACKAGES)
    lock = software.lock_digest() if as_locked else None
    file.write_text(json.dumps({"lock_digest": lock, **train_rows(rows, device)}), encoding="utf-8")


@dataclass(frozen=True)
class Traced:
    """What a version of the code does here.

    Args:
        name: the commit, or empty for the present code.
        made: what its runs say of themselves.
        traces: row → trace, rows by the digest of their settings.
        seconds: how long it took.

    """

    name: str
    made: dict[str, Any]
    traces: Traces
    seconds: float

    @property
    def software(self) -> tuple[str, str]:
        """Code and package versions."""
        return staleness.software_of(self.made)

    @property
    def cpu(self) -> tuple[str, ...]:
        """Class of CPU."""
        return staleness.cpu_class(self.made)


def module_of(tree: Path) -> list[str]:
    """The module that traces the code of a checkout, which has not always been in one place."""
    before = (tree / "replicate" / "traces.py").is_file()
    return ["replicate.traces" if before else "replicate.upkeep.traces"]


KNOWN = """
import json, sys
from replicate.settings import RunSettings

def is_known(lanes):
    try:
        return all(RunSettings.model_validate(lane) for lane in lanes)
    except ValueError:
        return False

rows = json.load(sys.stdin)
json.dump({name: lanes for name, lanes in rows.items() if is_known(lanes)}, sys.stdout)
"""
"""Run by the code of a checkout: JSON of rows in, of those whose settings it knows out."""


def trace(tree: Path, rows: Mapping[str, list[RunSettings]], device: str, name: str = "") -> Traced:
    """Trace the code of a checkout, on the rows of which it knows all settings.

    Raises:
        TraceError: a row cannot be trained.

    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        # Keys at their default are left out: earlier code need not know them.
        asked = {
            row_digest(lanes): [run.model_dump(mode="json", exclude_defaults=True) for run in lanes]
            for lanes in rows.values()
        }
        given = json.dumps(asked)
        file.write_text(_by_code_of(tree, name, ["-c", KNOWN], folder, given) if name else given)
        command = ["-m", *module_of(tree), f"device={device}", "--rows", str(file)]
        _by_code_of(tree, name, command, folder)
        # Earlier code does not name the CPU.
        made = {"cpu": software.cpu_model(), **json.loads(file.read_text(encoding="utf-8"))}
    return Traced(name, made, made.pop("traces"), time.monotonic() - begin)


def _by_code_of(
    tree: Path, name: str, command: list[str], folder: str, given: str | None = None
) -> str:
    """What a command of Python, by the code of a checkout, writes to standard output.

    Args:
        name: the commit, or empty for the present code.
        folder: where it runs: simulators leave log files there.
        given: on standard input.

    Raises:
        TraceError: it fails.

    """
    if not (tree / "replicate" / "__init__.py").is_file():
        raise TraceError(f"commit {name} cannot be traced: it has no package replicate")
    # An environment of one's own lies here, or where the caller says.
    path = [str(tree), str(software.PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, *command],
        input=given,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode != 0:
        what = f"commit {name}" if name else "this code"
        raise TraceError(f"{what} cannot be traced: {why_it_ended(done.stderr)}")
    return done.stdout


def commit_here(name: str) -> str:
    """The full name of a commit.

    Raises:
        ConfigError: it is not in this repository.

    """
    command = ["git", "-C", str(software.PACKAGE), "rev-parse", "--verify", "--quiet"]
    done = subprocess.run(
        [*command, f"{name}^{{commit}}"], capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != 0:
        raise ConfigError(f"{name}: no such commit in this repository; git fetch may bring it")
    return done.stdout.strip()


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A commit's files, in a temporary worktree.

    Raises:
        TraceError: git cannot make it.

    """
    git = ["git", "-C", str(software.PACKAGE)]
    with tempfile.TemporaryDirectory() as folder:
        tree = str(Path(folder) / "tree")
        add = [*git, "worktree", "add", "--quiet", "--detach", tree, commit]
        done = subprocess.run(add, capture_output=True, text=True, encoding="utf-8")
        if done.returncode != 0:
            raise TraceError(f"{commit}: {first_line(done.stderr).removeprefix('fatal: ')}")
        try:
            yield Path(tree)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], capture_output=True)
