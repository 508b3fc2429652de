"""The plan of a study on disk, and the files that are made of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replicate.messages import DataError
from replicate.store.files import MANIFEST, REMEDY, read_json

FIGURE_FILES = (".svg", ".png", ".csv", ".caption.txt", f".{MANIFEST}")
TABLE_FILES = (".csv", ".md", ".tex", ".caption.txt", f".{MANIFEST}")
"""Suffixes of the files of a figure and of a table of a study."""

PLAN_KEYS = ("study", "envs", "data", "variants", "runs")
"""A file without one of these is no plan."""

MAX_LINES = 6
"""More variants in one panel of a figure cannot be told apart."""
OF_EACH_ENV = ("learning_curves",)
"""Figures that a study of more variants has once for each environment."""


def read_plan(file: Path) -> dict[str, Any]:
    """A plan, as ``replicate.planning.plans.plan_of`` makes it.

    Raises:
        DataError: it is missing, damaged, or no plan.

    """
    plan = read_json(file)
    for key in PLAN_KEYS:
        if key not in plan:
            raise DataError(f"{file}: no plan of a study (it has no {key!r}); {REMEDY}")
    return plan


def tables_of_plan(plan_file: Path, plan: Mapping[str, Any]) -> dict[str, list[Path]]:
    """Environment → where the tables of its runs are: paths without ``.<table>``.

    A plan names them relative to its own folder.
    """
    folder = plan_file.parent
    return {
        env: [Path(os.path.normpath(folder / stem)) for stem in stems]
        for env, stems in plan["data"].items()
    }


def figures_of_plan(plan: Mapping[str, Any]) -> list[str]:
    """Figures of a study, ``NAME`` or, of one environment alone, ``ENV/NAME``."""
    apart = OF_EACH_ENV if len(plan["variants"]) > MAX_LINES else ()
    return [
        figure
        for name in plan["figures"]
        for figure in ([f"{env}/{name}" for env in plan["envs"]] if name in apart else [name])
    ]
