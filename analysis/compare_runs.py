"""Whether runs trained again are byte for byte those of the repository.

python -m analysis.compare_runs STORE [DATA]

STORE is a folder of runs: ``results/replication/runs``, or the ``out=`` of ``python -m replicate``.
DATA, by default ``results/reference``, has tables of runs.  Of each run that both have, the rows of
the tables are written as training writes them, and must be the bytes of the run's files.  Exit code
1: of some they are not; 2: there is nothing to compare, or something cannot be read.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import manifest
from analysis.aggregate import StoredRun, runs_below
from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.columns import SCHEMAS, parquet_bytes, schema
from replicate.store.records import ENV_TABLES, RUN, is_finished, read_stored
from replicate.store.staleness import class_name, cpu_class

REFERENCE = Path("results/reference")


def table_bytes(stem: Path, run_id: str, name: str) -> bytes:
    """The rows of a run in a table, as training writes them.

    Args:
        stem: of the tables: path without ``.<table>``.
        run_id: which rows.
        name: ``episodes`` or ``updates``.

    """
    file = stem.with_name(f"{stem.name}.{name}.parquet")
    rows = pq.read_table(file, filters=[(RUN, "==", run_id)]).drop_columns(RUN)
    known = [field for field in schema(name) if field.name in rows.column_names]
    return parquet_bytes(rows.combine_chunks().cast(pa.schema(known)))


def unlike(folder: Path, stored: StoredRun) -> list[str]:
    """Files of a run that are not those of the tables, in the columns that these have."""
    run_id = stored.description["run_id"]
    return [
        f"{name}.parquet"
        for name in SCHEMAS
        if table_bytes(stored.stem, run_id, name) != _without_new_columns(folder, stored.stem, name)
    ]


def _without_new_columns(folder: Path, stem: Path, name: str) -> bytes:
    """A run's file; where a column was added since its table was made, as it was without."""
    file = folder / f"{name}.parquet"
    there = pq.read_schema(stem.with_name(f"{stem.name}.{name}.parquet")).names
    if all(column in there for column in pq.read_schema(file).names):
        return file.read_bytes()
    rows = pq.read_table(file)
    return parquet_bytes(rows.select([c for c in rows.column_names if c in there]))


def elsewhere(description: Mapping[str, Any], again: Mapping[str, Any]) -> str:
    """Why equal bytes are not promised; empty where they are."""
    before, now = cpu_class(description), cpu_class(again)
    if before == now:
        return ""
    return f" (made on {class_name(before)}, again on {class_name(now)}: no equal bytes promised)"


def compare(store: Path, data: Path) -> tuple[int, list[str]]:
    """How many runs both have, and a line for each that differs.

    Raises:
        AlteredDataError: a table is not the one that was made.
        DamagedRunError: a run of the store is not what was written.

    """
    both = {
        run: stored_run for run, stored_run in runs_below(data).items() if is_finished(store / run)
    }
    stems = {stored.stem for stored in both.values()}
    manifest.check(
        stem.with_name(f"{stem.name}.{table}") for stem in sorted(stems) for table in ENV_TABLES
    )
    lines = []
    for run, stored in sorted(both.items()):
        again = read_stored(store, run)
        if files := unlike(store / run, stored):
            lines.append(
                f"{run}: other {' and '.join(files)}{elsewhere(stored.description, again)}"
            )
    return len(both), lines


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.compare_runs")
    parser.add_argument("store", type=Path)
    parser.add_argument("data", type=Path, nargs="?", default=REFERENCE)
    options = parser.parse_args(arguments)
    number, lines = compare(options.store, options.data)
    if not number:
        raise DataError(f"{options.store}: none of its runs is in {options.data}")
    for line in lines:
        print(line)
    print(f"{number - len(lines)} of {number} runs are byte for byte those of {options.data}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
