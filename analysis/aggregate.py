"""Runs → the tables of a study on one environment.

python -m analysis.aggregate PLAN.json STORE ENV EPISODES.parquet UPDATES.parquet RUNS.json MANIFEST

A run that is damaged, altered or not the planned one is refused.  The manifest lists the tables, so
that nothing is drawn from tables that were altered afterwards.
"""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis import manifest
from analysis.errors import one_line_errors
from replicate.records import (
    RUN_FILE,
    DataError,
    check_rows,
    read_json,
    read_stored,
    read_table,
    write_json,
    write_table,
)

LABELS = {"env": pa.string(), "variant": pa.string(), "seed": pa.int32()}
# The plan has the settings of each variant once; files were compared with their digests.
LEFT_OUT = {"settings", "files"}


class StaleRunError(DataError):
    """A stored run is not the planned one."""


def checked(store: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The ``run.json`` of a planned run.

    Raises:
        StaleRunError: the run was made from another configuration than the planned one.
        DamagedRunError: its settings, digest, files and rows do not belong together.

    """
    folder = store / entry["run_id"]
    description = read_stored(store, entry["run_id"])
    if description["digest"] != entry["digest"]:
        raise StaleRunError(
            f"{folder / RUN_FILE}: made from another configuration than the planned one; delete "
            f"{folder} and give the command again to train this run anew"
        )
    check_rows(folder, description)
    return description


def gather(store: Path, entries: list[dict[str, Any]], name: str) -> pa.Table:
    """The ``name`` tables of runs, with environment, variant and seed."""
    tables = []
    for entry in entries:
        table = read_table(store / entry["run_id"], name)
        for label, kind in LABELS.items():
            column = pa.array([entry[label]] * len(table), kind)
            if kind == pa.string():
                column = column.dictionary_encode()
            table = table.append_column(label, column)
        tables.append(table)
    return pa.concat_tables(tables).unify_dictionaries()


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    plan_file, store, env = Path(arguments[0]), Path(arguments[1]), arguments[2]
    episodes, updates, runs, listed = map(Path, arguments[3:])
    plan = read_json(plan_file)
    entries = [entry for entry in plan["runs"] if entry["env"] == env]
    descriptions = [
        {label: entry[label] for label in LABELS}
        | {k: v for k, v in checked(store, entry).items() if k not in LEFT_OUT}
        for entry in entries
    ]
    write_table(episodes, gather(store, entries, "episodes"))
    write_table(updates, gather(store, entries, "updates"))
    write_json(runs, descriptions)
    manifest.write(listed, [episodes, updates, runs])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
