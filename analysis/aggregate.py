"""Runs → one tidy table per study.

python -m analysis.aggregate PLAN.json EPISODES.parquet UPDATES.parquet
"""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from replicate.records import read_description, read_table, write_table

LABELS = ("env", "variant", "seed")


class StaleRunError(ValueError):
    """A stored run is not the planned one."""


def gather(plan: dict[str, Any], name: str) -> pa.Table:
    """The ``name`` tables of all planned runs, with environment, variant and seed.

    Raises:
        StaleRunError: a run was made from another configuration than the planned one.

    """
    tables = []
    for entry in plan["runs"]:
        folder = Path(plan["store"]) / entry["run_id"]
        if read_description(folder)["digest"] != entry["digest"]:
            raise StaleRunError(f"{folder}: made from another configuration than the planned one")
        table = read_table(folder, name)
        for label in LABELS:
            kind = pa.int32() if label == "seed" else pa.string()
            table = table.append_column(label, pa.array([entry[label]] * len(table), kind))
        tables.append(table)
    return pa.concat_tables(tables)


def main(arguments: list[str]) -> int:
    """The command line."""
    plan_file, episodes, updates = map(Path, arguments)
    plan = json.loads(plan_file.read_text())
    try:
        write_table(episodes, gather(plan, "episodes"))
        write_table(updates, gather(plan, "updates"))
    except StaleRunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
