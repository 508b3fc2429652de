"""Final return against step size: over how wide a range each method learns."""

import numpy as np
import pandas as pd

from analysis import style
from analysis.figures import Drawing
from analysis.measures import WORST
from analysis.study import Study
from analysis.summaries import held_u_on, runs_text, scale_text, scaled_envs
from analysis.summaries.step_sizes import METHODS, Sizes, serving, step_sizes

ALL_SEEDS = True
"""Every environment stands alone."""
HIGHEST = 1.5
"""End of the vertical axis; what lies beyond is drawn there."""


def finals(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """Per environment and variant: mean *final* u over seeds, its extremes, and whether it serves.

    Returns:
        ``env, method, variant, step_size`` (learning rate, √max_kl of TRPO), ``u, least, most,
        seeds, half_of_best`` (u) and ``serves``: in the range around its method's best step size.

    """
    envs, grids = scaled_envs(study, measures), _grids(study)
    places = {variant: place for place, variant in enumerate(study.variants)}
    if not grids:
        return pd.DataFrame(columns=["env", "method", "step_size", "u"])
    compared = [places[variant] for grid in grids.values() for variant in grid]
    rows = []
    for env in envs:
        of_env = held_u_on(study, measures, env)
        half = of_env[compared].mean(axis=-1).max() / 2
        for method, grid in grids.items():
            runs = of_env[[places[variant] for variant in grid]]
            low, high = serving(np.array(list(grid.values())), runs.mean(axis=-1), half)
            for (variant, size), finals_of in zip(grid.items(), runs, strict=True):
                rows.append(
                    {
                        "env": env,
                        "method": method,
                        "variant": variant,
                        "step_size": 10**size,
                        "u": finals_of.mean(),
                        "least": finals_of.min(),
                        "most": finals_of.max(),
                        "seeds": len(finals_of),
                        "half_of_best": half,
                        "serves": low <= size <= high and low < high,
                    }
                )
    return pd.DataFrame(rows)


def _grids(study: Study) -> Sizes:
    """Those of the methods that the study has."""
    return {method: grid for method, grid in step_sizes(study).items() if grid}


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel per environment; one line per method."""
    table = finals(study, measures)
    envs = list(dict.fromkeys(table.env)) if len(table) else []
    figure, axes = style.wrapped_panels(max(len(envs), 1), sharex=True, sharey=True)
    # Of all methods, so that each looks the same whatever others there are.
    every = style.lines(list(METHODS), "ppo")
    grids = _grids(study)
    looks = {method: every[method] for method in grids}
    for axis, env in zip(axes, envs, strict=False):
        of_env = table[table.env == env]
        for method, look in looks.items():
            rows = of_env[of_env.method == method]
            shown = rows[["u", "least", "most"]].clip(WORST, HIGHEST)
            axis.plot(rows.step_size, shown.u, marker="o", ms=3, **look)
            style.band(axis, rows.step_size, shown.least, shown.most, look["color"])
        axis.axhline(of_env.half_of_best.iloc[0], color="0.3", lw=1, ls=":")
        axis.set_title(study.env_labels[env])
        axis.set_xscale("log")
    axes[0].set_ylim(WORST - 0.05, HIGHEST + 0.05)
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("final, u")
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("step size (TRPO: √δ)")
    others = [study.labels[v] for v in study.variants if all(v not in g for g in grids.values())]
    note = (
        "Line: mean over seeds; area: least to largest. Dotted: "
        "half of the best mean of all; a method serves where it is above. The horizontal axes of "
        "different methods are not comparable, their widths are."
        + (f" Not drawn, of other methods: {', '.join(others)}." if others else "")
    )
    style.legend_below(figure, looks, METHODS, note)
    caption = (
        f"{study.plan['title']}: final return against step size. {note} "
        f"{scale_text(study, measures)} {runs_text(study, measures)}"
    )
    return Drawing(table, figure, caption)
