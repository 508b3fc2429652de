"""The ε table: the chapter's words, and what was measured beneath them."""

import sys
from math import isnan

import numpy as np
import pandas as pd

from analysis.study import Study
from analysis.summary import (
    GROUPS,
    MEASURES,
    OVERALL,
    chapter_epsilon,
    count,
    epsilon_of,
    epsilon_summary,
    epsilon_trends,
    provenance,
)
from analysis.tables import INTERVALS, NONE, Table, main, number, p_text, with_interval

TREND = "trend claimed: Kendall's τ, p (Holm)"


def make(study: Study, scores: pd.DataFrame) -> Table:
    """One row per measure, one column per width of the clip."""
    summary = epsilon_summary(study, scores)
    trends = epsilon_trends(study, scores, np.random.default_rng(0))
    rows = []
    for env in [OVERALL, *study.envs]:
        for group, title in GROUPS.items():
            if env == OVERALL:
                rows.append(_words(study, title, group))
            for measure in [m for m in MEASURES if m.group == group]:
                part = summary[(summary.env == env) & (summary.measure == measure.label)]
                cells = {row.label: _cell(row, measure.decimals) for row in part.itertuples()}
                trend = _trend(trends, measure.label) if env == OVERALL else ""
                rows.append({"environment": env, "measure": measure.label, **cells, TREND: trend})
        if env == OVERALL:
            rows.append(_words(study, "Use", "use"))
    data = pd.concat([summary, _as_rows(trends)], ignore_index=True)
    return Table(data, pd.DataFrame(rows), _caption(study, scores))


def _words(study: Study, title: str, column: str) -> dict[str, str]:
    """The chapter's words for each width."""
    words = dict(zip(chapter_epsilon().epsilon, chapter_epsilon()[column], strict=True))
    cells = {study.labels[v]: words.get(e, NONE) for v, e in epsilon_of(study).items()}
    return {"environment": OVERALL, "measure": f"{title}, the chapter says", **cells, TREND: ""}


def _cell(row: pd.Series, decimals: int | None) -> str:
    """Estimate and interval; what is counted, in numbers of runs too."""
    if isnan(row.hits):
        return with_interval(row.estimate, row.low, row.high, decimals)
    if row.method == "median":
        middle = "never" if isnan(row.estimate) else number(row.estimate, decimals)
        return f"{middle} (not reached: {row.hits:.0f} of {row.runs})"
    return (
        f"{row.hits:.0f} of {row.runs} [{number(row.low, decimals)}, {number(row.high, decimals)}]"
    )


def _trend(trends: pd.DataFrame, measure: str) -> str:
    for row in trends.itertuples():
        if row.measure == measure:
            tau = with_interval(row.tau, row.tau_low, row.tau_high, decimals=2)
            return f"{row.claim}: {tau}, p {p_text(row.p_holm)}"
    return NONE


def _as_rows(trends: pd.DataFrame) -> pd.DataFrame:
    """Trends as rows of the tidy table: the variant is "trend", the estimate Kendall's τ."""
    names = {"tau": "estimate", "tau_low": "low", "tau_high": "high"}
    keys = {"env": OVERALL, "variant": "trend", "label": "trend", "method": "Page; Kendall's τ"}
    return trends.rename(columns=names).assign(**keys)


def _caption(study: Study, scores: pd.DataFrame) -> str:
    clipped = sum(not isnan(e) for e in epsilon_of(study).values())
    return (
        f"{study.plan['title']}: the chapter's words, and what was measured, first over all "
        "environments, then on each. Update size: means over updates of KL(old‖new), of |r − 1| "
        "and of the share of samples with |r − 1| > ε (0.2 without a clip). Speed: median env "
        "steps to half-way between the untrained policy and the best setting, where “never” is "
        "later than every number, with how many runs never got there; mean of the normalised "
        "learning curve over the first quarter of the run. Stability: standard deviation of "
        "normalised scores over seeds; largest fall of the normalised curve below an earlier peak; "
        f"runs that collapsed below half of their peak. {INTERVALS}, about other seeds on the "
        "same environments: t (on one) or Welch-Satterthwaite t (the mean over all); "
        "jackknife for the standard deviation (with 3 seeds on one environment where runs may "
        "collapse it holds the truth in 55 % of cases, on seven in 97 %); Wilson's for the share "
        "that collapsed, over runs taken as alike. Trend: Page's one-sided test of the order that "
        f"the chapter claims for {count(clipped, 'width')} of the clip, without “no clip”; blocks "
        "are environment × seed, or environments for the spread; τ = 1 is the order claimed in "
        "every block, −1 its reverse, with a bootstrap interval unless all blocks agree (too "
        "narrow below 10 seeds); p-values are adjusted by Holm for all trends in the table. A "
        "small p speaks for some "
        f"step of the order, not for each; a large one for nothing. {provenance(study, scores)}"
    )


if __name__ == "__main__":
    sys.exit(main(make, sys.argv[1:]))
