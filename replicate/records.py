"""Floor 0: what a run leaves behind – schemas, atomic writing, reading.

A run's folder holds ``episodes.parquet``, ``updates.parquet`` and, written last, ``run.json``:
a folder without ``run.json`` is not a finished run.  Clock readings are in ``run.json`` only,
so that the Parquet files of a repeated run are byte-identical.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


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
    _float("kl_k1", "nats", "its estimate E[−log r]"),
    _float("kl_k3", "nats", "its estimate E[(r − 1) − log r]"),
    _float("filter_kl", "nats", "KL that the moving observation filter adds, policy held"),
    _float("clip_fraction", "share", "samples with |r − 1| > ε (0.2 where the run does not clip)"),
    _float("ratio_min", "–", "least policy ratio"),
    _float("ratio_max", "–", "largest policy ratio"),
    _float("ratio_mean_abs_deviation", "–", "mean |r − 1|"),
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

SCHEMAS = {"episodes": EPISODES, "updates": UPDATES}

STUDY_TABLES = (*(f"{name}.parquet" for name in SCHEMAS), "runs.json")
"""What a study has of each environment, as ``<environment>.<table>``."""


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a typed table; absent values are null."""
    schema = pa.schema([(c.name, c.type) for c in SCHEMAS[name]])
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise KeyError(f"no such column of {name}: {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema)


def write_atomically(path: Path, data: bytes) -> None:
    """All of ``data`` or nothing: written beside ``path``, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Atomic, indented, keys in order."""
    write_atomically(path, (json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def write_table(path: Path, data: pa.Table) -> None:
    """Atomic Parquet (zstd); equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())


def write_run(
    folder: Path,
    episodes: Iterable[Mapping[str, Any]],
    updates: Iterable[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """A finished run; ``run.json`` last."""
    write_table(folder / "episodes.parquet", table("episodes", episodes))
    write_table(folder / "updates.parquet", table("updates", updates))
    write_json(folder / "run.json", description)


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return (folder / "run.json").is_file()


def read_description(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a run."""
    data: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return data


def read_table(folder: Path, name: str) -> pa.Table:
    """``episodes`` or ``updates`` of a run."""
    return pq.read_table(folder / f"{name}.parquet")
