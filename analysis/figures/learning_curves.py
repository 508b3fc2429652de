"""Learning curves: every seed, and the mean over them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis import style
from analysis.curves import binned, number_of_bins
from analysis.figures import Drawing, front, variant_groups
from analysis.statistics import FEW_SEEDS, Array, interval, mean_estimate
from analysis.study import Study
from analysis.summaries import seeds_of_each, seeds_text
from replicate.messages import DataError, counted

KEYS = ["env", "variant", "env_step"]
BELOW = 0.5
"""How far a picture reaches below the untrained policy, as a share of what is above it."""
BOUNDS = ["mean", "low", "high"]
WITHOUT = [*KEYS, *BOUNDS]
ALL_SEEDS = True
"""Every panel is of one environment."""


def curves(study: Study) -> pd.DataFrame:
    """One row per environment, variant and bin of env steps.

    Returns:
        ``env, variant, env_step`` (middle of the bin), ``mean`` (over seeds), ``low, high`` (95 %
        t-interval of the mean, within the range of the environment's episodes; empty below 10
        seeds) and ``seed_0, seed_1, …``, raw undiscounted returns.  A seed is empty where no
        episode ended in the bin, after it diverged, and on an environment that does not have it;
        after it diverged so is the mean: a mean over those that are left would rise when a bad run
        ends.

    """
    tables = [_curves_on_one(study.on(env)) for env in study.envs]
    seeds = sorted({seed for table in tables for seed in table.columns if isinstance(seed, int)})
    table = pd.concat(tables, ignore_index=True).reindex(columns=[*KEYS, *BOUNDS, *seeds])
    return table.rename(columns={seed: f"seed_{seed}" for seed in seeds})


def _curves_on_one(study: Study) -> pd.DataFrame:
    """:func:`curves` on the only environment of a study; seeds are numbers."""
    episodes = study.episodes
    wide = binned(episodes, study.total_env_steps).pivot(
        index=KEYS, columns="seed", values="episodic_return"
    )
    wide = wide.reindex(columns=study.seeds).astype("float64")
    complete = wide.dropna()
    rows = complete.to_numpy()
    curve = pd.DataFrame(np.nan, index=complete.index, columns=BOUNDS)
    curve["mean"] = rows.mean(axis=1)
    if len(study.seeds) >= FEW_SEEDS:
        bounds = [interval(mean_estimate(row, "return")) for row in rows]
        least, most = episodes.episodic_return.min(), episodes.episodic_return.max()
        curve["low"] = [max(bound.low, least) for bound in bounds]
        curve["high"] = [min(bound.high, most) for bound in bounds]
    return pd.concat([curve.reindex(wide.index), wide], axis=1).reset_index()


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel per environment; of one environment with many variants, one per kind of them.

    Raises:
        DataError: many variants, and several environments.

    """
    groups = variant_groups(study)
    if len(groups) > 1 and len(study.envs) > 1:
        raise DataError(
            f"{study.name}: too many variants for one picture of all environments; draw "
            f"figures/{study.envs[0]}/learning_curves and so on"
        )
    table = curves(study)
    untrained = measures.groupby("env").untrained.first().to_dict()
    diverged = int(measures.diverged.sum())
    note = (
        f"Thin: every seed ({seeds_text(study)}); thick: their mean{_band_text(study, table)}; "
        "dotted: the untrained policy"
        + (f"; ×: diverged ({diverged} of {len(measures)} runs)." if diverged else ".")
    )
    if len(groups) == 1:
        figure = _one_panel_each(study, table, untrained, note)
    else:
        figure = _one_panel_a_kind(study, table, groups, untrained, note)
    title = study.plan["title"]
    where = f" on {next(iter(study.env_labels.values()))}" if len(study.envs) == 1 else ""
    caption = (
        f"{title}: learning curves{where}, return per episode against env steps. {note} Each point "
        "is the mean raw, undiscounted return of the training episodes that ended in one of "
        f"{number_of_bins(study.total_env_steps)} equal parts of the run. "
        f"{study.total_env_steps:,} env steps per run, recipe {study.recipe}. Where a seed has no "
        "episode, or has diverged, no mean is drawn. "
        + (
            "A band ends at the least and the largest return of any episode. "
            if table.low.notna().any()
            else ""
        )
        + "Far below the untrained policy the picture ends, and an arrow says how many runs go on "
        "below it."
    )
    return Drawing(study.in_order(table), figure, caption)


def _band_text(study: Study, table: pd.DataFrame) -> str:
    if not table.low.notna().any():
        return ""
    where = "" if min(seeds_of_each(study)) >= FEW_SEEDS else f", from {FEW_SEEDS} seeds on"
    return f"; band: 95 % t-interval of the mean{where}"


def _one_panel_each(
    study: Study, table: pd.DataFrame, untrained: Mapping[str, float], note: str
) -> Figure:
    height = 3.2 if len(study.envs) == 1 else 2.3
    figure, axes = style.wrapped_panels(len(study.envs), height, sharex=True)
    for axis, env in zip(axes, study.envs, strict=True):
        panel(axis, study, table, env, study.variants, untrained[env])
        axis.set_title(study.env_labels[env])
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("return per episode")
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("env steps")
    style.legend_below(figure, style.lines(study.variants, front(study)), study.labels, note)
    return figure


def _one_panel_a_kind(
    study: Study,
    table: pd.DataFrame,
    groups: dict[str, list[str]],
    untrained: Mapping[str, float],
    note: str,
) -> Figure:
    """Kinds of variants side by side, on the only environment.

    Names that are too long to stand side by side would squeeze the panels: then they stand below
    each other.
    """
    (env,) = study.envs
    if style.fit_beside(study.labels.values()):
        columns = style.COLUMNS
        figure, axes = style.wrapped_panels(len(groups), 2.9, sharex=True, sharey=True)
    else:
        columns = 1
        figure, rows = style.panels(len(groups), 1, 3.3, sharex=True, sharey=True)
        axes = [axis for (axis,) in rows]
    axes[0].set_ylabel(f"{study.env_labels[env]}\nreturn per episode", fontsize="small")
    for axis, (heading, variants) in zip(axes, groups.items(), strict=True):
        panel(axis, study, table, env, variants, untrained[env])
        style.legend_above(axis, style.lines(variants, front(study)), study.labels, heading)
    for axis in axes[-columns:]:
        axis.set_xlabel("env steps")
    style.add_note(figure, note)
    return figure


def panel(
    axis: Axes,
    study: Study,
    table: pd.DataFrame,
    env: str,
    variants: Sequence[str],
    untrained: float,
) -> None:
    """The curves of some variants on one environment."""
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlim(0, study.total_env_steps)
    axis.axhline(untrained, color="0.35", lw=0.9, ls=":", zorder=2)
    diverged = {
        (run["variant"], run["seed"])
        for run in study.runs
        if run["env"] == env and run["status"] == "diverged"
    }
    on_env = table[table.env == env]
    seeds = on_env.drop(columns=WITHOUT)
    for variant, look in style.lines(variants, front(study)).items():
        of_variant = (on_env.variant == variant).to_numpy()
        rows, x = on_env[of_variant], on_env.env_step.to_numpy()[of_variant]
        courses = {}
        for seed, y in zip(seeds, seeds.to_numpy()[of_variant].T, strict=True):
            if np.isfinite(y).any():
                courses[seed] = np.column_stack([x, y])[np.isfinite(y)]
        behind = {"colors": [look["color"]], "zorder": look["zorder"] - 0.5}
        axis.add_collection(
            LineCollection(list(courses.values()), **style.SEED_LINE, **behind), autolim=False
        )
        for seed, course in courses.items():
            if (variant, int(seed.removeprefix("seed_"))) in diverged:
                axis.plot(*course[-1], "x", color=look["color"], ms=6, mew=1.6, zorder=6)
        if rows.low.notna().any():
            style.band(axis, rows.env_step, rows.low, rows.high, look["color"])
        axis.plot(x, rows["mean"], **look)
    # One scale for all panels of an environment.
    low, high = limits(on_env, untrained)
    axis.set_ylim(low, high)
    below = _runs_below(on_env[on_env.variant.isin(variants)], low)
    if below:
        text = f"▼ {counted(below, 'run')} below"
        box = {"facecolor": "w", "alpha": 0.85, "lw": 0, "pad": 1}
        where: dict[str, Any] = {"transform": axis.transAxes, "ha": "right", "zorder": 7}
        axis.text(0.98, 0.04, text, fontsize="small", bbox=box, **where)


def limits(rows: pd.DataFrame, untrained: float) -> tuple[float, float]:
    """From the least to the largest return, but not far below those of policies that know nothing.

    These are the untrained policy and the runs' first values, in their median.

    Args:
        rows: of :func:`curves`, on one environment.
        untrained: return of the untrained policy.

    """
    returns = rows.drop(columns=WITHOUT)
    known = _finite(returns)
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if np.isfinite(untrained):
        high = max(high, untrained)
        first = _finite(returns[rows.env_step == rows.env_step.min()])
        start = min(untrained, float(np.median(first))) if len(first) else untrained
        low = min(start, max(low, start - BELOW * (high - start)))
    margin = (high - low) / 20 or 1.0
    return low - margin, high + margin


def _finite(returns: pd.DataFrame) -> Array:
    values: Array = returns.to_numpy(dtype=np.float64)
    known: Array = values[np.isfinite(values)]
    return known


def _runs_below(rows: pd.DataFrame, low: float) -> int:
    """Runs of which some point is not in the picture."""
    seeds = rows.drop(columns=WITHOUT).lt(low)
    return int(seeds.groupby(rows.variant).any().to_numpy().sum())
