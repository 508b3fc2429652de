"""What the gate trains: the cells of ``conf/regression.yaml``, and what a run is worth to it."""

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pandas as pd
from pydantic import Field

from analysis.curves import binned
from replicate.interface import compose, train
from replicate.messages import ConfigError
from replicate.planning.composition import load_file
from replicate.planning.studies import Envs, Names
from replicate.settings import Section, validated
from replicate.store.software import CONF
from replicate.training.provenance import cores

Sample = dict[int, float]
"""Mean return over training, by seed."""


@dataclass(frozen=True)
class Cell:
    """An environment and a variant, as overrides without seeds."""

    env: str
    variant: str
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Key in the file of baselines."""
        return f"{self.env} {self.variant}"


@dataclass(frozen=True)
class Design:
    """The gate: what is trained, with which seeds, and what is asked of it.

    Args:
        cells: each is one test.
        baseline_seeds: Hydra's syntax; those that ``make accept`` stores.
        current_seeds: those that ``make regression`` trains.
        false_alarm_rate: of the whole gate when returns did not get worse.
        interval_level: nominal coverage of the intervals shown.

    """

    cells: tuple[Cell, ...]
    baseline_seeds: str
    current_seeds: str
    false_alarm_rate: float
    interval_level: float


Share = Annotated[float, Field(gt=0, lt=1)]


class DesignFile(Section):
    """``conf/regression.yaml``."""

    false_alarm_rate: Share
    interval_level: Share
    baseline_seeds: str
    current_seeds: str
    overrides: Names
    envs: Annotated[Envs, Field(min_length=1)]
    variants: Annotated[dict[str, Names], Field(min_length=1)]


def read_design(path: Path = CONF / "regression.yaml") -> Design:
    """The design that ``conf/`` describes, of which every run can be composed.

    Raises:
        ConfigError: it cannot be read, or is none.

    """
    data = load_file(path)
    try:
        design = _design(validated(DesignFile, data))
        _check_seeds(design)
    except ConfigError as error:
        raise ConfigError(f"conf/{path.name}: {error}") from None
    return design


def seeds_of(cell: Cell, seeds: str) -> list[int]:
    """Of the runs of a cell.

    Raises:
        ConfigError: its overrides or its seeds are wrong.

    """
    return [run.seed for run in compose(*cell.overrides, f"seed={seeds}")]


def _check_seeds(design: Design) -> None:
    """Each sample has two seeds or more, and no seed is in both.

    Raises:
        ConfigError: it is not so, or a run of a cell is not valid.

    """
    for cell in design.cells:
        try:
            old, new = (
                seeds_of(cell, seeds) for seeds in (design.baseline_seeds, design.current_seeds)
            )
        except ConfigError as error:
            raise ConfigError(f"{cell.name}: {error}") from None
        if min(len(old), len(new)) < 2:
            raise ConfigError("baseline_seeds, current_seeds: at least two of each")
        if shared := set(old) & set(new):
            raise ConfigError(f"current_seeds: {min(shared)} is one of baseline_seeds")


def _design(conf: DesignFile) -> Design:
    return Design(
        cells=tuple(
            Cell(env, variant, (f"env={env}", *conf.overrides, *overrides))
            for env in conf.envs
            for variant, overrides in conf.variants.items()
        ),
        baseline_seeds=conf.baseline_seeds,
        current_seeds=conf.current_seeds,
        false_alarm_rate=conf.false_alarm_rate,
        interval_level=conf.interval_level,
    )


def mean_over_training(
    episodes: pd.DataFrame, seeds: Iterable[int], total_env_steps: int
) -> Sample:
    """Area under each learning curve over its length: the mean over bins of mean episodic return.

    Bins are longer than the longest episode, so only a run that diverged leaves some empty: those
    count as the worst bin of any seed, lest a run gain by losing its end.

    Args:
        episodes: ``env_step, episodic_return, env, variant, seed`` of one cell.
        seeds: of all its runs, also of those without an episode.
        total_env_steps: length of the runs.

    Raises:
        ValueError: not one episode.

    """
    if episodes.empty:
        raise ValueError("no run finished an episode: there are no returns to compare")
    curves = binned(episodes.astype({"episodic_return": "float64"}), total_env_steps)
    by_seed = curves.pivot(index="seed", columns="env_step", values="episodic_return")
    areas = by_seed.reindex(list(seeds)).fillna(by_seed.min().min()).mean(axis="columns")
    return {int(seed): float(area) for seed, area in areas.items()}


def measure(cell: Cell, seeds: str) -> Sample:
    """Train the lanes of a cell, and forget all but one number of each."""
    runs = compose(*cell.overrides, f"seed={seeds}")
    with (
        TemporaryDirectory() as store,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        episodes = train(runs, store, threads=1).episodes
    return mean_over_training(
        episodes.assign(variant=cell.variant), [run.seed for run in runs], runs[0].env_steps
    )


def measure_all(cells: Iterable[Cell], seeds: str) -> dict[str, Sample]:
    """:func:`measure` of each cell, by name, one process per core."""
    cells = list(cells)
    # Spawned: a fork of a process in which torch has threads may hang.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=fresh) as pool:
        samples = list(pool.map(partial(measure, seeds=seeds), cells))
    return {cell.name: sample for cell, sample in zip(cells, samples, strict=True)}
