"""Whether stored runs and checkpoints were made by software that does as the one here.

The one definition of staleness.  Code is known by what it does: ``results/reference/traces.csv``
lists the *traces* of a panel of short runs (``conf/traces.yaml``), what they gave as bytes, by code
digest and package versions, on each class of CPU; ``python -m replicate traces`` adds what
is here.  Two versions of the software are the same for a run where a class of CPU has equal traces
of both on all rows of the panel that do what the run does: the run's own class, or, where it has
not traced both, another.  Where none has traced both, a third version may stand between them, the
same as either.  Free of torch.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel

from replicate.messages import ConfigError, DataError
from replicate.settings import RunSettings, digest_of, validated
from replicate.store.files import REMEDY
from replicate.store.software import PACKAGE, made_by, public

TABLE = PACKAGE.parent / "results/reference/traces.csv"
PANEL = PACKAGE.parent / "results/reference/traces_panel.csv"
CPU_CLASS = ("maker", "simd", "mkl_cbwr", "device")
"""What the bits of a run depend on besides the software.

The maker is the first word of the CPU's name: MKL takes the code path that it is held to on Intel's
alone.  The rest is as ``run.json`` names it.
"""

TRACE_COLUMNS = ("row", "settings", *CPU_CLASS, "lock", "versions", "code", "trace")
PANEL_COLUMNS = ("row", "settings", "algorithm", "environment", "options")
DIGITS = 12
"""Length of the hexadecimal digests in the tables."""

COMMAND = "python -m replicate traces"

Row = dict[str, str]
Traces = dict[str, str]
"""Row of the panel (digest of its settings) → trace."""
Software = tuple[str, str]
"""Digests of code and package versions, as the table names them."""


@dataclass(frozen=True)
class Kind:
    """What a run makes the code do: runs of one kind take the same way through it.

    Args:
        environment: gymnasium id, and the arguments that it is made with.
        options: settings that choose between ways (not numbers), as ``key=value``.

    """

    algorithm: str
    environment: str
    options: frozenset[str]


def kind_of(run: RunSettings) -> Kind:
    """The kind of a run; settings without effect and labels count for nothing."""
    data = run.canonical()
    options = {
        f"{key}={'number' if _is_number(value) else value}"
        for section, model in (("algo", run.algo), ("recipe", run.recipe))
        for key, value in data[section].items()
        if key != "name" and (isinstance(value, str | bool) or _may_be_null(model, key))
    }
    if run.change is not None:
        changed = {"physics": run.change.of_physics, "values": bool(run.change.algo)}
        options |= {f"change={what}" for what, does in changed.items() if does}
    arguments = "".join(f" {key}={value}" for key, value in sorted(run.env.kwargs.items()))
    return Kind(run.algo.name, run.env.id + arguments, frozenset(options))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _may_be_null(model: BaseModel, key: str) -> bool:
    return type(None) in get_args(type(model).model_fields[key].annotation)


def rows_like(run: Kind, panel: Mapping[str, Kind]) -> set[str]:
    """Rows of the panel that do what a run does, by their keys in ``panel``.

    Those of its algorithm with its options on its environment.  If there are none: its algorithm
    with its options on any environment.  If no row combines these options either: all of its
    algorithm, or none if one of its options is in no row.
    """
    mine = {key: kind for key, kind in panel.items() if kind.algorithm == run.algorithm}
    alike = {key for key, kind in mine.items() if kind.options == run.options}
    same = {key for key in alike if mine[key].environment == run.environment}
    known = {option for kind in mine.values() for option in kind.options}
    return same or alike or (set(mine) if run.options <= known else set())


def read_rows(file: Path, columns: Iterable[str]) -> list[Row]:
    """The rows of one of the two tables; none where there is no such file.

    Raises:
        DataError: it lacks a column or a value.

    """
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        if row.keys() != set(columns) or None in row.values():
            raise DataError(f"{file}: damaged (not the columns {', '.join(columns)}); {REMEDY}")
    return rows


@cache
def panel() -> dict[str, Kind]:
    """Every row that was ever traced: digest of its settings → its kind."""
    rows = read_rows(PANEL, PANEL_COLUMNS)
    return {
        row["settings"]: Kind(
            row["algorithm"], row["environment"], frozenset(row["options"].split())
        )
        for row in rows
    }


@cache
def row_names() -> dict[str, str]:
    """Digest of a row's settings → its name."""
    return {row["settings"]: row["row"] for row in read_rows(PANEL, PANEL_COLUMNS)}


@cache
def _table() -> dict[tuple[str, ...], Traces]:
    table: dict[tuple[str, ...], Traces] = {}
    for row in read_rows(TABLE, TRACE_COLUMNS):
        key = (row["code"], row["versions"], *(row[name] for name in CPU_CLASS))
        table.setdefault(key, {})[row["settings"]] = row["trace"]
    return table


def forget() -> None:
    """Read the tables again when next asked."""
    for function in (panel, row_names, _table, _same_as):
        function.cache_clear()


def versions_digest(versions: Any) -> str:
    """Digest of package versions, whatever their builds."""
    if not isinstance(versions, Mapping):
        return ""
    return digest_of({name: public(str(number)) for name, number in versions.items()})[:DIGITS]


def software_of(made: Mapping[str, Any]) -> Software:
    """Code and package versions in a ``run.json`` or the like, as the table names them."""
    return str(made.get("code_digest"))[:DIGITS], versions_digest(made.get("versions"))


def cpu_class(made: Mapping[str, Any]) -> tuple[str, ...]:
    """The class of CPU in a ``run.json`` or the like, as the table names it."""
    model = re.match(r"\w*", str(made.get("cpu") or made.get("maker") or ""))
    described = {**made, "maker": model.group() if model else ""}
    return tuple(str(described.get(name) or "") for name in CPU_CLASS)


def class_name(cpu: tuple[str, ...]) -> str:
    """A class of CPU, for people."""
    return " ".join(filter(None, cpu)) or "a class of CPU that is not recorded"


def traces_of(software: Software, cpu: tuple[str, ...]) -> Traces:
    """What the table knows of some software on a class of CPU."""
    return _table().get((*software, *cpu), {})


def is_known(made: Mapping[str, Any]) -> bool:
    """Whether the table has traces of some software on its class of CPU."""
    return bool(traces_of(software_of(made), cpu_class(made)))


@dataclass(frozen=True)
class Answer:
    """Whether something stored was made by software that does as the one here.

    Args:
        same: by the same, by another, or not known here.
        why: what it was made by, in a few words; empty where it is the same.
        commit: what has to be traced for the answer; None where that is not needed,
            or cannot be done.

    """

    same: Literal["same", "other", "unknown"]
    why: str = ""
    commit: str | None = None


def compare(made: Mapping[str, Any], settings: Iterable[Mapping[str, Any]]) -> Answer:
    """Whether the software here would make the same as what is stored.

    Args:
        made: what ``run.json``, or the history of a checkpoint, says of where and by what it was
            made: ``code_digest``, ``versions``, ``simd``, ``mkl_cbwr``, ``device``, ``commit``,
            ``dirty``, and ``resumed`` with the same where it went on from a checkpoint.
        settings: of the runs that were made.

    """
    parts = [made, *({**made, **note} for note in made.get("resumed") or [])]
    answers = [_compare_part(part, settings) for part in parts]
    # One part by other software is enough.
    order = ("other", "unknown", "same")
    return min(answers, key=lambda answer: order.index(answer.same))


def _compare_part(made: Mapping[str, Any], settings: Iterable[Mapping[str, Any]]) -> Answer:
    software, here = software_of(made), made_by()
    if software == software_of(here):
        return Answer("same")
    what = f"training code ({software[0]})"
    if software[1] != versions_digest(here["versions"]):
        what = f"package versions ({_versions_unlike(made.get('versions'), here['versions'])})"
    try:
        kinds = frozenset(kind_of(validated(RunSettings, {**one})) for one in settings)
    except ConfigError as error:
        return Answer("unknown", f"other {what}, and with settings of before ({error})")
    found = _traced_both(software, software_of(here), kinds, cpu_class(made))
    if found is not None:
        return found if found.same == "same" else Answer(found.same, f"other {what}, {found.why}")
    if software in _same_as(software_of(here), kinds):
        return Answer("same")
    if made.get("dirty"):
        return Answer("unknown", f"other {what}, with uncommitted changes, not known here")
    return Answer("unknown", f"other {what}, not known here", made.get("commit"))


def _traced_both(
    one: Software, other: Software, kinds: Iterable[Kind], first: tuple[str, ...] = ()
) -> Answer | None:
    """What traces on one class of CPU say of two versions; None where none has traced both."""
    traced = [
        (theirs, ours)
        for cpu in _classes(first)
        if (theirs := traces_of(one, cpu)) and (ours := traces_of(other, cpu))
    ]
    for theirs, ours in traced:
        both = {key: kind for key, kind in panel().items() if key in theirs and key in ours}
        like = [rows_like(kind, both) for kind in kinds]
        rows = set().union(*like)
        if differ := sorted(row_names()[key] for key in rows if theirs[key] != ours[key]):
            return Answer("other", f"with another trace of {differ[0]}")
        if all(like):
            return Answer("same")
    return Answer("unknown", "and no row of conf/traces.yaml is like it") if traced else None


@cache
def _same_as(here: Software, kinds: frozenset[Kind]) -> frozenset[Software]:
    """Versions that equal traces lead to, each step on one class of CPU."""
    reached, new = {here}, [here]
    known = {(code, versions) for code, versions, *_ in _table()}
    while new:
        one = new.pop()
        for other in known - reached:
            answer = _traced_both(other, one, kinds)
            if answer is not None and answer.same == "same":
                reached.add(other)
                new.append(other)
    return frozenset(reached)


def _classes(first: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The classes of CPU in the table, one of them first."""
    return list(dict.fromkeys([first, *(key[2:] for key in _table())]))


def _versions_unlike(versions: Any, here: Mapping[str, str]) -> str:
    if not isinstance(versions, Mapping):
        return "none recorded"
    unlike = [
        f"{name} {number}"
        for name, number in sorted(versions.items())
        if public(str(number)) != public(here.get(name, ""))
    ]
    return ", ".join(unlike) or f"no {', '.join(sorted(here.keys() - versions.keys()))}"


def command(answers: Iterable[Answer]) -> str:
    """The command that finds out what some answers do not know."""
    commits = sorted({answer.commit[:DIGITS] for answer in answers if answer.commit})
    return " ".join([COMMAND, *commits])


def label(made: Mapping[str, Any], runs: Iterable[RunSettings]) -> str:
    """Part of a checkpoint's file name: eight digits, the same for codes whose traces are equal.

    Args:
        made: has the class of CPU.
        runs: what is made.

    """
    traces = traces_of(software_of(made_by()), cpu_class(made))
    known = {key: kind for key, kind in panel().items() if key in traces}
    like = [rows_like(kind, known) for kind in {kind_of(run) for run in runs}]
    shared = {key: traces[key] for key in set().union(*like)} if all(like) else {}
    return digest_of(shared or software_of(made_by()))[:8]
