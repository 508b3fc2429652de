"""Table 1 of the PPO paper beside ours.

The table has a scale of its own, the paper's: 0 = untrained policy, 1 = the best single run of the
table, and its statistic is the mean over environments × seeds.
"""

from collections.abc import Iterable
from functools import partial
from math import nan

import numpy as np
import pandas as pd
from numpy.random import Generator

from analysis.run_statistics import iqm, normalise, redrawn_statistic, table1_scores
from analysis.statistics import (
    FEW_SEEDS,
    Array,
    Interval,
    bootstrap_intervals,
    interval,
    mean_of_runs,
    paired_difference,
)
from analysis.study import Study
from analysis.summaries import bounds, matrix
from replicate.messages import counted

PAPER_ENVS = {
    "half_cheetah",
    "hopper",
    "inverted_double_pendulum",
    "inverted_pendulum",
    "reacher",
    "swimmer",
    "walker2d",
}
PAPER_ENV_STEPS = 1_000_000
PAPER_SEEDS = 3
INTERVALS = ("ours", "iqm", "to_reference")
NUMBERS = [
    *(f"{name}{end}" for name in INTERVALS for end in ("", "_low", "_high")),
    *("best_setting", "redrawn_low", "redrawn_median", "redrawn_high"),
]


def table1_envs(study: Study, measures: pd.DataFrame) -> list[str]:
    """Environments where some run of this very table beats no training."""
    learnt = (measures.score > measures.untrained).groupby(measures.env).any()
    return [env for env in study.envs if learnt[env]]


def left_out(study: Study, measures: pd.DataFrame) -> str:
    """A sentence on the environments that the table does not use, if there are any."""
    used = table1_envs(study, measures)
    without = [study.env_labels[env] for env in study.envs if env not in used]
    return f" Left out, as no run beats no training: {', '.join(without)}." if without else ""


def unlike_the_paper(study: Study, measures: pd.DataFrame) -> list[str]:
    """Why the numbers are not comparable one to one with the paper's; empty where they are.

    Source: PPO paper (arXiv 1707.06347), section 6.1 and footnote 2.
    """
    envs = set(table1_envs(study, measures))
    reasons = []
    if envs != PAPER_ENVS:
        others = len(envs - PAPER_ENVS)
        reasons.append(
            f"{len(envs & PAPER_ENVS)} of the paper's {len(PAPER_ENVS)} environments"
            + (f" and {counted(others, 'other')}" if others else "")
        )
    # The last update of a run must be a whole one.
    if abs(study.total_env_steps - PAPER_ENV_STEPS) >= study.num_steps:
        reasons.append(f"{study.total_env_steps:,} env steps instead of {PAPER_ENV_STEPS:,}")
    if study.recipe != "paper2017":
        reasons.append(f"the recipe is {study.recipe}")
    return reasons


def published_table1(table: pd.DataFrame) -> dict[str, float]:
    """Setting → average normalised score.  Source: PPO paper, table 1.

    Args:
        table: ``results/published/ppo_table1.csv``.

    """
    return dict(zip(table.setting, table.score.astype(float), strict=True))


def table1_summary(
    study: Study, measures: pd.DataFrame, literature: dict[str, float], generator: Generator
) -> pd.DataFrame:
    """One row per variant.

    Returns:
        ``variant, label, published``; ``ours, ours_low, ours_high, ours_method`` (below 10 seeds
        a t interval, which takes the best run as given; from 10 on the bootstrap with the best run
        inside, which pulls the interval upwards, as the best of a resample is at most the best);
        ``best_setting`` (ours, if 1 is the best variant's mean); ``iqm, iqm_low, iqm_high``
        (interquartile mean over all runs, the best run taken as given; bounds from 10 seeds on);
        ``difference`` (ours − published); ``reference, to_reference, to_reference_low,
        to_reference_high`` (ours − ours of the variant that was published as the best, paired by
        seed); ``redrawn_low, redrawn_median, redrawn_high`` (95 % of what the paper's statistic
        might have been with 3 other seeds; empty where there are no more than 3 to draw from);
        ``runs, envs, seeds, diverged``.

    """
    envs = table1_envs(study, measures)
    names = {entry["name"]: entry["published"] for entry in study.plan["variants"]}
    table = pd.DataFrame(
        {
            "variant": study.variants,
            "label": [study.labels[variant] for variant in study.variants],
            "published": [literature.get(names[variant], nan) for variant in study.variants],
        }
    )
    reference = table.variant[table.published.idxmax()] if table.published.notna().any() else None
    seeds = len(study.seeds)
    if envs:
        returns = matrix(study, measures, "score", envs)
        untrained = matrix(study, measures, "untrained", envs)[:, 0, 0]
        place = study.variants.index(reference) if reference else None
        columns = _columns(returns, untrained, place, generator)
    else:  # nothing learnt anything: there is no scale
        columns = pd.DataFrame(index=table.index, columns=NUMBERS, dtype=float)
        columns["ours_method"] = ""
    table = pd.concat([table, columns], axis=1)
    table["difference"] = table.ours - table.published
    table["reference"] = reference or ""
    of_variant = measures[measures.env.isin(envs)].groupby("variant")
    table["runs"] = table.variant.map(of_variant.size()).fillna(0).astype(int)
    table["envs"], table["seeds"] = len(envs), seeds
    table["diverged"] = table.variant.map(of_variant.diverged.sum()).fillna(0).astype(int)
    return table


def _columns(
    returns: Array, untrained: Array, reference: int | None, generator: Generator
) -> pd.DataFrame:
    """The columns that are made of ``returns [E, V, S]``."""
    variants, seeds = returns.shape[1:]
    paper = partial(table1_scores, untrained=untrained)
    scaled = normalise(returns, untrained, returns.max(axis=(1, 2)))
    of_each = [scaled[:, v] for v in range(variants)]

    table = pd.DataFrame(index=range(variants), columns=NUMBERS, dtype=float)
    if seeds < FEW_SEEDS:
        ours = [interval(mean_of_runs(x, "score")) for x in of_each]
    else:
        ours = bootstrap_intervals(paper, returns, generator)
    _put(table, "ours", ours)
    table["ours_method"] = ours[0].method
    table["best_setting"] = paper(returns, best="setting")
    _put(table, "iqm", bootstrap_intervals(_iqm_of_variants, scaled, generator))
    if reference is not None:
        if seeds < FEW_SEEDS:
            pairs = [paired_difference(x, of_each[reference], "score") for x in of_each]
            apart = [interval(pair) for pair in pairs]
        else:
            apart = bootstrap_intervals(
                lambda scores: paper(scores) - paper(scores)[..., reference, None],
                returns,
                generator,
            )
        _put(table, "to_reference", apart)
        # A variant minus itself has no uncertainty, and no interval either.
        columns = ["to_reference", "to_reference_low", "to_reference_high"]
        table.loc[reference, columns] = [0.0, nan, nan]
    if seeds > PAPER_SEEDS:
        redrawn = redrawn_statistic(returns, untrained, generator, PAPER_SEEDS)
        quantiles = np.quantile(redrawn, [0.025, 0.5, 0.975], axis=0)
        table[["redrawn_low", "redrawn_median", "redrawn_high"]] = quantiles.T
    return table


def _iqm_of_variants(scores: Array) -> Array:
    """``[..., E, V, S]`` → ``[..., V]``."""
    return iqm(np.moveaxis(scores, -2, -3))


def _put(table: pd.DataFrame, name: str, intervals: Iterable[Interval]) -> None:
    """Set the columns ``name, name_low, name_high``."""
    columns = pd.DataFrame([bounds(name, interval) for interval in intervals])
    table[list(columns)] = columns.to_numpy()


def seed_scores(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """The paper's statistic of each seed alone: ``variant, seed, score``, 1 = the best run."""
    envs = table1_envs(study, measures)
    if not envs:
        return pd.DataFrame(columns=["variant", "seed", "score"])
    returns = matrix(study, measures, "score", envs)
    untrained = matrix(study, measures, "untrained", envs)[:, 0, 0]
    of_seed = normalise(returns, untrained, returns.max(axis=(1, 2))).mean(axis=0)
    keys = pd.MultiIndex.from_product([study.variants, study.seeds], names=["variant", "seed"])
    return pd.DataFrame({"score": of_seed.reshape(-1)}, index=keys).reset_index()
