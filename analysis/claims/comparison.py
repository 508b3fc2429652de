"""P1 and P3: PPO against TRPO and naive policy gradient."""

import numpy as np
import pandas as pd

from analysis.aggregates import iqm, probability_of_improvement
from analysis.claims.configuration import Claim
from analysis.claims.parts import (
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    difference,
    final_u,
    samples,
)
from analysis.statistics import Array, bootstrap_intervals

RECIPES = {"paper2017": "comparison", "modern": "comparison_modern"}
BIPEDAL = "bipedal_walker"
PUBLISHED_STEPS = 1_000_000
OURS = (
    "mean over seeds of final: mean return of the training episodes in the last 10 % of env steps"
)


def p1(data: Data, claim: Claim) -> Evidence:
    """PPO minus TRPO under both recipes, on average and on each environment."""
    kinds: list[tuple[Aim, str, str]] = [
        ("not below", "", ""),
        ("guard", "_each", ", on each environment"),
    ]
    parts = [
        difference(
            data,
            study,
            ("ppo", "trpo"),
            final_u,
            key=f"{recipe}{suffix}",
            label=f"final, PPO minus TRPO, {recipe}{where}",
            aim=aim,
            margin=claim.margins["u"],
            without=claim.without,
            test=recipe,
        )
        for aim, suffix, where in kinds
        for recipe, study in RECIPES.items()
    ]
    return Evidence(
        parts,
        variants=("ppo", "trpo"),
        tables=lambda: [_beside(data, claim), _published(data, claim)],
    )


def _beside(data: Data, claim: Claim) -> Table:
    """Probability of improvement and difference of interquartile means, percentile bootstrap."""
    rows = []
    for recipe, study in RECIPES.items():
        x, y = (samples(data, study, name, final_u, claim.without) for name in ("ppo", "trpo"))
        envs = [env for env in x if env in y]
        if not envs or len({len(v[env]) for v in (x, y) for env in envs}) > 1:
            continue
        runs = np.stack([[v[env].to_numpy() for v in (x, y)] for env in envs])
        found = bootstrap_intervals(_better_and_middle, runs, np.random.default_rng(0))
        names = (
            "probability that a run of PPO is better than a run of TRPO",
            "interquartile mean of PPO minus that of TRPO, u",
        )
        for name, interval in zip(names, found, strict=True):
            rows.append([recipe, name, interval.estimate, interval.low, interval.high])
    return Table("Beside the mean", ["recipe", "quantity", "estimate", "low", "high"], rows)


def _better_and_middle(runs: Array) -> Array:
    """``[..., E, 2, S]`` → probability of improvement and difference of interquartile means."""
    ppo, trpo = runs[..., 0, :], runs[..., 1, :]
    return np.stack([probability_of_improvement(ppo, trpo), iqm(ppo) - iqm(trpo)], axis=-1)


def _published(data: Data, claim: Claim) -> Table:
    """Per environment: our returns, and those of every source that has both at 1M steps."""
    rows: list[list[object]] = []
    for recipe, name in RECIPES.items():
        if name not in data.measures:
            continue
        study, runs = data.studies[name], data.measures[name]
        means = runs[~runs.env.isin(claim.without)].groupby(["env", "variant"]).final
        table = means.agg(["mean", "std", "count"])
        for env, env_id in study.plan["envs"].items():
            if (env, "ppo") in table.index and (env, "trpo") in table.index:
                ppo, trpo = table.loc[(env, "ppo")], table.loc[(env, "trpo")]
                where = f"here, {recipe}, {study.total_env_steps:,} env steps"
                rows.append(
                    [
                        env_id,
                        where,
                        ppo["mean"],
                        ppo["std"],
                        trpo["mean"],
                        trpo["std"],
                        int(ppo["count"]),
                        OURS,
                    ]
                )
    ours = {str(row[0]).rpartition("-")[0] for row in rows}
    if "reference_returns" in data.published:
        rows += _elsewhere(data.published["reference_returns"], ours)
    columns = [
        "environment",
        "source",
        "PPO",
        "PPO spread",
        "TRPO",
        "TRPO spread",
        "seeds",
        "definition",
    ]
    rows.sort(key=lambda row: str(row[0]).rpartition("-")[0])  # ours first, then as in the file
    return Table("Returns of PPO and TRPO, here and published", columns, rows)


def _elsewhere(returns: pd.DataFrame, envs: set[str]) -> list[list[object]]:
    rows: list[list[object]] = []
    at_1m = returns[returns.steps == PUBLISHED_STEPS]
    family = at_1m.env_id.str.rpartition("-")[0]
    for (source, env_id), found in at_1m[family.isin(envs)].groupby(
        ["source", "env_id"], sort=False
    ):
        ppo, trpo = (
            found[(found.algorithm == name) | found.algorithm.str.startswith(f"{name} (OpenAI")]
            for name in ("PPO", "TRPO")
        )
        if len(ppo) and len(trpo):
            a, b = ppo.iloc[0], trpo.iloc[0]
            rows.append(
                [env_id, source, a["mean"], a.spread, b["mean"], b.spread, a.seeds, a.statistic]
            )
    return rows


def p3(data: Data, claim: Claim) -> Evidence:
    """BipedalWalker-v3: finals of all methods, and PPO minus each."""
    parts: list[Part] = []
    rows: list[list[object]] = []
    for recipe, name in RECIPES.items():
        if name not in data.studies or BIPEDAL not in data.studies[name].plan["envs"]:
            continue
        study = data.studies[name]
        others = [env for env in study.plan["envs"] if env != BIPEDAL]
        for variant in study.variants:
            label = study.labels[variant]
            runs = data.measures[name]
            final = runs[(runs.env == BIPEDAL) & (runs.variant == variant)].final
            rows.append(
                [recipe, label, final.mean(), final.std(), final.min(), final.max(), len(final)]
            )
            if variant == "ppo":
                continue
            parts.append(
                difference(
                    data,
                    name,
                    ("ppo", variant),
                    final_u,
                    key=f"{recipe}_{variant}",
                    label=f"final on BipedalWalker-v3, PPO minus {label}, {recipe}",
                    aim="shown",
                    without=others,
                )
            )
    columns = ["recipe", "variant", "mean final", "standard deviation", "least", "largest", "seeds"]
    parts = parts or [Part("finals", "finals on BipedalWalker-v3", "shown", None)]
    return Evidence(parts, tables=lambda: [Table("Finals on BipedalWalker-v3", columns, rows)])
