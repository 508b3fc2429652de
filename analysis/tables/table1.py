"""Table 1 of the PPO paper: published, ours with intervals, and the difference."""

import numpy as np
import pandas as pd

from analysis.statistics import FEW_SEEDS
from analysis.study import Study
from analysis.summaries import published, runs_text
from analysis.summaries.table1 import (
    PAPER_ENVS,
    PAPER_SEEDS,
    left_out,
    published_table1,
    table1_summary,
    unlike_the_paper,
)
from analysis.tables import INTERVALS, Table, number, with_interval
from replicate.messages import counted


def make(study: Study, measures: pd.DataFrame) -> Table:
    """The table of the paper beside ours."""
    generator = np.random.default_rng(0)
    literature = published_table1(published("ppo_table1"))
    summary = table1_summary(study, measures, literature, generator)
    unlike = unlike_the_paper(study, measures)

    def column(name: str) -> list[str]:
        values = summary[[name, f"{name}_low", f"{name}_high"]].to_numpy()
        return [with_interval(mean, low, high, decimals=2) for mean, low, high in values]

    def plain(name: str) -> list[str]:
        return [number(value, 2) for value in summary[name]]

    first = summary.iloc[0]
    seeds = counted(first.seeds, "seed")
    theirs = f"published ({len(PAPER_ENVS)} environments, {PAPER_SEEDS} seeds)"
    ours = f"ours ({'; '.join(unlike)}; {seeds})" if unlike else f"ours ({seeds})"
    shown = pd.DataFrame({"setting": summary.label, theirs: plain("published")})
    shown[ours] = column("ours")
    shown["ours − published" + (" (not like for like)" if unlike else "")] = plain("difference")
    if first.reference:
        shown[f"ours − ours of “{study.labels[first.reference]}”"] = [
            text if variant != first.reference else "reference"
            for variant, text in zip(summary.variant, column("to_reference"), strict=True)
        ]
    if first.seeds > PAPER_SEEDS:
        shown[f"with {PAPER_SEEDS} seeds drawn from ours: median, 95 % range"] = [
            with_interval(row.redrawn_median, row.redrawn_low, row.redrawn_high, decimals=2)
            for row in summary.itertuples()
        ]
    shown["ours, 1 = best setting"] = plain("best_setting")
    if first.seeds < FEW_SEEDS:
        shown["interquartile mean"] = plain("iqm")
    else:
        shown["interquartile mean"] = column("iqm")
    shown["runs"] = summary.runs.astype(str)
    shown["diverged"] = summary.diverged.astype(str)
    return Table(summary, shown, _caption(study, measures, first, unlike))


def _caption(study: Study, measures: pd.DataFrame, first: pd.Series, unlike: list[str]) -> str:
    alike = (
        f"Not comparable one to one with the published numbers: {'; '.join(unlike)}."
        if unlike
        else "The paper's environments (newer versions of them), env steps and recipe."
    )
    if first.seeds < PAPER_SEEDS:
        redrawn = f"The paper's own statistic needs {PAPER_SEEDS} seeds; here are fewer."
    elif first.seeds == PAPER_SEEDS:
        redrawn = (
            f"The paper's own statistic takes {PAPER_SEEDS} seeds: with no more than these "
            "there is no telling how others would have changed it."
        )
    else:
        redrawn = (
            f"Drawn: the paper's own statistic on {PAPER_SEEDS} seeds drawn from ours with "
            "replacement, for each environment and setting anew, 2,000 times, the best run found "
            "in each draw; other seeds would spread a little more."
        )
    method = (
        f"{first.ours_method}, the best run taken as given, no interval of the interquartile mean"
        if first.seeds < FEW_SEEDS
        else f"{first.ours_method} over seeds, the best run found in every resample, which pulls "
        "the interval upwards, as the best of a resample is at most the best; of the interquartile "
        "mean the best run taken as given"
    )
    return (
        f"{study.plan['title']}. Mean over environments and seeds of the score, scaled on each "
        "environment to 0 = untrained policy and 1 = the best single run of this table, as in "
        f"section 6.1 of the paper (arXiv 1707.06347), which gives no spread. {alike} "
        f"{INTERVALS} ({method}; differences paired by seed); they are about other seeds on the "
        "same environments and not corrected for several comparisons. A difference whose interval "
        f"holds 0 is no evidence that two settings are equal. {redrawn} "
        f"{runs_text(study, measures)}"
        f"{left_out(study, measures)}"
    )
