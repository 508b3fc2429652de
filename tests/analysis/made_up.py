"""Studies with known answers: a plan, its tables, and measures."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import manifest
from analysis.study import Study, read_study
from replicate.store.files import MANIFEST
from replicate.store.records import ENV_TABLES

PAPER = {
    "half_cheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "inverted_double_pendulum": "InvertedDoublePendulum-v5",
    "inverted_pendulum": "InvertedPendulum-v5",
    "reacher": "Reacher-v5",
    "swimmer": "Swimmer-v5",
    "walker2d": "Walker2d-v5",
}
WIDTHS = (0.05, 0.1, 0.2, 0.3, 0.5)
MEASURE_COLUMNS: dict[str, Any] = {
    "final_episodes": 100,
    "diverged": False,
    "untrained": 0.0,
    "reference_return": 100.0,
    "start": 0.0,
    "ruined": False,
    "collapsed": False,
    "early_u": 0.25,
    "steps_to_half": 300_000.0,
    "peak_u": 0.6,
    "drawdown": 0.1,
    "mean_log_kl": math.log(0.01),
    "mean_log_ratio_deviation": math.log(0.1),
    "mean_log_ratio_deviation_99": math.log(0.3),
    "kl_95": 0.02,
    "kl_max": 0.04,
    "clip_fraction": 0.2,
    "ratio_max": 2.0,
    "updates": 488,
}

UPDATE_COLUMNS: dict[str, Any] = {
    "kl": 0.01,
    "ratio_mean_abs_deviation": 0.1,
    "ratio_deviation_99": 0.3,
    "ratio_max": 2.0,
    "clip_fraction": 0.2,
}

Value = Callable[[str, str, int], float]


def clip(epsilon: float, published: str | None = None) -> dict[str, Any]:
    algo = {"name": "ppo", "objective": "clip", "bound": "min", "clip_epsilon": epsilon}
    label = f"ε = {epsilon:g}"
    return {"name": f"clip_{epsilon:g}", "label": label, "published": published, "algo": algo}


def no_clip(published: str | None = None) -> dict[str, Any]:
    algo = {"name": "ppo", "objective": "none", "clip_epsilon": 0.2}
    return {"name": "no_clipping", "label": "no clip", "published": published, "algo": algo}


EPSILONS = [*(clip(width) for width in WIDTHS), no_clip()]
TABLE1 = [
    no_clip("no clipping or penalty"),
    clip(0.1, "clipping epsilon=0.1"),
    clip(0.2, "clipping epsilon=0.2"),
]


def planned(env: str, variant: str, seed: int) -> dict[str, Any]:
    """A run of a plan."""
    name = f"{env}-{variant}-s{seed}"
    return {"env": env, "variant": variant, "seed": seed, "run_id": name, "digest": name}


def study(
    folder: Path,
    variants: Sequence[dict[str, Any]],
    envs: dict[str, str] | None = None,
    seeds: int = 3,
    total_env_steps: int = 999_424,
    name: str = "made_up",
) -> Study:
    """Writes ``plan.json`` and the tables: every return rises evenly from 0 to 100 + seed."""
    envs = PAPER if envs is None else envs
    runs = [
        planned(env, variant["name"], seed)
        for env in envs
        for variant in variants
        for seed in range(seeds)
    ]
    plan = {
        "study": name,
        "scale": "paper",
        "title": "A made-up study",
        "question": "Is it right?",
        "figures": [],
        "tables": [],
        "recipe": "paper2017",
        "num_steps": 2048,
        "total_env_steps": total_env_steps,
        "envs": envs,
        "data": {env: [env] for env in envs},
        "variants": list(variants),
        "runs": runs,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    for env in envs:
        of_env = [run for run in runs if run["env"] == env]
        steps = np.linspace(total_env_steps / 200, total_env_steps, 200).astype(int)
        episodes, updates = [], []
        for run in of_env:
            keys = {"run": run["run_id"]}
            returns = steps / total_env_steps * (100 + int(run["seed"]))
            episodes.append(pd.DataFrame({"env_step": steps, "episodic_return": returns, **keys}))
            number = np.arange(total_env_steps // 2048)
            made = {"update": number, "env_step": 2048 * (number + 1), **UPDATE_COLUMNS}
            updates.append(pd.DataFrame({**made, **keys}))
        pd.concat(episodes).to_parquet(folder / f"{env}.episodes.parquet", index=False)
        pd.concat(updates).to_parquet(folder / f"{env}.updates.parquet", index=False)
        ended = {"status": "finished", "diverged_at_env_step": None}
        status = [{**{key: run[key] for key in ("run_id", "digest")}, **ended} for run in of_env]
        (folder / f"{env}.runs.json").write_text(json.dumps(status))
        list_tables(folder, env)
    return read_study(folder / "plan.json")


def list_beside(*files: Path) -> None:
    """As the programs that make files do: one manifest for those of one name."""
    names = {file.name.partition(".")[0] for file in files}
    for name in names:
        same = [file for file in files if file.name.partition(".")[0] == name]
        manifest.write(same[0].with_name(f"{name}.{MANIFEST}"), same)


def list_tables(folder: Path, env: str) -> None:
    """As the aggregation does, after the tables."""
    files = [folder / f"{env}.{table}" for table in ENV_TABLES]
    manifest.write(folder / f"{env}.{MANIFEST}", files)


def measures(study: Study, final: Value | float | None = None, **columns: Any) -> pd.DataFrame:
    """As ``analysis.measures`` makes them; columns are values or functions of a run.

    Unless they are given, the score is the final return, and u follows from it.
    """
    table = pd.DataFrame(study.plan["runs"])[["env", "variant", "seed"]]
    final = 50.0 if final is None else final
    given = {"score": final, "final": final, **MEASURE_COLUMNS, **columns}
    for name, default in given.items():
        keys = table[["env", "variant", "seed"]].itertuples(index=False)
        table[name] = [default(*key) for key in keys] if callable(default) else default
    if "u" not in columns:
        table["u"] = (table.final - table.untrained) / (table.reference_return - table.untrained)
    return table


def noisy(means: dict[str, float], sd: float = 5.0, seed: int = 0) -> Value:
    """Variant → mean return, with normal noise that is the same for the same run."""

    def value(env: str, variant: str, run: int) -> float:
        key = [seed, run, *env.encode(), *variant.encode()]
        return means[variant] + sd * float(np.random.default_rng(key).standard_normal())

    return value
