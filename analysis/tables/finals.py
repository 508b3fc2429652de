"""Final returns: per environment and variant the mean, every seed, and what went wrong."""

import math

import numpy as np
import pandas as pd

from analysis.measures import LEAST_SPREAD_U, WORST
from analysis.statistics import Estimate, interval, mean_estimate
from analysis.study import Study
from analysis.summaries import bounds, runs_text, scale_text
from analysis.tables import INTERVALS, NONE, Table, number, with_interval

ALL_SEEDS = True
"""Every environment stands alone."""
UNKNOWN = Estimate(math.nan, math.nan, 1.0, 0, "return")


def summary(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """Per environment × variant: what the runs are worth, and what a mean hides.

    The standard deviation over seeds counts as 0.01 u where it is less: runs that all reach the
    highest return do not make a mean certain.

    Returns:
        ``env, variant, label, mean, mean_low, mean_high`` (return; t interval over seeds), ``u,
        u_low, u_high`` (the same of u, held at −1), ``finals`` (return of every seed), ``seeds``,
        ``episodes_min, episodes_max`` (that they are over), ``ruined, collapsed, diverged`` (runs;
        the first two count what diverged).

    """
    rows = []
    for (env, variant), runs in measures.groupby(["env", "variant"], sort=False):
        u = runs.u.clip(lower=WORST)
        scaled = bool(u.notna().all())
        unit = float((runs.reference_return - runs.untrained).iloc[0]) if scaled else 0.0
        # Without an episode there is none, and nothing to stand in where the untrained is unknown.
        known = bool(np.isfinite(runs.final).all())
        final = mean_estimate(runs.final, "return", LEAST_SPREAD_U * unit) if known else UNKNOWN
        rows.append(
            {
                "env": env,
                "variant": variant,
                "label": study.labels[variant],
                **bounds("mean", interval(final)),
                **(bounds("u", interval(mean_estimate(u, "u", LEAST_SPREAD_U))) if scaled else {}),
                "finals": " ".join(f"{final:.6g}" for final in runs.final),
                "seeds": len(runs),
                "episodes_min": runs.final_episodes.min(),
                "episodes_max": runs.final_episodes.max(),
                # Without a scale they are not known.
                "ruined": int(runs.ruined.sum()) if scaled else None,
                "collapsed": int(runs.collapsed.sum()) if scaled else None,
                "diverged": int(runs.diverged.sum()),
            }
        )
    columns = ["u", "u_low", "u_high", "ruined", "collapsed"]
    table = pd.DataFrame(rows)
    missing = [column for column in columns if column not in table]
    return study.in_order(table.assign(**dict.fromkeys(missing, float("nan"))))


def make(study: Study, measures: pd.DataFrame) -> Table:
    """The table of the final returns."""
    table = summary(study, measures)
    rows = [
        {
            "environment": study.env_labels[row.env],
            "variant": row.label,
            "mean return": with_interval(row.mean_, row.mean_low, row.mean_high),
            "u": with_interval(row.u, row.u_low, row.u_high, decimals=2),
            "every seed": "; ".join(number(float(final)) for final in row.finals.split()),
            "episodes": f"{row.episodes_min}"
            if row.episodes_min == row.episodes_max
            else f"{row.episodes_min} to {row.episodes_max}",
            "ruined / collapsed / diverged": " / ".join(
                NONE if pd.isna(n) else f"{n:.0f}"
                for n in (row.ruined, row.collapsed, row.diverged)
            )
            + f" of {row.seeds}",
        }
        for row in table.rename(columns={"mean": "mean_"}).itertuples()
    ]
    caption = (
        f"{study.plan['title']}: final returns. Of a run: the mean raw, undiscounted return of the "
        "training episodes that ended in the last 10 % of env steps, or of the last one "
        f"(“episodes” says how many). {INTERVALS}: t interval over seeds, not corrected for "
        f"several comparisons. {scale_text(study, measures)} Ruined: u more than 0.25 below 0 "
        "and below where its variant began. Collapsed: u below half of what an earlier twentieth "
        "of the run had reached, if that was 0.25 or more and four standard errors above 0. A "
        "diverged run counts as both, and its return as the one of u = −1 at most; a run that "
        "never learns is neither. "
        f"{runs_text(study, measures)}"
    )
    return Table(table, pd.DataFrame(rows), caption)
