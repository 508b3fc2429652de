"""The data set that never changes, from which the digests of claims are made.

Small studies with every kind of run: that learns, that does not, that rises and falls, that
diverges, that has all there is to reach.  Random numbers come from Python's ``random()``, whose
sequence is promised.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims.epsilon import VARIANTS
from analysis.claims.parts import Data
from analysis.measures import run_measures, scales
from analysis.study import Study

ENVS = {
    "hopper": "Hopper-v5",
    "half_cheetah": "HalfCheetah-v5",
    "reacher": "Reacher-v5",
    "bipedal_walker": "BipedalWalker-v3",
}
SATURATED = "half_cheetah"
SEEDS = 3
NUM_STEPS, UPDATES, EPISODES = 2048, 20, 60
METHODS = ("vpg", "ppo_noclip", "trpo", "ppo")
SETTINGS = (
    *VARIANTS[1:4],
    "no_clipping",
    *(f"adaptive_kl_{target:g}" for target in (0.003, 0.01, 0.03)),
    *(f"fixed_kl_{beta:g}" for beta in (0.3, 1, 3, 10)),
)
STUDIES = {
    "comparison": ("paper2017", METHODS),
    "comparison_modern": ("modern", METHODS),
    "epsilon": ("paper2017", VARIANTS),
    "table1": ("paper2017", SETTINGS),
    "bound": ("paper2017", ("max", "min")),
    "quadratic_penalty": ("paper2017", ("spo", "clip")),
    "no_clip_step_size": ("modern", ("none_3e-5", "none_1e-4", "none_3e-4", "clip")),
    "clip_higher": ("paper2017", ("clip_higher", "clip")),
    "epochs": ("paper2017", tuple(f"{k}_{n}" for k in ("clip", "none") for n in (1, 3, 10, 30))),
    "clip_schedule": (
        "paper2017",
        ("linear_to_0", "linear_to_0.05", *VARIANTS),
    ),
    "early_stopping": ("paper2017", ("target_0.01", "target_0.03", "clip")),
    "fine_tuning": ("paper2017", VARIANTS),
    "simple_tasks": ("paper2017", VARIANTS),
    "no_undo": ("paper2017", ("vpg", "trpo", "ppo")),
    "step_sizes": (
        "paper2017",
        tuple(f"{m}_{k}" for m in ("vpg", "ppo", "trpo") for k in range(5)),
    ),
    "trpo_exactness": ("paper2017", ("cg_40", "damping_0.01", "fifth", "trpo")),
}
CHANGED = ("no_undo", "fine_tuning")
"""Studies in which something changes half-way."""
PUBLISHED = {"clip_0.1": 0.76, "clip_0.2": 0.82, "clip_0.3": 0.70}
MAX_KL = 0.01


@dataclass(frozen=True)
class FixedStudy(Study):
    """A study whose tables are made when they are asked for."""

    scale_of: Mapping[str, tuple[float, float]]

    @cached_property
    def _made(self) -> list[tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]]:
        return [_run(self.name, entry, *self.scale_of[entry["env"]]) for entry in self.plan["runs"]]

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """As in a study's files."""
        return pd.concat([run[0] for run in self._made], ignore_index=True)

    @cached_property
    def updates(self) -> pd.DataFrame:
        """As in a study's files."""
        return pd.concat([run[1] for run in self._made], ignore_index=True)

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """As in a study's files."""
        return [run[2] for run in self._made]


def fixed_data(untrained: pd.DataFrame, published: Mapping[str, Any]) -> Data:
    """The studies with their measures, and the probes' records.

    Args:
        untrained: ``env, untrained``.
        published: environment → ``return``.

    """
    constants = untrained.drop_duplicates("env").set_index("env").untrained
    scale_of = {env: (float(constants[env]), float(published[env]["return"])) for env in ENVS}
    studies: dict[str, Study] = {
        name: FixedStudy(Path(), _plan(name, recipe, variants), scale_of)
        for name, (recipe, variants) in STUDIES.items()
    }
    measures = {
        name: run_measures(study, scales(study, untrained, published))
        for name, study in studies.items()
    }
    table = pd.DataFrame({"setting": list(PUBLISHED), "score": list(PUBLISHED.values())})
    return Data(studies, measures, probes(), {"ppo_table1": table})


def _plan(name: str, recipe: str, variants: tuple[str, ...]) -> dict[str, Any]:
    keys = itertools.product(ENVS, variants, range(SEEDS))
    return {
        "study": name,
        "scale": "fixed",
        "recipe": recipe,
        "num_steps": NUM_STEPS,
        "total_env_steps": NUM_STEPS * UPDATES,
        "envs": ENVS,
        "variants": [
            {
                "name": variant,
                "label": variant,
                "published": variant,
                "algo": _algo(name, variant),
                **({"change": {"at_share": 0.5}} if name in CHANGED else {}),
            }
            for variant in variants
        ],
        "runs": [
            {"env": env, "variant": variant, "seed": seed, "digest": ""}
            for env, variant, seed in keys
        ],
    }


def _algo(study: str, variant: str) -> dict[str, Any]:
    if study == "step_sizes":
        method, _, place = variant.partition("_")
        key, decades = ("max_kl", 2) if method == "trpo" else ("learning_rate", 1)
        return {"name": method, key: 10.0 ** (decades * (int(place) - 4))}
    if variant == "trpo" or study == "trpo_exactness":
        return {"name": "trpo", "max_kl": MAX_KL}
    return {"name": "ppo"}


def _run(
    study: str, entry: Mapping[str, Any], untrained: float, reference: float
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Episodes, updates and status of one run; its label decides what becomes of it."""
    keys = {key: entry[key] for key in ("env", "variant", "seed")}
    place = STUDIES[study][1].index(entry["variant"])
    generator = Random(" ".join(map(str, (study, *keys.values()))))
    level = 0.2 + 0.15 * (place % 5) + 0.3 * generator.random()
    fate = generator.random()
    steps = np.linspace(0, NUM_STEPS * UPDATES, EPISODES + 1)[1:]
    share = steps / steps[-1]
    course = level * share
    if fate < 0.15:  # rises, then falls below where it began
        course = level * np.where(share < 0.6, share / 0.6, 1 - 3 * (share - 0.6) / 0.4)
    elif fate < 0.25:  # learns nothing
        course = 0 * share
    if study in CHANGED:  # learns at once, falls after the update, and comes back
        away = (share > 0.55) & (share <= 0.6 + 0.3 * generator.random())
        course = (0.3 + level) * np.where(away, 0.1, 1.0)
    u = course + np.array([0.1 * (generator.random() - 0.5) for _ in steps])
    diverged = 0.25 <= fate < 0.3
    if entry["env"] == SATURATED and place >= 2:  # all seeds and methods alike, no difference
        u, diverged = np.minimum(1.0, 2 * share), False
    episodes = pd.DataFrame(
        {
            "env_step": steps.astype(int),
            "episodic_return": untrained + u * (reference - untrained),
            **keys,
        }
    )
    size = [(place + 1) * 10 ** (-3 + generator.random()) for _ in range(UPDATES)]
    kl = np.minimum(size, MAX_KL) if entry["variant"] == "trpo" else np.array(size)
    updates = pd.DataFrame(
        {
            "update": range(UPDATES),
            "env_step": [NUM_STEPS * (k + 1) for k in range(UPDATES)],
            "kl": kl,
            "filter_kl": kl / 10,
            "ratio_mean_abs_deviation": np.sqrt(kl),
            "ratio_deviation_99": 4 * np.sqrt(kl),
            "ratio_max": 1 + 6 * np.sqrt(kl),
            "clip_fraction": np.sqrt(kl) / 2,
            "entropy": 1 - np.sqrt(kl),
            "step_accepted": 1.0,
            "backtracks": 0.0,
            "cg_residual": 0.1,
            "improvement": 0.9,
            "expected_improvement": 1.0,
            **keys,
        }
    )
    if diverged:
        episodes, updates = episodes[: EPISODES // 2], updates[: UPDATES // 2]
    status = "diverged" if diverged else "finished"
    at = NUM_STEPS * UPDATES // 2 if diverged else None
    return episodes, updates, {**keys, "status": status, "diverged_at_env_step": at}


def probes() -> dict[str, pd.DataFrame]:
    """Few points of the records of ``replicate.probes``, by hand."""
    points = []
    for advantage, ratio in itertools.product((1.0, -1.0), (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)):
        flat = (ratio > 1.2) if advantage > 0 else (ratio < 0.8)
        kink = 1.2 if advantage > 0 else 0.8
        points.append(
            {
                "epsilon": 0.2,
                "advantage": advantage,
                "ratio": ratio,
                "unclipped": advantage * ratio,
                "clipped": advantage * (kink if flat else ratio),
                "gradient": 0.0 if flat else advantage,
                "unclipped_log_gradient": advantage * ratio,
            }
        )
    coefficients = [
        {
            **{key: point[key] for key in ("epsilon", "advantage", "ratio")},
            "clipped_gradient": point["gradient"] * point["ratio"],
            "k1_coefficient": -point["unclipped"] if point["gradient"] == 0 else 0.0,
            "k1_gradient": point["gradient"] * point["ratio"],
            "k3_coefficient": 3.0 if point["gradient"] == 0 else 0.0,
            "k3_gradient": point["gradient"] * point["ratio"],
        }
        for point in points
        if point["ratio"] > 0
    ]
    averages = [
        {
            "ratio": ratio,
            "samples": 3.0,
            "target": ratio / 200,
            "expectation": ratio / 200,
            "variance": ratio**2 / 600,
            "fresh_variance": ratio / 600,
            "effective_sample_size": 1 / ratio,
        }
        for ratio in (1.0, 10.0, 100.0)
    ]
    steps = [
        {
            "method": method,
            "setting": setting,
            "lucky": lucky,
            "unlucky": 0,
            "better": 4 - lucky,
            "probability": lucky / 4,
            "worse_after": worse,
            "kl": kl,
        }
        for lucky, worse in ((0, 1.0), (2, 0.7), (4, 0.98))
        for method, setting, kl in (
            ("vpg", 1.0, 2.0),
            ("ppo_first_step", 1.0, 2.0),
            ("trpo", 0.01, 0.009),
        )
    ]
    costs = [
        {
            "method": method,
            "hidden": hidden,
            "parameters": hidden**2,
            "samples": 2048,
            "repeat": repeat,
            "seconds": factor * hidden**power / 1e6 * (1 + 0.02 * ((hidden + repeat) % 3)),
            "peak_bytes": 4 * factor * hidden**power + 1000 * hidden,
            "flops": 8 * factor * hidden**power,
        }
        for method, factor, power in (
            ("ppo_pass", 1, 2),
            ("ppo", 10, 2),
            ("trpo", 12, 2),
            ("trpo_step", 8, 2),
            ("explicit_fisher", 1, 4),
        )
        for hidden in (50, 100, 150, 200, 250)
        for repeat in range(2)
    ]
    lines = [
        {
            "needed_by": needed_by,
            "module": "replicate.maths",
            "name": name,
            "kind": "function",
            "lines": lines,
            "operations": operations,
        }
        for needed_by, name, lines, operations in (
            ("ppo", "clip", 12, "clamp minimum"),
            ("trpo", "search", 20, "* where"),
            ("trpo", "conjugate_gradient", 5, "* addcmul"),
            ("both", "exact", 30, "* +"),
            ("objective", "clip", 9, "clamp minimum"),
        )
    ]
    entropies = [
        {"rare": rare, "step_size": 1.0, "clip": clip, "entropy_change": change * rare}
        for rare in (0.1, 0.4)
        for clip, change in (("none", -0.1), ("low", 0.1), ("high", -0.3), ("both", -0.2))
    ]
    anatomy, line = updates_of_one_batch()
    # With the clip the KL turns back after the third pass, without it it goes on.
    passes = [
        {"env": "hopper", "env_steps": 0, "seed": 0, "method": method, "passes": k, "kl": kl}
        for method, kls in (
            ("ppo", [0.01, 0.03, 0.06, 0.055, 0.05, 0.045, 0.04, 0.035, 0.03, 0.03]),
            ("ppo_noclip", [0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        )
        for k, kl in enumerate(kls, start=1)
    ]
    return {
        "entropy_bias": pd.DataFrame(entropies),
        "kl_per_sample": pd.DataFrame(coefficients),
        "update_anatomy": anatomy,
        "update_line": line,
        "update_passes": pd.DataFrame(passes),
        "two_actions": pd.DataFrame(steps),
        "clipped_objective": pd.DataFrame(points),
        "importance_sampling": pd.DataFrame(averages),
        "update_cost": pd.DataFrame(costs),
        "code_size": pd.DataFrame(lines),
    }


def updates_of_one_batch() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Few rows of ``update_anatomy`` and ``update_line``: KL is the square of the setting or of t.

    What is left of a batch falls with it, and the share of samples outside 1 ± ε is half the
    setting on one environment and next to none on the other.
    """
    updates, line = [], []
    for env, seed, (method, settings) in itertools.product(
        ("hopper", "half_cheetah"),
        range(3),
        (
            ("ppo", (0.1, 0.2)),
            ("ppo_noclip", (np.inf,)),
            ("ppo_max", (0.2,)),
            ("trpo", (0.01, 0.1)),
            ("vpg", (0.001, 0.1)),
        ),
    ):
        keys = {"env": env, "env_steps": 0, "seed": seed, "method": method}
        for setting in settings:
            size = min(setting, 1.0) + seed / 100
            clips = method in ("ppo", "ppo_max")
            outside = size / 2 if env == "hopper" else 0.001 * seed
            updates.append(
                {
                    **keys,
                    "setting": setting,
                    "kl": size**2,
                    "kl_max": 2 * size**2,
                    "entropy_change": -size,
                    "ratio_99": 1 + 2 * size,
                    "ratio_max": 1 + 4 * size,
                    "ratio_deviation_99": 2 * size,
                    "ratio_deviation_max": 4 * size,
                    "outside": outside,
                    "outside_own": outside if clips else np.nan,
                    "effective_sample_size": 1 / (1 + size**2),
                    "old_return": 10.0,
                    "new_return": 10.0 + seed,
                }
            )
        for t in (0.0, 0.5, 1.0, 1.5):
            line.append(
                {
                    **keys,
                    "setting": settings[-1],
                    "t": t,
                    "surrogate": t,
                    "clipped_surrogate": t * (1 - t / 2),
                    "kl": t**2,
                    "clip_fraction": t / 4,
                    "effective_sample_size": 1 / (1 + t**2),
                }
            )
    return pd.DataFrame(updates), pd.DataFrame(line)
