"""Measures → the numbers that tables and figures show: pure functions that make tidy tables.

Every function takes a study and its measures (``analysis.measures``, one row per run).
Environments are fixed: every interval is about other seeds on the same environments.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import manifest
from analysis.measures import WORST
from analysis.statistics import Array, Interval
from analysis.study import RUN_KEYS, Study
from replicate.messages import counted
from replicate.store.files import MANIFEST

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
OVERALL = "all environments"


def matrix(study: Study, measures: pd.DataFrame, column: str, envs: Sequence[str]) -> Array:
    """One number per run: ``[E, V, S]``, in the order of the plan; NaN where it is empty."""
    keys = pd.MultiIndex.from_product([envs, study.variants, study.seeds])
    values = measures.set_index(RUN_KEYS)[column].reindex(keys)
    shape = (len(envs), len(study.variants), len(study.seeds))
    array: Array = values.to_numpy(dtype=np.float64).reshape(shape)
    return array


def held_u(study: Study, measures: pd.DataFrame, envs: Sequence[str]) -> Array:
    """u of every run ``[E, V, S]`` as it goes into means: below −1 counts as −1."""
    return np.maximum(matrix(study, measures, "u", envs), WORST)


def held_u_on(study: Study, measures: pd.DataFrame, env: str) -> Array:
    """:func:`held_u` on one environment ``[V, S]``, of all its seeds."""
    of_env: Array = held_u(study.on(env), measures, [env])[0]
    return of_env


def scaled_envs(study: Study, measures: pd.DataFrame) -> list[str]:
    """Environments with a published scale."""
    has_scale = measures.groupby("env").u.apply(lambda u: u.notna().all())
    return [env for env in study.envs if has_scale[env]]


def bounds(name: str, interval: Interval) -> dict[str, float]:
    """The columns ``name, name_low, name_high``."""
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def label_of(study: Study, env: str) -> str:
    """What people read of an environment, or of all."""
    return study.env_labels.get(env, env)


def runs_text(study: Study, measures: pd.DataFrame) -> str:
    """How many runs the numbers are made of, how long and by which recipe, in two sentences."""
    numbers = " × ".join(
        [
            counted(len(study.envs), "environment"),
            counted(len(study.variants), "variant"),
            seeds_text(study),
        ]
    )
    diverged = int(measures.diverged.sum())
    return (
        f"{len(measures)} runs of {study.total_env_steps:,} env steps: "
        f"{numbers}, recipe {study.recipe}."
        + (f" {counted(diverged, 'run')} diverged." if diverged else "")
    )


def seeds_text(study: Study) -> str:
    """How many seeds the environments have: ``5 seeds``, ``3 to 10 seeds``."""
    counts = seeds_of_each(study)
    least, most = min(counts), max(counts)
    return counted(least, "seed") if least == most else f"{least} to {most} seeds"


def seeds_of_each(study: Study) -> list[int]:
    """How many seeds each environment has."""
    return [len(study.on(env).seeds) for env in study.envs]


def scale_text(study: Study, measures: pd.DataFrame) -> str:
    """What u is, how many runs are held at its end, and which environments have none."""
    held = int((measures.u < WORST).sum())
    used = scaled_envs(study, measures)
    without = [study.env_labels[env] for env in study.envs if env not in used]
    return (
        "u: 0 = untrained policy, 1 = a return from the literature "
        "(conf/claims/published_scale.yaml); below −1 it counts as −1"
        + (f", as in {counted(held, 'run')}" if held else "")
        + "."
        + (f" Without a published return and left out: {', '.join(without)}." if without else "")
    )


def published(name: str) -> pd.DataFrame:
    """A table of the literature's numbers, as its manifest lists it."""
    file = PUBLISHED / f"{name}.csv"
    manifest.verify(PUBLISHED / MANIFEST, [file])
    return pd.read_csv(file)
