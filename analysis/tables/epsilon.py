"""The ε table: the chapter's words, and what was measured beneath them."""

from math import isinf, isnan
from typing import Any

import numpy as np
import pandas as pd

from analysis.study import Study
from analysis.summaries import OVERALL, runs_text, scale_text
from analysis.summaries.epsilon import (
    GROUPS,
    LEAST_LEVEL,
    ROWS,
    Row,
    chapter_epsilon,
    epsilon_of,
    epsilon_summary,
    epsilon_trends,
)
from analysis.tables import NONE, Table, number, p_text, with_interval
from replicate.messages import counted

NEVER = "never"
TREND = "trend with ε"


def make(study: Study, measures: pd.DataFrame) -> Table:
    """One row per measure, one column per width of the clip, over all environments."""
    summary = epsilon_summary(study, measures)
    summary = summary[summary.env == OVERALL]
    trends = epsilon_trends(study, measures, np.random.default_rng(0))
    rows = []
    for group, title in GROUPS.items():
        rows.append(_words(study, title, group))
        for row in [row for row in ROWS if row.group == group]:
            part = summary[summary.measure == row.label]
            cells = {measured.label: cell(row, measured) for measured in part.itertuples()}
            rows.append({"measure": row.label, **cells, TREND: _trend(trends, row.label)})
    rows.append(_words(study, "Use", "use"))
    data = pd.concat([summary, _as_rows(trends)], ignore_index=True)
    return Table(data, pd.DataFrame(rows), _caption(study, measures))


def _words(study: Study, title: str, column: str) -> dict[str, str]:
    """The chapter's words for each width."""
    words = dict(zip(chapter_epsilon().epsilon, chapter_epsilon()[column], strict=True))
    cells = {study.labels[v]: words.get(e, NONE) for v, e in epsilon_of(study).items()}
    return {"measure": f"{title}: the chapter", **cells, TREND: ""}


def cell(row: Row, measured: Any) -> str:
    """Estimate and interval; what is counted, in numbers of runs.

    Args:
        measured: a row of ``epsilon_summary``.

    """
    if measured.runs == 0:
        return NONE
    if row.kind == "median":
        there = f"{measured.hits:.0f} of {measured.runs} there"
        if isnan(measured.estimate):
            return there
        middle = NEVER if isinf(measured.estimate) else number(measured.estimate, 0)
        return f"{middle} ({there})"
    if row.kind == "share":
        bounds = f"[{number(measured.low, 2)}, {number(measured.high, 2)}]"
        return f"{measured.hits:.0f} of {measured.runs} {bounds}"
    if row.kind == "spread":
        return number(measured.estimate, 2)
    decimals = None if row.kind == "geometric mean" else 2
    return with_interval(measured.estimate, measured.low, measured.high, decimals)


def _trend(trends: pd.DataFrame, measure: str) -> str:
    for row in trends.itertuples():
        if row.measure == measure:
            return f"{row.claim}: τ = {number(row.tau, 2)}, p {_equals(p_text(row.p_holm))}"
    return NONE


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _as_rows(trends: pd.DataFrame) -> pd.DataFrame:
    """Trends as rows of the tidy table: the variant is "trend", the estimate Kendall's τ."""
    keys = {"env": OVERALL, "variant": "trend", "label": "trend", "method": "permutation; τ"}
    return trends.rename(columns={"tau": "estimate"}).assign(**keys)


def meanings(study: Study, measures: pd.DataFrame) -> str:
    """What the rows are: for the captions of both tables."""
    return (
        "Update size: geometric means over updates and runs of KL(old‖new) and of |r − 1| (mean "
        "and 99 % quantile of a batch), held within [1e-8, 1e2]; mean share of samples with |r − 1|"
        " > ε (0.2 without a clip). Speed: mean u over the first quarter of the run; env steps "
        "until two consecutive twentieths of the run reach u = 0.5, and how many runs got there. "
        "Stability: u of the last tenth; runs that were ruined or collapsed (a run that never "
        "learns is neither); standard deviation of the last tenth's u over seeds, and largest fall "
        f"of u, relative to the highest u reached (at least {LEAST_LEVEL:g}). "
        f"{scale_text(study, measures)}"
    )


INTERVALS = (
    "Brackets: 95 % interval about other seeds on the same environments: t, of shares "
    "Clopper-Pearson's, over runs taken as alike; not corrected for several comparisons."
)


def _caption(study: Study, measures: pd.DataFrame) -> str:
    clipped = sum(not isnan(e) for e in epsilon_of(study).values())
    return (
        f"{study.plan['title']}: the chapter's words, and what was measured over all environments. "
        f"{meanings(study, measures)} {INTERVALS} Trend: whether the measure rises or falls "
        f"as the chapter claims along the {counted(clipped, 'width')} of the clip, without “no "
        "clip”: Kendall's τ, mean over environment × seed (for the spread: over environments; 1 is "
        "the order claimed everywhere, −1 its reverse), and the one-sided p of permuting ε within "
        "them, adjusted by Holm for all trends in the table. A small p speaks for some step of the "
        f"order, not for each; a large one for nothing. {runs_text(study, measures)}"
    )
