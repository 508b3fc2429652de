"""Runs → the tables of a study on one environment.

python -m analysis.aggregate PLAN.json STORE ENV EPISODES.parquet UPDATES.parquet RUNS.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.errors import DataError, one_line_errors
from replicate.records import (
    read_description,
    read_table,
    write_json,
    write_table,
)

LABELS = {"env": pa.string(), "variant": pa.string(), "seed": pa.int32()}


class StaleRunError(DataError):
    """A stored run is not the planned one."""


def checked(store: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The ``run.json`` of a planned run.

    Raises:
        StaleRunError: the run was made from another configuration than the planned one.

    """
    folder = store / entry["run_id"]
    description = read_description(folder)
    if description["digest"] != entry["digest"]:
        raise StaleRunError(f"{folder}: made from another configuration than the planned one")
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
    episodes, updates, runs = map(Path, arguments[3:])
    plan = json.loads(plan_file.read_text())
    entries = [entry for entry in plan["runs"] if entry["env"] == plan["envs"][env]]
    descriptions = [
        # The plan has the settings of each variant once.
        {label: entry[label] for label in LABELS}
        | {k: v for k, v in checked(store, entry).items() if k != "settings"}
        for entry in entries
    ]
    write_table(episodes, gather(store, entries, "episodes"))
    write_table(updates, gather(store, entries, "updates"))
    write_json(runs, descriptions)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
