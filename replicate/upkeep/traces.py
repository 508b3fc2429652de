"""What the training code does, as bytes: trace it, and say what changed.

python -m replicate traces [COMMIT ...]   add the present code, and those commits
python -m replicate traces --check        whether the table has what the present code does

Trains the panel of short runs (``conf/traces.yaml``), each from a checkpoint in its middle on, and
keeps a digest of its Parquet bytes in ``results/reference/traces.csv``, which only grows.  A commit
is traced as it was, in a temporary worktree, with the packages that are here.  ``device=cuda`` asks
for the traces of a GPU.  Exit code 1: the table disagrees or a row cannot be traced; 2: a wrong
argument.
"""

import argparse
import csv
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

from pydantic import Field

from replicate.messages import ConfigError, Parser, TraceError, first_line, one_line_errors, say
from replicate.planning.choices import key_values
from replicate.planning.cohorts import cohorts
from replicate.planning.composition import compose, load_file, options
from replicate.planning.studies import Names
from replicate.settings import RunSettings, Section, digest_of, nearest, validated
from replicate.store import software, staleness
from replicate.store.files import write_atomically
from replicate.store.records import read_description
from replicate.store.staleness import (
    COMMAND,
    CPU_CLASS,
    DIGITS,
    PANEL,
    PANEL_COLUMNS,
    TABLE,
    TRACE_COLUMNS,
    Row,
    Traces,
    kind_of,
    read_rows,
)

FILE = software.CONF / "traces.yaml"
MACHINE = ("cpu", "simd", "mkl_cbwr", "device")
"""What ``run.json`` says of the class of CPU."""
WHAT_A_TRACE_IS = 1
"""Part of each row's digest: to be raised with any change of ``trace_of`` or ``train_rows``."""
MOST_COMPARED = 3
DEVICES = ("cpu", "cuda")


class PanelRow(Section):
    """A variant of ``conf/traces.yaml``: a row for each of its environments.

    Args:
        algo: one of the panel's ``algorithms``.
        overrides: in Hydra's syntax, after those of the panel and of the algorithm.
        envs: names of files of ``conf/env``; None: all.

    """

    algo: str
    overrides: Names = ()
    envs: Names | None = None


class Panel(Section):
    """``conf/traces.yaml``.

    Args:
        seeds: lanes of a row.
        overrides: of all rows.
        algorithms: name → overrides of all rows of it.

    """

    seeds: int = Field(ge=1)
    overrides: Names
    algorithms: dict[str, Names]
    rows: dict[str, PanelRow]


def load_panel() -> dict[str, list[RunSettings]]:
    """Name of a row → its lanes.

    Raises:
        ConfigError: the file is wrong.

    """
    try:
        return dict(_lanes(validated(Panel, load_file(FILE))))
    except ConfigError as error:
        raise ConfigError(f"conf/{FILE.name}: {error}") from None


def _lanes(panel: Panel) -> Iterator[tuple[str, list[RunSettings]]]:
    # An environment is a section of its own: composed once, and once per variant the rest.
    sections = {env: compose(f"env={env}").runs[0].env for env in options("env")}
    for name, row in panel.rows.items():
        for env in row.envs or ():
            if env not in sections:
                raise ConfigError(f"{name}: envs: no {env!r}; {nearest(env, sections)}")
        if row.algo not in panel.algorithms:
            raise ConfigError(f"{name}: algo: {nearest(row.algo, panel.algorithms)}")
        of_all = (*panel.algorithms[row.algo], *panel.overrides)
        (base,) = compose(*of_all, *row.overrides, sweep=False).runs
        for env in row.envs or sections:
            section = sections[env].model_dump()
            section["kwargs"] |= base.env.kwargs
            data = {**base.model_dump(), "env": section}
            yield (
                f"{name}/{env}",
                [validated(RunSettings, {**data, "seed": seed}) for seed in range(panel.seeds)],
            )


def row_digest(lanes: Iterable[RunSettings]) -> str:
    """Identity of a row: what is trained, whatever it is called."""
    return digest_of([WHAT_A_TRACE_IS, *(run.digest for run in lanes)])[:DIGITS]


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
    """SHA-256 of the Parquet bytes of some lanes, and of where they went on and diverged."""
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
    as_locked = not software.unlike_the_lock().keys() & set(software.PACKAGES)
    lock = software.lock_digest() if as_locked else None
    file.write_text(json.dumps({"lock_digest": lock, **train_rows(rows, device)}), encoding="utf-8")


@dataclass(frozen=True)
class Traced:
    """What a version of the code does here.

    Args:
        name: the commit, or empty for the present code.
        made: what its runs say of themselves.
        traces: row → trace, rows by the digest of their settings.
        seconds: that it took.

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
    """What traces the code of a checkout: commits have had it in more than one place."""
    before = (tree / "replicate" / "traces.py").is_file()
    return ["replicate.traces" if before else "replicate.upkeep.traces"]


def trace(tree: Path, rows: Mapping[str, list[RunSettings]], device: str, name: str = "") -> Traced:
    """Trace the code of a checkout.

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
        file.write_text(json.dumps(asked))
        done = subprocess.run(
            [sys.executable, "-m", *module_of(tree), f"device={device}", "--rows", str(file)],
            cwd=folder,  # simulators leave log files where they run
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no word of why"]
            raise TraceError(
                f"{f'commit {name}' if name else 'this code'} cannot be traced: {lines[-1]}"
            )
        # Earlier code does not name the CPU.
        made = {"cpu": software.cpu_model(), **json.loads(file.read_text(encoding="utf-8"))}
    return Traced(name, made, made.pop("traces"), time.monotonic() - begin)


def commit_here(name: str) -> str:
    """The full name of a commit.

    Raises:
        TraceError: it is not in this repository.

    """
    command = ["git", "-C", str(software.PACKAGE), "rev-parse", "--verify", "--quiet"]
    done = subprocess.run(
        [*command, f"{name}^{{commit}}"], capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != 0:
        raise TraceError(f"{name}: no such commit in this repository; git fetch may bring it")
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


# The tables.


def known(software_: tuple[str, str], cpu: tuple[str, ...], keys: Iterable[str]) -> Traces:
    """Those of some rows that the table has."""
    found = staleness.traces_of(software_, cpu)
    return {key: found[key] for key in keys if key in found}


def disagreeing(traced: Traced) -> list[str]:
    """Rows of which the table says something else."""
    table = known(traced.software, traced.cpu, traced.traces)
    return sorted(key for key, value in table.items() if traced.traces[key] != value)


def add(traced: Traced, rows: Mapping[str, list[RunSettings]]) -> int:
    """Append what the tables lack; the number of new traces.

    Raises:
        TraceError: the table has other traces of this code.

    """
    names = {row_digest(lanes): name for name, lanes in rows.items()}
    if wrong := disagreeing(traced):
        raise TraceError(
            f"{TABLE}: has another trace of {names[wrong[0]]} by this code on this class of CPU "
            f"({len(wrong)} of {len(traced.traces)} rows)"
        )
    there = known(traced.software, traced.cpu, traced.traces)
    code, versions = traced.software
    common = {
        **dict(zip(CPU_CLASS, traced.cpu, strict=True)),
        "lock": (traced.made["lock_digest"] or "")[:DIGITS],
        "versions": versions,
        "code": code,
    }
    new = [
        {"row": names[key], "settings": key, **common, "trace": value}
        for key, value in traced.traces.items()
        if key not in there
    ]
    kinds = {row_digest(lanes): kind_of(lanes[0]) for lanes in rows.values()}
    listed = [
        {
            "row": names[key],
            "settings": key,
            "algorithm": kind.algorithm,
            "environment": kind.environment,
            "options": " ".join(sorted(kind.options)),
        }
        for key, kind in kinds.items()
        if key not in staleness.panel()
    ]
    append(PANEL, PANEL_COLUMNS, listed)  # first: without its kind a trace says nothing
    append(TABLE, TRACE_COLUMNS, new)
    staleness.forget()
    return len(new)


def append(file: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Rows at the end of a table, atomically."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*read_rows(file, columns), *rows])
    write_atomically(file, text.getvalue().encode())


# What is said.


def few(names: list[str], most: int = 4) -> str:
    """The first of them, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def changes(traced: Traced, names: Mapping[str, str]) -> Iterator[str]:
    """Against what the table knows of other software on this class of CPU, the last first."""
    others: dict[tuple[str, str], Traces] = {}
    for row in read_rows(TABLE, TRACE_COLUMNS):
        pair = (row["code"], row["versions"])
        if staleness.cpu_class(row) == traced.cpu and pair != traced.software:
            others.setdefault(pair, {})[row["settings"]] = row["trace"]
    for code, versions in list(reversed(others))[:MOST_COMPARED]:
        found = others[code, versions]
        both = traced.traces.keys() & found.keys()
        other = [names[key] for key in both if traced.traces[key] != found[key]]
        packages = "" if versions == traced.software[1] else f" with other packages ({versions})"
        kept = f"{len(both) - len(other)} of {len(both)} rows kept their trace"
        yield f"  against {code}{packages}: {kept}" + (
            f"; other: {few(sorted(other))}" if other else ""
        )


def described(traced: Traced) -> str:
    """Which code, where."""
    name = f"commit {traced.name}, " if traced.name else ""
    return f"{name}code {traced.software[0]} on {staleness.class_name(traced.cpu)}"


def renew(commits: list[str], rows: Mapping[str, list[RunSettings]], device: str) -> None:
    """Add the present code and some commits to the table, and say what changed.

    Raises:
        TraceError: one cannot be traced, or does other than the table has of it.

    """
    names = {row_digest(lanes): name for name, lanes in rows.items()}
    commits = [commit_here(commit) for commit in commits]
    say(f"tracing {len(rows)} rows of {FILE.name}")
    found = [trace(software.PACKAGE.parent, rows, device)]
    for commit in commits:
        say(f"tracing commit {commit[:DIGITS]}")
        with checkout(commit) as tree:
            found.append(trace(tree, rows, device, commit[:DIGITS]))
    for traced in found:
        new = add(traced, rows)
        print(
            f"{described(traced)}: {len(traced.traces)} rows in {traced.seconds:.0f} s, {new} new "
            f"in {TABLE.name}"
        )
        for line in changes(traced, names):
            print(line)


def check(rows: Mapping[str, list[RunSettings]], device: str) -> str:
    """Compare the table with what the present code does; a line that says so.

    Raises:
        TraceError: the table lacks it, or disagrees.

    """
    code, versions = staleness.software_of(software.made_by())
    names = {row_digest(lanes): name for name, lanes in rows.items()}
    of_this = [
        row
        for row in read_rows(TABLE, TRACE_COLUMNS)
        if (row["code"], row["versions"]) == (code, versions)
    ]
    lacking = [names[key] for key in names if key not in {row["settings"] for row in of_this}]
    if lacking:
        raise TraceError(
            f"{TABLE}: lacks code {code} with these packages on {few(lacking)}; {COMMAND} adds it"
        )
    classes = sorted({staleness.class_name(staleness.cpu_class(row)) for row in of_this})
    traced = trace(software.PACKAGE.parent, rows, device)
    here = known(traced.software, traced.cpu, traced.traces)
    if not here:
        return (
            f"{described(traced)}: not known here, only on {'; '.join(classes)}; {COMMAND} adds it"
        )
    if wrong := disagreeing(traced):
        raise TraceError(
            f"{TABLE}: {len(wrong)} of {len(here)} traces are not what {described(traced)} does "
            f"({few([names[key] for key in wrong])})"
        )
    return f"{described(traced)}: {len(here)} traces as in {TABLE.name} ({traced.seconds:.0f} s)"


def parser() -> argparse.ArgumentParser:
    """The flags."""
    found = Parser(prog=COMMAND, allow_abbrev=False, description=__doc__)
    found.formatter_class = argparse.RawDescriptionHelpFormatter
    found.add_argument("words", nargs="*", metavar="COMMIT")
    found.add_argument("--check", action="store_true")
    found.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return found


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    asked = parser().parse_args(arguments)
    commits = [word for word in asked.words if "=" not in word]
    given = key_values((word for word in asked.words if "=" in word), ("device",))
    device = given.get("device", "cpu")
    if device not in DEVICES:
        raise ConfigError(f"device={device}: no such choice; {nearest(device, DEVICES)}")
    if asked.rows:
        answer_with_traces(asked.rows, device)
    elif asked.check:
        print(check(load_panel(), device))
    else:
        renew(commits, load_panel(), device)
    return 0


if __name__ == "__main__":  # started by ``trace``, of later commits too
    sys.exit(main(sys.argv[1:]))
