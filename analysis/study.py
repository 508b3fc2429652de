"""A study as data: its plan, and the tables of its runs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import manifest
from replicate.records import MANIFEST, STUDY_TABLES, read_json

RUN_KEYS = ["env", "variant", "seed"]


@dataclass(frozen=True)
class Study:
    """A folder with ``plan.json`` and, per environment, ``episodes``, ``updates`` and ``runs``.

    All tables have the columns ``env`` (as in ``plan.json``), ``variant`` and ``seed``.
    """

    folder: Path
    plan: dict[str, Any]

    @property
    def name(self) -> str:
        """As in ``conf/study``."""
        return str(self.plan["study"])

    @property
    def recipe(self) -> str:
        """Name of the set of code-level details."""
        return str(self.plan["recipe"])

    @property
    def total_env_steps(self) -> int:
        """Of each run."""
        return int(self.plan["total_env_steps"])

    @property
    def num_steps(self) -> int:
        """Env steps between two updates."""
        return int(self.plan["num_steps"])

    @property
    def envs(self) -> list[str]:
        """Names, in the order of the plan."""
        return list(self.plan["envs"])

    @property
    def env_labels(self) -> dict[str, str]:
        """Environment → what people read: its gymnasium id, with the name where ids are equal."""
        ids = list(self.plan["envs"].values())
        return {
            env: env_id if ids.count(env_id) == 1 else f"{env_id} ({env})"
            for env, env_id in self.plan["envs"].items()
        }

    @property
    def variants(self) -> list[str]:
        """Names, in the order of the plan."""
        return [variant["name"] for variant in self.plan["variants"]]

    @property
    def labels(self) -> dict[str, str]:
        """Variant → what people read."""
        return {variant["name"]: variant["label"] for variant in self.plan["variants"]}

    @property
    def seeds(self) -> list[int]:
        """Seeds of each variant on each environment."""
        return sorted({entry["seed"] for entry in self.plan["runs"]})

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """``replicate.records.EPISODES`` of all runs."""
        return self._table("episodes")

    @cached_property
    def updates(self) -> pd.DataFrame:
        """``replicate.records.UPDATES`` of all runs."""
        return self._table("updates")

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The ``run.json`` of all runs, with ``env``, ``variant`` and ``seed``."""
        files = [self.folder / f"{env}.runs.json" for env in self.plan["envs"]]
        return [run for file in files for run in json.loads(file.read_text())]

    @property
    def files(self) -> list[Path]:
        """All tables."""
        return [file for env in self.plan["envs"] for file in self.files_of(env)]

    def files_of(self, env: str) -> list[Path]:
        """The tables of one environment."""
        return [self.folder / f"{env}.{table}" for table in STUDY_TABLES]

    def _table(self, name: str) -> pd.DataFrame:
        files = [self.folder / f"{env}.{name}.parquet" for env in self.plan["envs"]]
        return pd.concat([_plain(pd.read_parquet(file)) for file in files], ignore_index=True)

    def on(self, env: str) -> "Study":
        """The same study on one environment."""
        envs = {env: self.plan["envs"][env]}
        runs = [entry for entry in self.plan["runs"] if entry["env"] == env]
        return Study(self.folder, {**self.plan, "envs": envs, "runs": runs})

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows sorted by environment and variant as in the plan, then by seed."""
        places = {
            "env": {env: i for i, env in enumerate(self.envs)},
            "variant": {variant: i for i, variant in enumerate(self.variants)},
        }
        keys = [key for key in RUN_KEYS if key in table.columns]
        return table.sort_values(
            keys, key=lambda c: c.map(places[c.name]) if c.name in places else c, kind="stable"
        ).reset_index(drop=True)


def read_study(plan: Path) -> Study:
    """The study that a ``plan.json`` describes; its tables lie beside it.

    The repository's data has one manifest, in the folder above; what was made here has one per
    environment, which the aggregation writes.

    Raises:
        AlteredDataError: a table is not the one that was made.
        DataError: the plan or a manifest cannot be read.

    """
    study = Study(plan.parent, read_json(plan))
    of_the_repository = plan.parent.parent / MANIFEST
    if of_the_repository.is_file():
        manifest.verify(of_the_repository, [plan, *study.files])
    else:
        for env in study.plan["envs"]:
            manifest.verify(plan.parent / f"{env}.{MANIFEST}", study.files_of(env))
    return study


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text: equal in all files, whatever categories each happens to have."""
    names: Iterable[str] = table.select_dtypes("category").columns
    return table.astype(dict.fromkeys(names, "str"))
