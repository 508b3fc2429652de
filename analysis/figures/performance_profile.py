"""Performance profiles: how many runs got how far, with nothing averaged away."""

import numpy as np
import pandas as pd

from analysis import style
from analysis.figures import Drawing, front, variant_groups
from analysis.measures import WORST
from analysis.run_statistics import performance_profile
from analysis.statistics import FEW_SEEDS, Array, bootstrap_intervals
from analysis.study import Study
from analysis.summaries import held_u, runs_text, scale_text, scaled_envs
from replicate.messages import counted

STEP = 0.02


def profiles(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """One row per variant and threshold τ.

    Returns:
        ``variant, u`` (τ), ``share`` (of runs, over seeds and environments, above τ), ``low, high``
        (95 % percentile bootstrap, seeds redrawn on each environment; empty below 10 seeds).

    """
    envs = scaled_envs(study, measures)
    if not envs:
        return pd.DataFrame(columns=["variant", "u", "share", "low", "high"], dtype="float64")
    runs = held_u(study, measures, envs)
    most = max(1.0, np.ceil(runs.max() * 10) / 10)
    thresholds = np.round(np.arange(WORST, most + STEP / 2, STEP), 2)

    def profile(values: Array) -> Array:
        return performance_profile(values, thresholds)

    parts = []
    for place, variant in enumerate(study.variants):
        # One seed for all variants: a drawing does not depend on what is drawn beside it.
        intervals = bootstrap_intervals(profile, runs[:, place], np.random.default_rng(0))
        parts.append(
            pd.DataFrame(
                {
                    "variant": variant,
                    "u": thresholds,
                    "share": [interval.estimate for interval in intervals],
                    "low": [interval.low for interval in intervals],
                    "high": [interval.high for interval in intervals],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel, or one per kind of variants where there are many."""
    table = profiles(study, measures)
    groups = variant_groups(study)
    height = 3.4 if len(groups) == 1 else 3.0
    figure, axes = style.wrapped_panels(len(groups), height, sharex=True, sharey=True)
    for axis, (heading, variants) in zip(axes, groups.items(), strict=True):
        looks = style.lines(variants, front(study))
        for variant, look in looks.items():
            rows = table[table.variant == variant]
            style.band(axis, rows.u, rows.low, rows.high, look["color"])
            axis.plot(rows.u, rows.share, **look)
        axis.set_xlabel("u (0 untrained, 1 published)")
        axis.set_ylim(-0.02, 1.02)
        if len(groups) > 1:
            style.legend_above(axis, looks, study.labels, heading)
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("share of runs above")
    runs = len(scaled_envs(study, measures)) * len(study.seeds)
    few = len(study.seeds) < FEW_SEEDS
    band = "" if few else "; band: pointwise 95 % bootstrap interval over seeds"
    note = f"{counted(runs, 'run')} per variant{band}."
    if len(groups) == 1:
        style.legend_below(figure, style.lines(study.variants, front(study)), study.labels, note)
    else:
        style.add_note(figure, note)
    caption = (
        f"{study.plan['title']}: performance profiles, the share of runs (seeds × environments) "
        f"whose u is above a threshold; higher is better at every one. {note} "
        + (f"With fewer than {FEW_SEEDS} seeds there is no interval. " if few else "")
        + f"{scale_text(study, measures)} {runs_text(study, measures)}"
    )
    return Drawing(table, figure, caption)
