"""How far an update moves the policy: the distribution of KL(old‖new) over all updates."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis import style
from analysis.figures import Drawing, front
from analysis.measures import SIZE_RANGE, held
from analysis.statistics import share
from analysis.study import Study
from analysis.summaries import seeds_text
from replicate.messages import counted

ALL_SEEDS = True
"""Every panel is of one environment, and the caption counts updates."""
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "most": 1.0}
QUANTITIES = {"kl": "of the update", "filter_kl": "of the moving filter"}
FLOOR = SIZE_RANGE[0]
FILTER_COLOUR = "0.45"
LABEL = 22
"""Characters of a line of a variant's label."""


def sizes(study: Study) -> pd.DataFrame:
    """Per environment, variant and quantity: quantiles over all updates of all seeds.

    Returns:
        ``env, variant, quantity`` (``kl`` or ``filter_kl``, nats, held within [1e-8, 1e2]; not
        finite: the upper end), ``updates``, ``q05, q25, median, q75, q95, most``, and for TRPO
        ``bound`` (δ), ``bound_updates`` (all but those that a change of the run gave another δ) and
        ``above`` (how many of these are above it).

    """
    bounds = {v["name"]: v["algo"].get("max_kl", np.nan) for v in study.plan["variants"]}
    rows = []
    for (env, variant), updates in study.updates.groupby(["env", "variant"], sort=False):
        for quantity in QUANTITIES:
            values = pd.Series(held(updates[quantity], len(updates)), index=updates.index)
            bound = bounds[variant] if quantity == "kl" else np.nan
            bounded = values[_have_bound(study, variant, updates)]
            rows.append(
                {
                    "env": env,
                    "variant": variant,
                    "quantity": quantity,
                    "updates": len(values),
                    **{name: values.quantile(q) for name, q in QUANTILES.items()},
                    "bound": bound,
                    "bound_updates": np.nan if np.isnan(bound) else len(bounded),
                    "above": np.nan if np.isnan(bound) else (bounded > bound).sum(),
                }
            )
    return study.in_order(pd.DataFrame(rows))


def _have_bound(study: Study, variant: str, updates: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each update has the variant's δ, and not that of a change."""
    change = study.changes[variant]
    if change is None or "max_kl" not in change.algo:
        return pd.Series(True, index=updates.index)
    return ~updates["update"].map(lambda update: change.covers(update, study.num_updates))


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel per environment; one row per variant, its moving filter in grey below it."""
    table = sizes(study)
    height = 0.7 + 0.46 * len(study.variants)
    figure, axes = style.wrapped_panels(len(study.envs), height, sharex=True, sharey=True)
    looks = style.lines(study.variants, front(study))
    for axis, env in zip(axes, study.envs, strict=True):
        for place, variant in enumerate(study.variants):
            of_variant = table[(table.env == env) & (table.variant == variant)]
            rows = of_variant.set_index("quantity")
            _bar(axis, place - 0.14, rows.loc["kl"], looks[variant]["color"], 6)
            _bar(axis, place + 0.22, rows.loc["filter_kl"], FILTER_COLOUR, 3)
            bound = rows.bound["kl"]
            if np.isfinite(bound):
                axis.plot([bound, bound], [place - 0.45, place + 0.45], color="k", ls="--", lw=1.5)
        axis.set_title(study.env_labels[env])
    axes[0].set_xscale("log")
    axes[0].set_xlim(*_limits(table))
    labels = [
        fill(study.labels[variant], LABEL, break_on_hyphens=False) for variant in study.variants
    ]
    axes[0].set_yticks(range(len(labels)), labels, fontsize="small")
    axes[0].set_ylim(len(study.variants) - 0.5, -0.5)
    for axis in axes:
        axis.grid(False, axis="y")
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("KL(old‖new), nats")
    note = (
        "Line: 5–95 % of all updates; box: middle half; dot: median; ×: largest. "
        "Colour: the update, filter held. Grey: what the moving observation filter adds."
        + (" Dashed: TRPO's bound." if table.bound.notna().any() else "")
    )
    style.add_note(figure, note)
    caption = (
        f"{study.plan['title']}: mean KL(old‖new) over the batch, of each update of "
        f"{seeds_text(study)}, logarithmic. {note}{_trpo(study, table)}"
    )
    return Drawing(table, figure, caption)


def _bar(axis: Axes, y: float, row: "pd.Series[Any]", colour: Any, width: float) -> None:
    """5–95 % thin, 25–75 % thick, median and largest as marks; the scale ends at ``FLOOR``."""
    at = row[list(QUANTILES)].astype("float64").clip(lower=FLOOR)
    axis.plot([at.q05, at.q95], [y, y], color=colour, lw=1.4, solid_capstyle="butt")
    axis.plot([at.q25, at.q75], [y, y], color=colour, lw=width, solid_capstyle="butt")
    axis.plot(at.most, y, "x", color=colour, ms=4)
    axis.plot(at["median"], y, "o", mfc="w", mec=colour, ms=0.5 * width + 1.5, mew=1)


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """From the least 5 % quantile that is not 0 to the largest value."""
    low = table.q05[table.q05 > FLOOR].min()
    high = max(table.most.max(), table.bound.max(skipna=True))
    return (low / 3 if low > 0 else FLOOR, high * 3 if high > 0 else 1.0)


def _trpo(study: Study, table: pd.DataFrame) -> str:
    """The claim in numbers: how many updates were beyond the bound, how many steps accepted."""
    text = ""
    for variant, rows in table[table.bound.notna()].groupby("variant", sort=False):
        above, total = int(rows.above.sum()), int(rows.bound_updates.sum())
        updates = study.updates[study.updates.variant == variant]
        left_out = len(updates) - total
        over = (updates.kl.fillna(np.inf) > rows.bound.max()) & _have_bound(study, variant, updates)
        of_runs = over.groupby([updates.env, updates.seed]).any()
        # Updates of one run are not independent of each other.
        runs = share(int(of_runs.sum()), len(of_runs))
        accepted = int((updates.step_accepted > 0).sum())
        text += (
            f" {study.labels[variant]}: {above} of {total} updates above δ = {rows.bound.max():g}, "
            f"in {of_runs.sum()} of {counted(len(of_runs), 'run')} (95 % interval {runs.low:.0%} "
            f"to {runs.high:.0%})"
            + (f", {left_out} made with another δ left out" if left_out else "")
            + f"; {accepted} of {len(updates)} steps accepted (0 is a refused step), "
            f"{updates.backtracks.mean():.2f} backtracks on average."
        )
    return text
