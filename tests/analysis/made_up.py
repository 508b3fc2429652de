"""Studies with known answers: a plan, its tables, and scores."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import manifest
from analysis.study import Study, read_study
from replicate.records import MANIFEST, STUDY_TABLES

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
SCORE_COLUMNS: dict[str, Any] = {
    "episodes": 100,
    "diverged": False,
    "untrained": 0.0,
    "best": 100.0,
    "frozen": True,
    "area": 0.5,
    "early_area": 0.25,
    "steps_to_half": 300_000.0,
    "drawdown": 0.1,
    "collapsed_30": False,
    "collapsed_50": False,
    "collapsed_70": False,
    "kl": 0.01,
    "kl_95": 0.02,
    "ratio_mean_abs_deviation": 0.1,
    "ratio_max": 2.0,
    "clip_fraction": 0.2,
}

Value = Callable[[str, str, int], float]


def clip(epsilon: float, published: str | None = None) -> dict[str, Any]:
    algo = {"name": "ppo", "objective": "clip", "clip_epsilon": epsilon}
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
        {"env": env, "variant": variant["name"], "seed": seed, "run_id": "", "digest": ""}
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
            keys = {key: run[key] for key in ("env", "variant", "seed")}
            returns = steps / total_env_steps * (100 + int(run["seed"]))
            episodes.append(pd.DataFrame({"env_step": steps, "episodic_return": returns, **keys}))
            sizes = {name: SCORE_COLUMNS[name] for name in ("kl", "clip_fraction", "ratio_max")}
            sizes["ratio_mean_abs_deviation"] = 0.1
            first = {"update": 0, "env_step": 2048}
            updates.append(pd.DataFrame([{**first, **sizes, **keys}]))
        pd.concat(episodes).to_parquet(folder / f"{env}.episodes.parquet")
        pd.concat(updates).to_parquet(folder / f"{env}.updates.parquet")
        status = [{**run, "status": "finished"} for run in of_env]
        (folder / f"{env}.runs.json").write_text(json.dumps(status))
        list_tables(folder, env)
    return read_study(folder / "plan.json")


def list_tables(folder: Path, env: str) -> None:
    """As the aggregation does, after the tables."""
    files = [folder / f"{env}.{table}" for table in STUDY_TABLES]
    manifest.write(folder / f"{env}.{MANIFEST}", files)


def scores(study: Study, score: Value | None = None, **columns: Any) -> pd.DataFrame:
    """As ``analysis.scores`` makes them; ``score`` and columns are values or functions of a run."""
    table = pd.DataFrame(study.plan["runs"])[["env", "variant", "seed"]]
    for name, default in {"score": score or 50.0, **SCORE_COLUMNS, **columns}.items():
        keys = table[["env", "variant", "seed"]].itertuples(index=False)
        table[name] = [default(*key) for key in keys] if callable(default) else default
    if "normalised" not in columns:
        table["normalised"] = (table.score - table.untrained) / (table.best - table.untrained)
    return table


def noisy(means: dict[str, float], sd: float = 5.0, seed: int = 0) -> Value:
    """Variant → mean score, with normal noise that is the same for the same run."""

    def score(env: str, variant: str, run: int) -> float:
        key = [seed, run, *env.encode(), *variant.encode()]
        return means[variant] + sd * float(np.random.default_rng(key).standard_normal())

    return score
