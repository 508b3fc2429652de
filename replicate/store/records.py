"""What a run leaves behind – schemas, atomic writing, reading.

A run's folder holds ``episodes.parquet``, ``updates.parquet`` and, written last, ``run.json``:
a folder without ``run.json`` is not a finished run.  It lists the SHA-256 of the other two.
Clock readings are in ``run.json`` only, so that the Parquet files of a repeated run are
byte-identical.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replicate.messages import ConfigError, DamagedRunError, DataError, first_line
from replicate.settings import validated
from replicate.store.description import RunDescription

REMEDY = "restore it from git or, if it was made here, delete it and give the command again"


@dataclass(frozen=True)
class Column:
    """A column of a table: name, type, unit, meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


def _float(name: str, unit: str, meaning: str) -> Column:
    return Column(name, pa.float32(), unit, meaning)


EPISODES = [
    Column("env_step", pa.int32(), "env steps", "of the run when the episode ended"),
    _float("episodic_return", "reward", "undiscounted sum of raw rewards"),
    Column("episodic_length", pa.int32(), "env steps", "length of the episode"),
    Column("terminated", pa.bool_(), "–", "ended by the task; false: by a time limit"),
]

UPDATES = [
    Column("update", pa.int32(), "–", "number of the update, from 0"),
    Column("env_step", pa.int32(), "env steps", "of the run when the update was made"),
    _float("kl", "nats", "mean exact KL(old‖new) over the batch, filter held"),
    _float("filter_kl", "nats", "KL that the moving observation filter adds, policy held"),
    _float("clip_fraction", "share", "samples with |r − 1| > ε (0.2 where the run does not clip)"),
    _float("ratio_max", "–", "largest policy ratio"),
    _float("ratio_mean_abs_deviation", "–", "mean |r − 1|"),
    _float("ratio_deviation_99", "–", "99 % quantile of |r − 1| over the batch"),
    _float("effective_sample_size", "share", "(Σr)²/(B·Σr²)"),
    _float("entropy", "nats", "mean policy entropy after the update"),
    _float("explained_variance", "–", "1 − Var[R̂ − V]/Var[R̂], V before the update"),
    _float("gradient_norm", "–", "of the policy (ppo: policy and value, mean over minibatches)"),
    _float("value_loss", "–", "mean over the minibatches of the update"),
    _float("learning_rate", "–", "policy step size used"),
    _float("clip_epsilon", "ratio", "ε used (∞: not clipped)"),
    _float("kl_beta", "–", "β used (ppo)"),
    _float("policy_epochs", "passes", "passes of the policy before an early stop (ppo)"),
    _float("step_accepted", "–", "1: the line search accepted a step (trpo)"),
    _float("backtracks", "–", "shrinkings of the line search (trpo)"),
    _float("cg_residual", "–", "relative residual of conjugate gradient (trpo)"),
    _float("expected_improvement", "–", "gᵀ·full step (trpo)"),
    _float("improvement", "–", "of the surrogate at the accepted step (trpo)"),
]

ENCODINGS = {pa.float32(): "BYTE_STREAM_SPLIT", pa.int32(): "DELTA_BINARY_PACKED"}

SCHEMAS = {"episodes": EPISODES, "updates": UPDATES}

RUN_FILE = "run.json"
"""Written last: a folder without it is not a finished run."""

ENV_TABLES = (*(f"{name}.parquet" for name in SCHEMAS), "runs.json")
"""What is kept of the runs on an environment, each run once, as ``<environment>.<table>``."""

REFERENCE = "reference"
"""The data of the repository, and the report of it: the name stands beside scales in file names."""

RUN = "run"
"""Column of those tables: the id of the run that a row belongs to."""

MANIFEST = "manifest.json"
"""Lists data files with their SHA-256."""


def schema(name: str) -> pa.Schema:
    """Names and types of a table's columns."""
    return pa.schema([(c.name, c.type) for c in SCHEMAS[name]])


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a typed table; absent values are null."""
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema(name).names)
    if unknown:
        raise KeyError(f"no such column of {name}: {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema(name))


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """All of ``data`` or nothing: written beside ``path``, synced, then renamed.

    Raises:
        OSError: with ``path`` as its file name; what was there before is still there.

    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def check_writable(folder: Path) -> None:
    """Make ``folder``, unless files cannot be written to it.

    Raises:
        ConfigError: they cannot; nothing is left behind.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error.strerror})") from None
    except ValueError as error:  # a null byte
        raise ConfigError(f"{str(folder)!r}: cannot be a folder ({error})") from None


def sha256(file: Path) -> str:
    """Of a file's bytes, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Atomic, indented, keys in order."""
    write_atomically(path, (json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def write_manifest(manifest: Path, files: Iterable[Path]) -> None:
    """List ``files``, which lie below the manifest's folder, and nothing else."""
    write_json(manifest, {name_in(manifest, file): sha256(file) for file in files})


def name_in(manifest: Path, file: Path) -> str:
    """What a manifest calls a file: its path from the manifest's folder.

    Raises:
        DataError: it lies elsewhere.

    """
    if "\0" in str(file):
        raise DataError(f"{str(file)!r}: no name of a file; {manifest} lists it")
    folder = manifest.parent.resolve()
    if not file.resolve().is_relative_to(folder):
        raise DataError(f"{file}: not below {manifest.parent}, whose {MANIFEST} is to list it")
    return file.resolve().relative_to(folder).as_posix()


def write_table(path: Path, data: pa.Table) -> None:
    """Atomic; as :func:`parquet_bytes`."""
    write_atomically(path, parquet_bytes(data))


def parquet_bytes(data: pa.Table) -> bytes:
    """Parquet (zstd); equal tables give equal bytes.

    Bytes of equal significance stand together, and whole numbers are stored as differences: a third
    to a half smaller than with Parquet's own choices.
    """
    sink = pa.BufferOutputStream()
    encodings = {f.name: ENCODINGS[f.type] for f in data.schema if f.type in ENCODINGS}
    pq.write_table(
        data,
        sink,
        compression="zstd",
        compression_level=12,
        use_dictionary=[f.name for f in data.schema if pa.types.is_dictionary(f.type)],
        column_encoding=encodings,
    )
    return bytes(sink.getvalue().to_pybytes())


def write_run(
    folder: Path,
    episodes: Iterable[Mapping[str, Any]],
    updates: Iterable[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """A finished run; ``run.json`` last.

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


def parsed_json(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, or nested too deeply.

    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(file: Path) -> dict[str, Any]:
    data = parsed_json(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data


def read_json(file: Path) -> dict[str, Any]:
    """A stored object.

    Raises:
        DataError: it is missing or no JSON object.

    """
    try:
        return _object(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: damaged ({first_line(error)}); {REMEDY}") from None


def read_description(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a run, as ``RunDescription`` has it.

    Raises:
        DamagedRunError: it is missing, or not what is written there.

    """
    file = folder / RUN_FILE
    try:
        data = _object(file)
        validated(RunDescription, data)
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None
    return data


def read_checked(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a run whose files are found to be those that it lists.

    Raises:
        DamagedRunError: they are not, or one is missing.

    """
    description = read_description(folder)
    check_files(folder, description)
    return description


def read_stored(store: Path, run_id: str) -> dict[str, Any]:
    """The same of a run in its place in a store.

    Raises:
        DamagedRunError: another run lies there, or it is damaged.

    """
    description = read_checked(store / run_id)
    if description["run_id"] != run_id:
        file = store / run_id / RUN_FILE
        raise _damaged(file, f"it is of another run, {description['run_id']}")
    return description


def read_table(folder: Path, name: str) -> pa.Table:
    """``episodes`` or ``updates`` of a run.

    Raises:
        DamagedRunError: it is missing or no Parquet file.

    """
    file = folder / f"{name}.parquet"
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, error) from None


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
    """Look for rows that no training writes.

    Episodes follow one another without a gap, none goes beyond the run, and their returns are
    finite; there is one row per update, ``num_steps`` env steps after the one before.  Measures of
    an update may be infinite or NaN, as in the last one of a run that diverged.

    Raises:
        DamagedRunError: the first such row, counted from 0, and what is wrong with it.

    """
    _check_episodes(folder, description)
    _check_updates(folder, description)


def _check_episodes(folder: Path, description: Mapping[str, Any]) -> None:
    file, data = folder / "episodes.parquet", _columns(folder, "episodes")
    step, length, returned = (
        data[name] for name in ("env_step", "episodic_length", "episodic_return")
    )
    before = np.concatenate(([0], step[:-1]))
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


def tables_of_plan(plan_file: Path, plan: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Environment → where the tables of its runs are: paths without ``.<table>``.

    A plan names them relative to its own folder.
    """
    folder = plan_file.parent
    return {
        env: [Path(os.path.normpath(folder / stem)) for stem in stems]
        for env, stems in plan["data"].items()
    }


def is_reference(name: str) -> bool:
    """Whether a report is of the data of the repository: ``reference`` or ``reference_<scale>``."""
    return name.partition("_")[0] == REFERENCE
