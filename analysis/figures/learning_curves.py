"""Learning curves: the mean over seeds with its interval, and every seed."""

import sys
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis import style
from analysis.curves import binned
from analysis.figures import Drawing, main, variant_groups
from analysis.statistics import interval, mean_estimate
from analysis.study import Study
from analysis.summaries import count

KEYS = ["env", "variant", "env_step"]


def curves(study: Study) -> pd.DataFrame:
    """One row per environment, variant and bin of env steps.

    Returns:
        ``env, variant, env_step`` (middle of the bin), ``mean, low, high`` (over seeds; 95 %
        t-interval) and ``seed_0, seed_1, …``, raw undiscounted returns.  A seed is empty where no
        episode ended in the bin, or after it diverged; then so is the mean: a mean over those that
        are left would rise when a bad run ends.

    """
    wide = binned(study.episodes, study.total_env_steps).pivot(
        index=KEYS, columns="seed", values="episodic_return"
    )
    wide = wide.reindex(columns=study.seeds).astype("float64")
    complete = wide.dropna()
    intervals = [interval(mean_estimate(row, "return")) for row in complete.to_numpy()]
    wide.columns = [f"seed_{seed}" for seed in wide.columns]
    table = wide.reset_index()
    for place, name in enumerate(["mean", "low", "high"]):
        bounds = [(i.estimate, i.low, i.high)[place] for i in intervals]
        column = pd.Series(bounds, index=complete.index, dtype="float64").reindex(wide.index)
        table.insert(len(KEYS) + place, name, column.to_numpy())
    return table


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel per environment; with many variants, one column of panels per kind of them."""
    table = curves(study)
    groups = variant_groups(study)
    diverged = int(measures.diverged.sum())
    note = (
        f"Thick: mean over {count(len(study.seeds), 'seed')}; band: 95 % t-interval of the mean; "
        "thin: every seed"
        + (f"; ×: diverged ({diverged} of {len(measures)} runs)." if diverged else ".")
    )
    if len(groups) == 1:
        figure = _one_panel_each(study, table, note)
    else:
        figure = _grid(study, table, groups, note)
    title = study.plan["title"]
    caption = (
        f"{title}: learning curves. {note} Each point is the mean raw, undiscounted return of the "
        f"training episodes that ended in its bin of env steps. {study.total_env_steps:,} env "
        f"steps per run, recipe {study.recipe}. Where a seed has no episode in a bin, or has "
        "diverged, no mean is drawn; a band wider than twice the range of the seeds is cut."
    )
    return Drawing(study.in_order(table), figure, caption)


def _one_panel_each(study: Study, table: pd.DataFrame, note: str) -> Figure:
    single = len(study.envs) == 1
    size = (6.4, 4.0) if single else (3.2, 2.6)
    figure, axes = style.wrapped_panels(len(study.envs), *size, sharex=True)
    looks = style.lines(study.variants)
    for axis, env in zip(axes, study.envs, strict=True):
        panel(axis, study, table, env, study.variants)
        axis.set_title(study.env_labels[env])
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("return")
    for axis in axes[(len(axes) - 1) // style.COLUMNS * style.COLUMNS :]:
        axis.set_xlabel("env steps")
    style.legend_below(figure, looks, study.labels, note)
    return figure


def _grid(study: Study, table: pd.DataFrame, groups: dict[str, list[str]], note: str) -> Figure:
    """Rows are environments, which have one scale each; columns are kinds of variants."""
    height = 3.2 if len(study.envs) == 1 else 2.1
    figure, rows = style.panels(
        len(study.envs), len(groups), 3.8, height, above=1.2, sharex=True, sharey="row"
    )
    for axes, env in zip(rows, study.envs, strict=True):
        for axis, variants in zip(axes, groups.values(), strict=True):
            panel(axis, study, table, env, variants)
        axes[0].set_ylabel(f"{study.env_labels[env]}\nreturn", fontsize="small")
    for axis, (heading, variants) in zip(rows[0], groups.items(), strict=True):
        style.legend_above(axis, style.lines(variants), study.labels, heading)
    for axis in rows[-1]:
        axis.set_xlabel("env steps")
    style.add_note(figure, note)
    return figure


def panel(axis: Axes, study: Study, table: pd.DataFrame, env: str, variants: Iterable[str]) -> None:
    """The curves of some variants on one environment."""
    axis.set_gid(f"env-{env}")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    diverged = {
        (run["variant"], run["seed"])
        for run in study.runs
        if run["env"] == env and run["status"] == "diverged"
    }
    for variant, look in style.lines(variants).items():
        rows = table[(table.env == env) & (table.variant == variant)]
        for seed in study.seeds:
            course = rows[["env_step", f"seed_{seed}"]].dropna()
            axis.plot(*course.to_numpy().T, color=look["color"], **style.SEED_LINE)
            if (variant, seed) in diverged and len(course):
                axis.plot(*course.to_numpy()[-1], "x", color=look["color"], ms=5)
        style.band(axis, rows.env_step, rows.low, rows.high, look["color"])
        axis.plot(rows.env_step, rows["mean"], lw=1.8, **look)
    axis.set_ylim(*_limits(study, table[table.env == env]))


def _limits(study: Study, rows: pd.DataFrame) -> tuple[float, float]:
    """Range of the seeds, and of the bands as far as these do not make it twice as long.

    With two seeds an interval is 13 standard errors to either side.
    """
    seeds = rows[[f"seed_{seed}" for seed in study.seeds]].to_numpy()
    if not np.isfinite(seeds).any():
        return 0.0, 1.0
    least, most = np.nanmin(seeds), np.nanmax(seeds)
    half = (most - least) / 2
    low = min(least, max(rows.low.fillna(least).min(), least - half))
    high = max(most, min(rows.high.fillna(most).max(), most + half))
    margin = (high - low) / 20 or 1.0
    return float(low - margin), float(high + margin)


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
