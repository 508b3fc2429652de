"""Performance profiles: how many runs got how far, with nothing averaged away."""

import sys

import numpy as np
import pandas as pd

from analysis import style
from analysis.figures import Drawing, main, variant_groups
from analysis.statistics import performance_profile_band
from analysis.study import Study
from analysis.summary import FEW_SEEDS, count, matrix, normalised_envs, provenance

LEAST = -0.2
"""Normalised score at the left edge: some way below the untrained policy's 0."""
STEP = 0.01


def profiles(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per variant and normalised score τ.

    Returns:
        ``variant, normalised_score, share`` (of runs, over seeds and environments, above τ),
        ``low, high`` (95 % percentile bootstrap, seeds redrawn on each environment).

    """
    envs = normalised_envs(study, scores)
    if not envs:
        columns = ["variant", "normalised_score", "share", "low", "high"]
        return pd.DataFrame(columns=columns, dtype="float64")
    runs = matrix(study, scores, "normalised", envs)
    most = max(1.0, np.ceil(runs.max() * 10) / 10)
    thresholds = np.round(np.arange(LEAST, most + STEP / 2, STEP), 2)
    parts = []
    for place, variant in enumerate(study.variants):
        # One seed for all variants: a drawing does not depend on what is drawn beside it.
        band = performance_profile_band(runs[:, place], thresholds, np.random.default_rng(0))
        parts.append(
            pd.DataFrame(
                {
                    "variant": variant,
                    "normalised_score": thresholds,
                    "share": band.estimate,
                    "low": band.low,
                    "high": band.high,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(study: Study, scores: pd.DataFrame) -> Drawing:
    """One panel, or one per kind of variants where there are many."""
    table = profiles(study, scores)
    groups = variant_groups(study)
    size = (6.4, 4.0) if len(groups) == 1 else (3.8, 3.2, 1.2)
    figure, (axes,) = style.panels(1, len(groups), *size, sharex=True, sharey=True)
    for axis, (heading, variants) in zip(axes, groups.items(), strict=True):
        looks = style.lines(variants)
        for variant, look in looks.items():
            rows = table[table.variant == variant]
            style.band(axis, rows.normalised_score, rows.low, rows.high, look["color"])
            axis.plot(rows.normalised_score, rows.share, lw=1.8, **look)
        axis.set_xlabel("normalised score τ")
        axis.set_ylim(-0.02, 1.02)
        if len(groups) > 1:
            style.legend_above(axis, looks, study.labels, heading)
    axes[0].set_ylabel("share of runs above τ")
    runs = len(normalised_envs(study, scores)) * len(study.seeds)
    note = f"{count(runs, 'run')} per variant; band: pointwise 95 % bootstrap interval over seeds."
    if len(groups) == 1:
        style.legend_below(figure, style.lines(study.variants), study.labels, note)
    else:
        style.add_note(figure, note)
    few = len(study.seeds) < FEW_SEEDS
    caption = (
        f"{study.plan['title']}: performance profiles, the share of runs (seeds × environments) "
        f"whose normalised score is above τ; higher is better at every τ. {note} "
        + (f"Below {FEW_SEEDS} seeds these intervals are too narrow. " if few else "")
        + provenance(study, scores)
    )
    return Drawing(table, figure, caption)


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
