"""The ε table of each environment."""

import pandas as pd

from analysis.study import Study
from analysis.summaries import OVERALL, runs_text
from analysis.summaries.epsilon import ROWS, epsilon_summary
from analysis.tables import Table
from analysis.tables.epsilon import INTERVALS, NEVER, cell, meanings

ALL_SEEDS = True
"""Every environment stands alone."""


def make(study: Study, measures: pd.DataFrame) -> Table:
    """One row per environment and measure, one column per width of the clip."""
    summaries = [
        epsilon_summary(study.on(env), measures[measures.env == env]) for env in study.envs
    ]
    summary = pd.concat(summaries, ignore_index=True)
    summary = summary[summary.env != OVERALL]
    rows = []
    for env in study.envs:
        for row in ROWS:
            part = summary[(summary.env == env) & (summary.measure == row.label)]
            cells = {measured.label: cell(row, measured) for measured in part.itertuples()}
            rows.append({"environment": study.env_labels[env], "measure": row.label, **cells})
    caption = (
        f"{study.plan['title']}, environment by environment. {meanings(study, measures)} Of the "
        f"env steps to u = 0.5 the median, “{NEVER}” where fewer than half of the runs got there. "
        f"{INTERVALS} {runs_text(study, measures)}"
    )
    return Table(summary, pd.DataFrame(rows), caption)
