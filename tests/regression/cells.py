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

import pandas as pd
from omegaconf import OmegaConf

from analysis.curves import binned
from replicate.interface import compose, train
from replicate.store.software import CONF

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


def read_design(path: Path = CONF / "regression.yaml") -> Design:
    """The design that ``conf/`` describes."""
    conf = OmegaConf.load(path)
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
        episodes = train(runs, store).episodes
    length = runs[0].num_updates * runs[0].algo.num_steps
    return mean_over_training(
        episodes.assign(variant=cell.variant), [run.seed for run in runs], length
    )


def measure_all(cells: Iterable[Cell], seeds: str) -> dict[str, Sample]:
    """:func:`measure` of each cell, by name, one process per core."""
    cells = list(cells)
    # Spawned: a fork of a process in which torch has threads may hang.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=fresh) as pool:
        samples = list(pool.map(partial(measure, seeds=seeds), cells))
    return {cell.name: sample for cell, sample in zip(cells, samples, strict=True)}
