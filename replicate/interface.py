"""Floor 8: what a notebook uses – compose runs, train them, get tables back."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

# Before other work of torch in the same process: it holds MKL to one code path.
import replicate.networks  # noqa: F401
from replicate.__main__ import train as train_and_print
from replicate.messages import ConfigError
from replicate.planning import composition
from replicate.settings import ExecutionSettings, RunSettings, validated
from replicate.store.records import is_finished, read_stored, read_table


def compose(*overrides: str) -> list[RunSettings]:
    """Runs from Hydra overrides; sweeps multiply: ``compose("env=hopper", "seed=range(0,3)")``.

    Raises:
        ConfigError: one line with what is wrong and the nearest valid choice.

    """
    composition.check_given_once(list(overrides))
    for key in composition.keys_of(overrides):
        if key in (trains_with := ExecutionSettings.model_fields):
            raise ConfigError(f"{key}: no part of a run; train() takes {', '.join(trains_with)}")
    composition.read_again()
    return composition.compose(*overrides).runs


@dataclass(frozen=True)
class Tables:
    """Tidy tables of some runs, with ``run_id``, ``env``, ``algo``, ``recipe`` and ``seed``.

    Args:
        episodes: one row per training episode.
        updates: one row per update.

    """

    episodes: pd.DataFrame
    updates: pd.DataFrame


def load(runs: Iterable[RunSettings], out: str | Path = "runs") -> Tables:
    """Tables of finished runs.

    Raises:
        FileNotFoundError: one is not finished.
        DamagedRunError: one was altered, a part of it is missing, or another lies in its place.

    """
    parts: dict[str, list[pd.DataFrame]] = {"episodes": [], "updates": []}
    for run in {run.digest: run for run in runs}.values():
        folder = Path(out) / run.run_id
        if not is_finished(folder):
            raise FileNotFoundError(f"{folder}: not a finished run; train(runs) trains it")
        read_stored(Path(out), run.run_id)
        labels = {
            "run_id": run.run_id,
            "env": run.env.id,
            "algo": run.algo.name,
            "recipe": run.recipe.name,
            "seed": run.seed,
        }
        for name, frames in parts.items():
            frame = read_table(folder, name).to_pandas()
            frames.append(frame.assign(**labels))
    return Tables(**{name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()})


def train(
    runs: Iterable[RunSettings],
    out: str | Path = "runs",
    device: Literal["cpu", "cuda"] = "cpu",
    logger: Literal["none", "wandb"] = "none",
    **more: int,
) -> Tables:
    """Train what ``out`` does not have yet, in lockstep cohorts, and load all of it.

    Args:
        more: ``threads`` and ``checkpoint_every_updates``, as on the command line.

    Raises:
        ConfigError: before anything runs.

    """
    runs = list(runs)
    if not runs:
        raise ConfigError("runs: none; compose() makes some")
    chosen = {"out": str(out), "device": device, "logger": logger, **more}
    execution = validated(
        ExecutionSettings, {**composition.compose().execution.model_dump(), **chosen}
    )
    threads = torch.get_num_threads()
    try:
        train_and_print(runs, execution)
    finally:
        torch.set_num_threads(threads)  # training takes one, the rest of a notebook need not
    return load(runs, out)
