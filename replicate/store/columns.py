"""The tables of a run – their columns, with type, unit and meaning, and how they become Parquet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replicate.messages import ConfigError
from replicate.store.files import write_atomically


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
    _float("value_loss", "–", "mean over the minibatches (ppo: times value_coefficient)"),
    _float("learning_rate", "–", "policy step size used"),
    _float("clip_epsilon", "ratio", "ε used (∞: not clipped)"),
    _float("kl_beta", "–", "β used (ppo)"),
    _float("policy_epochs", "passes", "passes of the policy begun before an early stop (ppo)"),
    _float("step_accepted", "–", "1: the line search accepted a step (trpo)"),
    _float("backtracks", "–", "shrinkings of the line search (trpo)"),
    _float("cg_residual", "–", "relative residual of conjugate gradient (trpo)"),
    _float("expected_improvement", "–", "gᵀ·full step (trpo)"),
    _float("improvement", "–", "of the surrogate at the accepted step (trpo)"),
]

ENCODINGS = {pa.float32(): "BYTE_STREAM_SPLIT", pa.int32(): "DELTA_BINARY_PACKED"}

SCHEMAS = {"episodes": EPISODES, "updates": UPDATES}


def schema(name: str) -> pa.Schema:
    """Names and types of a table's columns."""
    return pa.schema([(c.name, c.type) for c in SCHEMAS[name]])


def check_columns(name: str, keys: Iterable[str]) -> None:
    """Refuse what a table has no column for.

    Raises:
        ConfigError: there is such a key.

    """
    for key in sorted(set(keys) - set(schema(name).names)):
        raise ConfigError(
            f"{name}: no column {key!r}; a diagnostic of one's own takes a line in {name.upper()} "
            "of replicate/store/columns.py"
        )


def table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a typed table; absent values are null."""
    rows = list(rows)
    check_columns(name, {key for row in rows for key in row})
    return pa.Table.from_pylist(rows, schema(name))


def write_table(path: Path, data: pa.Table) -> None:
    """Write a table atomically, as :func:`parquet_bytes`."""
    write_atomically(path, parquet_bytes(data))


def parquet_bytes(data: pa.Table) -> bytes:
    """A table as Parquet (zstd); equal tables give equal bytes.

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
