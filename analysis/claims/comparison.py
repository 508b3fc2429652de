"""P1 and P3: PPO against TRPO and naive policy gradient."""

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.parts import (
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    difference,
    final_difference,
    final_u,
    mean_differences,
    of_one_length,
    samples,
    without_each,
)
from analysis.run_statistics import iqm, probability_of_improvement
from analysis.statistics import Array, bootstrap_intervals

RECIPES = {"paper2017": "comparison", "modern": "comparison_modern"}
BIPEDAL = "bipedal_walker"
SOURCES = (
    "PPO paper Fig.3 via Tianshou README",
    "OpenAI Baselines benchmark (commit ea68f3b, 2018-08)",
    "Fujimoto et al. 2018 (TD3 paper) Table 1",
    "Engstrom et al. 2020",
    "Spinning Up benchmark (TF1)",
    "Spinning Up benchmark (PyTorch)",
    "Tianshou MuJoCo benchmark (2021-22)",
    "PFRL reproduction",
    "rl-baselines3-zoo trained agents",
    "sb3-contrib docs (TRPO)",
    "CleanRL ppo_continuous_action (tag pr-424, 2023-11)",
    "SLM-Lab v5 benchmark (2026-02)",
)
"""Of ``results/published/reference_returns.csv``: one of each code base."""
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
        final_difference(
            data,
            claim,
            study,
            ("ppo", "trpo"),
            key=f"{recipe}{suffix}",
            label=f"final, PPO minus TRPO, {recipe}{where}",
            aim=aim,
            test=recipe,
        )
        for aim, suffix, where in kinds
        for recipe, study in RECIPES.items()
    ]
    return Evidence(
        parts,
        variants=("ppo", "trpo"),
        tables=lambda: [
            _details(data, claim),
            _beside(data, claim),
            _published(data, claim),
            without_each(data, parts),
        ],
    )


def _details(data: Data, claim: Claim) -> Table:
    """What PPO's code-level details are worth, beside what the algorithm is.

    ``modern`` has them and ``paper2017`` has not (``conf/recipe``); either algorithm is run with
    both.  Source of the question: Engstrom et al. 2020, Table 2.  Recipes are compared where their
    runs are of one length.
    """
    finals = {
        (name, recipe): samples(data, study, name, final_u, claim.without)
        for name in ("ppo", "trpo")
        for recipe, study in RECIPES.items()
    }
    plain, detailed = RECIPES
    ppo, trpo = "ppo", "trpo"
    pairs = {
        f"PPO minus TRPO, both as {plain}": ((ppo, plain), (trpo, plain)),
        f"PPO minus TRPO, both as {detailed}": ((ppo, detailed), (trpo, detailed)),
        f"PPO as {plain} minus TRPO as {detailed}": ((ppo, plain), (trpo, detailed)),
        f"PPO, {detailed} minus {plain}": ((ppo, detailed), (ppo, plain)),
        f"TRPO, {detailed} minus {plain}": ((trpo, detailed), (trpo, plain)),
    }
    alike = of_one_length(data, RECIPES.values())
    of_finals = {
        label: (finals[one], finals[other])
        for label, (one, other) in pairs.items()
        if alike or one[1] == other[1]
    }
    return mean_differences("Algorithm or code-level details", of_finals)


def _beside(data: Data, claim: Claim) -> Table:
    """Probability of improvement and difference of interquartile means, percentile bootstrap."""
    rows = []
    for recipe, study in RECIPES.items():
        x, y = (samples(data, study, name, final_u, claim.without) for name in ("ppo", "trpo"))
        envs = [env for env in x if env in y]
        of_each = [{*v[env].index} for v in (x, y) for env in envs]
        # An interquartile mean is of all runs: an environment with more seeds would count for more.
        seeds = sorted(set.intersection(*of_each)) if of_each else []
        if not seeds:
            continue
        runs = np.stack([[v[env].loc[seeds].to_numpy() for v in (x, y)] for env in envs])
        intervals = bootstrap_intervals(_better_and_middle, runs, np.random.default_rng(0))
        names = (
            "probability that a run of PPO is better than a run of TRPO",
            "interquartile mean of PPO minus that of TRPO, u",
        )
        for name, interval in zip(names, intervals, strict=True):
            rows.append([recipe, name, interval.estimate, interval.low, interval.high, len(seeds)])
    columns = ["recipe", "quantity", "estimate", "low", "high", "seeds that every environment has"]
    return Table("Beside the mean", columns, rows)


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
        for env, label in study.env_labels.items():
            if (env, "ppo") in table.index and (env, "trpo") in table.index:
                ppo, trpo = table.loc[(env, "ppo")], table.loc[(env, "trpo")]
                rows.append(
                    [
                        label,
                        f"here, {recipe}",
                        study.total_env_steps,
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
        "env steps",
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
    """What each source has of an environment at its shortest training; either may be missing."""
    rows: list[list[object]] = []
    trained = returns[(returns.steps > 0) & returns.source.isin(list(SOURCES))]
    family = trained.env_id.str.rpartition("-")[0]
    name = trained.algorithm.str.extract(r"^(PPO|TRPO)(?: \((?:ppo2|trpo_mpi|OpenAI.*)\))?$")[0]
    known = trained.assign(name=name)[family.isin(envs) & name.notna()]
    for source in SOURCES:
        for env_id, published in known[known.source == source].groupby("env_id", sort=False):
            first = published[published.steps == published.steps.min()].drop_duplicates("name")
            of = first.set_index("name")
            one = first.iloc[0]
            numbers = [
                of.loc[which, column] if which in of.index else None
                for which in ("PPO", "TRPO")
                for column in ("mean", "spread")
            ]
            rows.append([env_id, source, one.steps, *numbers, one.seeds, one.statistic])
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
    there = {part.key for part in parts}
    for recipe in RECIPES if parts else ():
        if (key := f"{recipe}_trpo") not in there:
            label = f"final on BipedalWalker-v3, PPO minus TRPO, {recipe}"
            parts.append(Part(key, label, "shown", None))
    parts = parts or [Part("finals", "finals on BipedalWalker-v3", "shown", None)]
    return Evidence(parts, tables=lambda: [Table("Finals on BipedalWalker-v3", columns, rows)])
