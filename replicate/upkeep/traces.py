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
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from replicate.messages import ConfigError, Parser, TraceError, few, one_line_errors, say
from replicate.planning.choices import key_values
from replicate.settings import RunSettings, nearest
from replicate.store import software, staleness
from replicate.store.files import write_atomically
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
from replicate.upkeep.panel import FILE, load_panel, row_digest
from replicate.upkeep.tracing import Traced, answer_with_traces, checkout, commit_here, trace

MOST_COMPARED = 3
DEVICES = ("cpu", "cuda")


# The tables.


def known(software_: tuple[str, str], cpu: tuple[str, ...], keys: Iterable[str]) -> Traces:
    """Traces that the table has of some rows."""
    table = staleness.traces_of(software_, cpu)
    return {key: table[key] for key in keys if key in table}


def disagreeing(traced: Traced) -> list[str]:
    """Rows of which the table has another trace."""
    table = known(traced.software, traced.cpu, traced.traces)
    return sorted(key for key, value in table.items() if traced.traces[key] != value)


def add(traced: Traced, rows: Mapping[str, list[RunSettings]]) -> int:
    """Append what the tables lack; returns the number of new traces.

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
    """Write rows at the end of a table, atomically."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*read_rows(file, columns), *rows])
    write_atomically(file, text.getvalue().encode())


# What is said.


def changes(traced: Traced, names: Mapping[str, str]) -> Iterator[str]:
    """How many traces other software on this class of CPU has in common, the last first."""
    others: dict[tuple[str, str], Traces] = {}
    for row in read_rows(TABLE, TRACE_COLUMNS):
        pair = (row["code"], row["versions"])
        if staleness.cpu_class(row) == traced.cpu and pair != traced.software:
            others.setdefault(pair, {})[row["settings"]] = row["trace"]
    for code, versions in list(reversed(others))[:MOST_COMPARED]:
        theirs = others[code, versions]
        both = traced.traces.keys() & theirs.keys()
        other = [names[key] for key in both if traced.traces[key] != theirs[key]]
        packages = "" if versions == traced.software[1] else f" with other packages ({versions})"
        kept = f"{len(both) - len(other)} of {len(both)} rows kept their trace"
        yield f"  against {code}{packages}: {kept}" + (
            f"; other: {few(sorted(other))}" if other else ""
        )


def described(traced: Traced) -> str:
    """Which code was traced, and where."""
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
    versions = [trace(software.PACKAGE.parent, rows, device)]
    for commit in commits:
        say(f"tracing commit {commit[:DIGITS]}")
        with checkout(commit) as tree:
            versions.append(trace(tree, rows, device, commit[:DIGITS]))
    for traced in versions:
        new = add(traced, rows)
        print(
            f"{described(traced)}: {len(traced.traces)} rows in {traced.seconds:.0f} s, {new} new "
            f"in {TABLE.name}"
        )
        for line in changes(traced, names):
            print(line)


def check(rows: Mapping[str, list[RunSettings]], device: str) -> str:
    """Compare the table with what the present code does; returns a line that says so.

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
    flags = Parser(prog=COMMAND, allow_abbrev=False, description=__doc__)
    flags.formatter_class = argparse.RawDescriptionHelpFormatter
    flags.add_argument("words", nargs="*", metavar="COMMIT")
    flags.add_argument("--check", action="store_true")
    flags.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return flags


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
    elif asked.check and commits:
        raise ConfigError(f"{commits[0]}: --check is of the present code; leave one of them out")
    elif asked.check:
        print(check(load_panel(), device))
    else:
        renew(commits, load_panel(), device)
    return 0


if __name__ == "__main__":  # started by ``trace``, of later commits too
    sys.exit(main(sys.argv[1:]))
