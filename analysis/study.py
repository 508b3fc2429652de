"""A study as data: its plan, and what the tables of runs have of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import manifest
from analysis.aggregate import read_runs
from replicate.messages import DataError
from replicate.settings import ChangeSettings
from replicate.store.files import REMEDY
from replicate.store.plans import read_plan, tables_of_plan
from replicate.store.records import ENV_TABLES, RUN

RUN_KEYS = ["env", "variant", "seed"]
KNOWN_ENVS = "known_envs"
"""Key of the plan of a study on one environment: those of the whole study."""


@dataclass(frozen=True)
class Study:
    """A plan, and the rows of its runs in the tables that it names.

    The tables on disk have each run once, whatever studies use it; the plan says which environment,
    variant and seed a run is here, and all tables of a study have these as columns.  A combination
    that is not in the plan is in no table: environments may have unlike seeds.

    Args:
        folder: of the plan, from which it names the tables.
        plan: as ``replicate.planning.plans.plan_of`` makes it.

    """

    folder: Path
    plan: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the study, as in ``conf/study``."""
        return str(self.plan["study"])

    @property
    def recipe(self) -> str:
        """Name of the set of code-level details."""
        return str(self.plan["recipe"])

    @property
    def total_env_steps(self) -> int:
        """Length of each run."""
        return int(self.plan["total_env_steps"])

    @property
    def num_steps(self) -> int:
        """Env steps between two updates."""
        return int(self.plan["num_steps"])

    @property
    def envs(self) -> list[str]:
        """Names of files of ``conf/env``, in the order of the plan."""
        return list(self.plan["envs"])

    @property
    def env_labels(self) -> dict[str, str]:
        """Environment → what people read: its gymnasium id, and its name if others have that id."""
        labels = _labels(self.known_envs)
        return {env: labels[env] for env in self.envs}

    @property
    def known_envs(self) -> dict[str, str]:
        """Environment → gymnasium id, with those that :meth:`on` left out."""
        known: dict[str, str] = self.plan.get(KNOWN_ENVS, self.plan["envs"])
        return known

    @property
    def variants(self) -> list[str]:
        """Names, in the order of the plan."""
        return [variant["name"] for variant in self.plan["variants"]]

    @property
    def labels(self) -> dict[str, str]:
        """Variant → what people read."""
        return {variant["name"]: variant["label"] for variant in self.plan["variants"]}

    @property
    def num_updates(self) -> int:
        """Updates of a run."""
        return self.total_env_steps // self.num_steps

    @cached_property
    def changes(self) -> dict[str, ChangeSettings | None]:
        """Variant → what changes in the middle of its runs, if anything does."""
        return {
            variant["name"]: ChangeSettings(**variant["change"]) if variant.get("change") else None
            for variant in self.plan["variants"]
        }

    @property
    def seeds(self) -> list[int]:
        """Seeds that every environment has; one may have more."""
        of_each = ({entry["seed"] for entry in self._entries(env)} for env in self.envs)
        return sorted(set.intersection(*of_each))

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """``replicate.store.columns.EPISODES`` of all runs."""
        return self._rows("episodes")

    @cached_property
    def updates(self) -> pd.DataFrame:
        """``replicate.store.columns.UPDATES`` of all runs."""
        return self._rows("updates")

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The ``run.json`` of all runs, with ``env``, ``variant`` and ``seed``."""
        return [self._planned(entry) for env in self.envs for entry in self._entries(env)]

    def check(self) -> None:
        """Look for every planned run in the tables.

        Raises:
            DataError: one is not there, or was made from another configuration than the planned.

        """
        for entry in self.plan["runs"]:
            self._planned(entry)

    def _planned(self, entry: dict[str, Any]) -> dict[str, Any]:
        run = self._stored.get(entry["run_id"])
        if run is None or run["digest"] != entry["digest"]:
            what = "not there" if run is None else "made from other settings than the planned"
            tables = ", ".join(str(_table(stem, "*")) for stem in self._stems[entry["env"]])
            raise DataError(f"{tables}: run {entry['run_id']}: {what}; {REMEDY}")
        return run | {key: entry[key] for key in RUN_KEYS}

    @cached_property
    def _stored(self) -> dict[str, dict[str, Any]]:
        """Id → ``run.json``, of all runs of the tables."""
        files = [_table(stem, "runs.json") for env in self.envs for stem in self._stems[env]]
        return {run["run_id"]: run for file in files for run in read_runs(file)}

    @property
    def files(self) -> list[Path]:
        """All tables that have runs of the study."""
        return [file for env in self.envs for file in self.files_of(env)]

    def files_of(self, env: str) -> list[Path]:
        """The tables of one environment."""
        return [_table(stem, table) for stem in self._stems[env] for table in ENV_TABLES]

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        return tables_of_plan(self.folder / "plan.json", self.plan)

    def _entries(self, env: str) -> list[dict[str, Any]]:
        return [entry for entry in self.plan["runs"] if entry["env"] == env]

    def _rows(self, name: str) -> pd.DataFrame:
        """A table, by environment and then in the order of the plan."""
        parts = [
            labelled(
                pa.concat_tables(
                    [
                        pq.read_table(_table(stem, f"{name}.parquet"), read_dictionary=[RUN])
                        for stem in self._stems[env]
                    ],
                    promote_options="default",  # a part may be older than a column
                ),
                self._entries(env),
            )
            for env in self.envs
        ]
        return pd.concat([part.to_pandas() for part in parts], ignore_index=True)

    def on(self, env: str) -> "Study":
        """The same study on one environment."""
        envs = {env: self.plan["envs"][env]}
        part = {"envs": envs, "runs": self._entries(env), KNOWN_ENVS: self.known_envs}
        return Study(self.folder, {**self.plan, **part})

    @cached_property
    def even(self) -> "Study":
        """The same study with the seeds alone that every environment has.

        Raises:
            DataError: there is none.

        """
        seeds = self.seeds
        if not seeds:
            raise DataError(f"{self.name}: no seed that every environment has; train one on all")
        runs = [entry for entry in self.plan["runs"] if entry["seed"] in seeds]
        return Study(self.folder, {**self.plan, "runs": runs})

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


def env_labels(studies: Iterable[Study]) -> dict[str, str]:
    """Environment → what people read, of all these studies."""
    return _labels({env: of for study in studies for env, of in study.plan["envs"].items()})


def _labels(ids: Mapping[str, str]) -> dict[str, str]:
    shared = {env_id for env_id, count in Counter(ids.values()).items() if count > 1}
    return {name: f"{of} ({name})" if of in shared else of for name, of in ids.items()}


def labelled(table: pa.Table, entries: list[dict[str, Any]]) -> pa.Table:
    """Rows of planned runs in the order of the plan, with environment, variant and seed.

    Args:
        table: with the column ``run``; the rows of a run stand together.
        entries: of a plan.

    """
    table = table.unify_dictionaries().combine_chunks()
    runs = table[RUN].combine_chunks()
    codes = np.asarray(runs.indices) if len(runs) else np.empty(0, np.int64)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    # A table without a row has neither a start nor a stop.
    stops = np.append(starts[1:], len(codes)) if len(codes) else starts
    names = runs.dictionary.to_pylist() if len(runs) else []
    spans = {names[codes[i]]: (i, j) for i, j in zip(starts, stops, strict=True)}
    # A run in which no episode ended has no row.
    rows = [np.arange(*spans.get(entry["run_id"], (0, 0))) for entry in entries]
    planned = np.repeat(np.arange(len(entries)), [len(of_run) for of_run in rows])
    taken = table.drop_columns(RUN).take(np.concatenate([np.empty(0, np.int64), *rows]))
    for key in RUN_KEYS:
        values = pa.array([entry[key] for entry in entries])
        taken = taken.append_column(key, values.take(planned))
    return taken


def _table(stem: Path, table: str) -> Path:
    return stem.with_name(f"{stem.name}.{table}")


def read_study(plan: Path) -> Study:
    """The study that a plan describes.

    Raises:
        AlteredDataError: a table is not the one that was made.
        DataError: the plan or a manifest cannot be read, or a run is not in the tables.

    """
    study = Study(plan.parent, read_plan(plan))
    of_the_repository = manifest.of(plan) is not None
    manifest.check([plan, *study.files] if of_the_repository else study.files)
    study.check()
    return study
