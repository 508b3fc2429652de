"""What a run leaves behind – writing, reading, checking.

A run's folder holds ``episodes.parquet``, ``updates.parquet`` and, written last, ``run.json``:
a folder without ``run.json`` is not a finished run.  It lists the SHA-256 of the other two.
Clock readings are in ``run.json`` only, so that the Parquet files of a repeated run are
byte-identical.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replicate.messages import ConfigError, DamagedRunError, UnknownSettingsError, first_line
from replicate.settings import RunSettings, validated
from replicate.store.columns import SCHEMAS, schema, table, write_table
from replicate.store.description import RunDescription
from replicate.store.files import read_object, sha256, write_json

RUN_FILE = "run.json"
"""Written last: a folder without it is not a finished run."""

ENV_TABLES = (*(f"{name}.parquet" for name in SCHEMAS), "runs.json")
"""Tables of the runs on an environment, each run once: files ``<environment>.<table>``."""

REFERENCE = "reference"
"""Name of the repository's data and of its report; in file names it stands where a scale does."""

RUN = "run"
"""Column of the tables in ``ENV_TABLES``: id of the run that a row belongs to."""


def write_run(
    folder: Path,
    episodes: Iterable[Mapping[str, Any]],
    updates: Iterable[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """Write a finished run; ``run.json`` last.

    Args:
        description: all of ``RunDescription`` but the files.

    Raises:
        ConfigError: the description is not one.

    """
    for name, rows in (("episodes", episodes), ("updates", updates)):
        write_table(folder / f"{name}.parquet", table(name, rows))
    files = {f"{name}.parquet": sha256(folder / f"{name}.parquet") for name in SCHEMAS}
    data = {**description, "files": files}
    validated(RunDescription, data)
    write_json(folder / RUN_FILE, data)


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return (folder / RUN_FILE).is_file()


def read_description(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a run, as ``RunDescription`` has it.

    Raises:
        DamagedRunError: it is missing, not what is written there, or of settings that this version
            does not know.

    """
    file = folder / RUN_FILE
    try:
        data = read_object(file)
        validated(RunDescription, data)
    except ConfigError as error:
        if str(error).startswith("settings."):
            raise _of_other_settings(file, error, data) from None
        raise _damaged(file, error) from None
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None
    return data


def read_checked(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a run, after a check that its files are those that it lists.

    Raises:
        DamagedRunError: they are not, or one is missing.

    """
    description = read_description(folder)
    check_files(folder, description)
    return description


def read_stored(store: Path, run_id: str) -> dict[str, Any]:
    """As :func:`read_checked`, of a run in its place in a store.

    Raises:
        DamagedRunError: another run lies there, or it is damaged.

    """
    description = read_checked(store / run_id)
    if description["run_id"] != run_id:
        file = store / run_id / RUN_FILE
        raise _damaged(file, f"it is of another run, {description['run_id']}")
    return description


def read_table(folder: Path, name: str) -> pa.Table:
    """The table ``episodes`` or ``updates`` of a run; diagnostics that are newer than it are empty.

    Raises:
        DamagedRunError: it is missing or no Parquet file.

    """
    file = folder / f"{name}.parquet"
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, error) from None
    newer = [
        column
        for column in (schema(name) if name == "updates" else ())
        if column.name not in table.column_names and pa.types.is_floating(column.type)
    ]
    if not newer:
        return table
    for column in newer:
        table = table.append_column(column, pa.nulls(len(table), column.type))
    names = schema(name).names
    return table.select([*names, *(n for n in table.column_names if n not in names)])


def check_files(folder: Path, description: Mapping[str, Any]) -> None:
    """Compare a run's Parquet files with what its ``run.json`` lists.

    Raises:
        DamagedRunError: one is missing, not listed, or has other bytes.

    """
    listed = description["files"]
    if listed.keys() != {f"{name}.parquet" for name in SCHEMAS}:
        raise _damaged(folder / RUN_FILE, "it does not list the files of the run")
    for name, digest in listed.items():
        file = folder / name
        if not file.is_file():
            raise _damaged(file, "missing")
        if sha256(file) != digest:
            raise _damaged(file, "not the file that run.json lists")


def check_rows(folder: Path, description: Mapping[str, Any]) -> None:
    """Refuse tables with rows that no training writes.

    Episodes follow one another without a gap, but for one that a change of the physics cut; none
    goes beyond the run, and their returns are finite; there is one row per update, ``num_steps``
    env steps after the one before.  Measures of an update may be infinite or NaN, as in the last
    one of a run that diverged.

    Raises:
        DamagedRunError: the first such row, counted from 0, and what is wrong with it.

    """
    _check_episodes(folder, description)
    _check_updates(folder, description)


def _cut_at(description: Mapping[str, Any]) -> int | None:
    """The env step at which the physics changed, if they did."""
    if not description["settings"].get("change"):
        return None
    run = validated(RunSettings, {**description["settings"]})
    changes = run.change is not None and run.change.of_physics
    return run.first_changed_update * run.algo.num_steps if changes else None


def _check_episodes(folder: Path, description: Mapping[str, Any]) -> None:
    file, data = folder / "episodes.parquet", _columns(folder, "episodes")
    step, length, returned = (
        data[name] for name in ("env_step", "episodic_length", "episodic_return")
    )
    before = np.concatenate(([0], step[:-1]))
    cut = _cut_at(description)
    if cut is not None:  # an episode ended there, of which no return is known
        before = np.where((before < cut) & (cut < step), cut, before)
    diverged_at = description["diverged_at_env_step"]
    end = description["env_steps"] if diverged_at is None else diverged_at
    for wrong, why in (
        (~np.isfinite(returned), lambda row: f"a return of {returned[row]}"),
        (
            (length < 1) | (step - before != length),
            lambda row: f"from env step {before[row]} to {step[row]} in {length[row]} steps",
        ),
        (step > end, lambda row: f"ends at env step {step[row]}, the run at {end}"),
    ):
        _refuse_rows(file, wrong, why)
    if len(step) != description["episodes"]:
        raise _damaged(file, f"{len(step)} rows; run.json tells of {description['episodes']}")


def _check_updates(folder: Path, description: Mapping[str, Any]) -> None:
    file, data = folder / "updates.parquet", _columns(folder, "updates")
    num_steps = description["settings"]["algo"]["num_steps"]
    update, step = data["update"], data["env_step"]
    number = np.arange(len(update))
    _refuse_rows(
        file,
        (update != number) | (step != (number + 1) * num_steps),
        lambda row: (
            f"update {update[row]} at env step {step[row]}; it must be update {row} at "
            f"{(row + 1) * num_steps}"
        ),
    )
    if len(update) * num_steps != description["env_steps"]:
        raise _damaged(
            file, f"{len(update)} rows; run.json tells of {description['env_steps']} env steps"
        )


def _columns(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The columns of a run's table; whole numbers with a gap come as float, the gap as NaN."""
    data = read_table(folder, name)
    if data.schema != schema(name):
        raise _damaged(folder / f"{name}.parquet", "not the columns that training writes")
    return {column: data[column].to_numpy() for column in data.column_names}


def _refuse_rows(file: Path, wrong: np.ndarray, why: Callable[[int], str]) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        row = int(rows[0])
        raise _damaged(file, f"row {row}, counted from 0: {why(row)}")


def _damaged(file: Path, why: object) -> DamagedRunError:
    return DamagedRunError(
        f"{file}: damaged ({first_line(why)}); delete {file.parent} and give the command again "
        "to train this run anew"
    )


def _of_other_settings(file: Path, why: object, data: Mapping[str, Any]) -> UnknownSettingsError:
    made = str(data.get("commit") or "unknown")[:12]
    return UnknownSettingsError(
        f"{file}: settings that this version does not know ({first_line(why)}), made at commit "
        f"{made}; use the code that made it, or move {file.parent} away to train the run anew"
    )


def settings_are_known(folder: Path) -> bool:
    """Whether a finished run has settings that this version knows.

    Raises:
        DamagedRunError: its description cannot be read.

    """
    try:
        read_description(folder)
    except UnknownSettingsError:
        return False
    return True


def is_reference(name: str) -> bool:
    """Whether a report is of the data of the repository: ``reference`` or ``reference_<scale>``."""
    return name.partition("_")[0] == REFERENCE
