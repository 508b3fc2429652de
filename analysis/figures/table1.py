"""Table 1 of the PPO paper as a picture: published, ours with intervals, every seed."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis import style
from analysis.figures import Drawing
from analysis.statistics import FEW_SEEDS
from analysis.study import Study
from analysis.summaries import published, runs_text
from analysis.summaries.table1 import (
    PAPER_SEEDS,
    left_out,
    published_table1,
    seed_scores,
    table1_summary,
    unlike_the_paper,
)
from replicate.messages import counted

OURS, PUBLISHED, SEED, REDRAWN = "ours", "published", "every seed", "redrawn"
ROW_INCHES = 0.42


def points(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: ``variant, label, kind, seed, value, low, high``; without empty values."""
    generator = np.random.default_rng(0)
    literature = published_table1(published("ppo_table1"))
    summary = table1_summary(study, measures, literature, generator)
    columns = {
        REDRAWN: ["redrawn_median", "redrawn_low", "redrawn_high"],
        OURS: ["ours", "ours_low", "ours_high"],
        PUBLISHED: ["published"],
    }
    parts = [
        summary[["variant", "label", *names]]
        .rename(columns=dict(zip(names, ["value", "low", "high"], strict=False)))
        .assign(kind=kind)
        for kind, names in columns.items()
    ]
    seeds = seed_scores(study, measures).rename(columns={"score": "value"})
    parts.append(seeds.assign(kind=SEED, label=seeds.variant.map(study.labels)))
    table = pd.concat([part.dropna(subset="value") for part in parts if len(part)])
    columns_of_all = ["variant", "label", "kind", "seed", "value", "low", "high"]
    return study.in_order(table.reindex(columns=columns_of_all))


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One row per variant, in the order of the paper."""
    table = points(study, measures)
    unlike = unlike_the_paper(study, measures)
    height = ROW_INCHES * len(study.variants) + 1.0
    figure, [[axis]] = style.panels(1, 1, height)
    _rows(axis, study, table)
    axis.set_xlabel("score (0 untrained policy, 1 best single run)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)
    differs = f"Not comparable one to one: {'; '.join(unlike)}. " if unlike else ""
    method = "bootstrap" if len(study.seeds) >= FEW_SEEDS else "t"
    note = f"{differs}Ours: mean and 95 % interval ({method}), {counted(len(study.seeds), 'seed')}."
    style.add_note(figure, note)
    several = len(study.seeds) > PAPER_SEEDS
    redrawn = (
        f"Grey bar: 95 % of what the paper's statistic might have been with {PAPER_SEEDS} seeds "
        "(drawn from ours with replacement, 2,000 times). "
        if several
        else ""
    )
    caption = (
        f"{study.plan['title']}: published (diamonds) beside ours (dots). Horizontal: mean over "
        "environments and seeds of the score, scaled on each environment to 0 = untrained policy "
        f"and 1 = the best single run of this table. {note} Strokes: one seed number on all "
        f"environments each. {redrawn}The paper gives no interval. "
        f"{runs_text(study, measures)}{left_out(study, measures)}"
    )
    return Drawing(table, figure, caption)


def _rows(axis: Axes, study: Study, table: pd.DataFrame) -> None:
    blue, _, _, red = sns.color_palette("colorblind")[:4]
    places = {variant: place for place, variant in enumerate(study.variants)}

    def of(kind: str) -> tuple[pd.DataFrame, pd.Series]:
        part = table[table.kind == kind]
        return part, part.variant.map(places).astype(float)

    part, y = of(REDRAWN)
    if len(part):
        widths = part.high - part.low
        label = f"ours, {PAPER_SEEDS} seeds drawn"
        axis.barh(y, widths, 0.62, part.low, color="0.87", lw=0, label=label, zorder=1)
    part, y = of(SEED)
    axis.plot(part.value, y + 0.21, "|", color="0.3", ms=6, mew=0.9, label=SEED, zorder=2)
    part, y = of(OURS)
    bounds = np.array([part.value - part.low, part.high - part.value])
    axis.errorbar(
        part.value, y, xerr=bounds, fmt="o", color=blue, ms=7, lw=2.2, label=OURS, zorder=3
    )
    part, y = of(PUBLISHED)
    if len(part):
        axis.plot(
            part.value, y, "D", mfc="white", mec=red, ms=7, mew=1.8, label=PUBLISHED, zorder=4
        )
    axis.axvline(0, color="0.6", lw=0.8, zorder=0)
    axis.set_yticks(range(len(places)), [study.labels[variant] for variant in study.variants])
    axis.set_ylim(len(places) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
