"""Runs → the tables of one environment, each run once.

python -m analysis.aggregate STORE RUN… --out EPISODES.parquet UPDATES.parquet RUNS.json MANIFEST

RUN is the id of a finished run, or a path that ends in it.  A row belongs to the run that its
column ``run`` names; which variant of which study that is, plans say.  A run that is damaged or
altered is refused.  The manifest lists the tables, so that nothing is drawn from tables that were
altered afterwards.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from analysis import manifest
from replicate.messages import DataError, Parser, first_line, one_line_errors
from replicate.store.columns import SCHEMAS, parquet_bytes
from replicate.store.files import REMEDY, parsed_json, write_atomically
from replicate.store.records import ENV_TABLES, RUN, check_rows, read_stored, read_table


class StoredRun(NamedTuple):
    """A run in tables.

    Args:
        stem: of the tables: paths without ``.<table>``.
        description: its ``run.json``.

    """

    stem: Path
    description: dict[str, Any]


def tables_of_runs(store: Path, run_ids: Iterable[str]) -> dict[str, bytes]:
    """Table (of ``ENV_TABLES``) → its file's bytes, a function of the runs alone.

    Runs stand in the order of their ids, the rows of each together and in their own order.

    Args:
        store: folder of runs.
        run_ids: one or more, of one environment.

    Raises:
        DamagedRunError: the settings, digest, files and rows of a run do not belong together.

    """
    names = sorted(set(run_ids))
    descriptions = [checked(store, name) for name in names]
    tables = [parquet_bytes(gather(store, names, table)) for table in SCHEMAS]
    return dict(zip(ENV_TABLES, [*tables, described(descriptions)], strict=True))


def checked(store: Path, run_id: str) -> dict[str, Any]:
    """The ``run.json`` of a run that is whole.

    Raises:
        DamagedRunError: it is not.

    """
    description = read_stored(store, run_id)
    check_rows(store / run_id, description)
    return description


def gather(store: Path, run_ids: list[str], name: str) -> pa.Table:
    """The ``name`` tables of runs, one below the other, with the column ``run``."""
    tables = []
    for run_id in run_ids:
        table = read_table(store / run_id, name)
        column = pa.array([run_id] * len(table), pa.string()).dictionary_encode()
        tables.append(table.append_column(RUN, column))
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def described(descriptions: Iterable[dict[str, Any]]) -> bytes:
    """A list of ``run.json``, one to a line."""
    lines = (json.dumps(run, sort_keys=True, separators=(",", ":")) for run in descriptions)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def runs_below(folder: Path) -> dict[str, StoredRun]:
    """Run id → the run, of all ``runs.json`` below a folder.

    Raises:
        DataError: one cannot be read.

    """
    stems = [
        file.with_name(file.name.removesuffix(".runs.json"))
        for file in sorted(folder.rglob("*.runs.json"))
    ]
    return {
        run["run_id"]: StoredRun(stem, run)
        for stem in stems
        for run in read_runs(stem.with_name(f"{stem.name}.runs.json"))
    }


def read_runs(file: Path) -> list[dict[str, Any]]:
    """What ``runs.json`` tells of the runs.

    Raises:
        DataError: it is no list of runs.

    """
    try:
        runs: list[dict[str, Any]] = parsed_json(file.read_text(encoding="utf-8"))
        if not isinstance(runs, list) or not all(
            isinstance(run, dict) and "run_id" in run for run in runs
        ):
            raise ValueError("no list of runs")
    except ValueError as error:
        raise DataError(f"{file}: damaged ({first_line(error)}); {REMEDY}") from None
    return runs


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.aggregate")
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, nargs=len(ENV_TABLES) + 1, required=True)
    options = parser.parse_args(arguments)
    *files, listed = options.out
    tables = tables_of_runs(options.store, [run.name for run in options.runs])
    for file, content in zip(files, tables.values(), strict=True):
        write_atomically(file, content)
    manifest.write(listed, files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
