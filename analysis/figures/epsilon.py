"""Update size, speed and stability against the width of the clip."""

from math import isnan
from textwrap import fill
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import style
from analysis.figures import Drawing
from analysis.study import Study
from analysis.summaries import OVERALL, runs_text
from analysis.summaries.epsilon import GROUPS, chapter_epsilon, epsilon_of, epsilon_summary
from analysis.tables.epsilon import INTERVALS, meanings
from replicate.messages import counted

APART = 0.7
"""Gap between the widths of the clip and the variants without one."""


class Panel(NamedTuple):
    """One measure against ε."""

    measure: str
    group: str
    title: str
    log: bool = False


THERE = "runs that get to u = 0.5"
PANELS = [
    Panel("KL(old‖new), nats", "update_size", "KL(old‖new), nats", log=True),
    Panel("|r − 1|, 99 % quantile", "update_size", "|r − 1|, 99 % quantile", log=True),
    Panel("u, first quarter", "speed", "u, first quarter"),
    Panel(THERE, "speed", "share that gets to u = 0.5"),
    Panel("u, last tenth", "stability", "u, last tenth"),
    Panel("ruined or collapsed", "stability", "share ruined or collapsed"),
    Panel("spread over seeds / level", "stability", "spread over seeds / level"),
    Panel("largest fall / level", "stability", "largest fall / level"),
]


def points(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: ``group, measure, env, variant, epsilon, value, low, high``.

    Bounds are there over all environments only.
    """
    summary = epsilon_summary(study, measures)
    table = summary.rename(columns={"estimate": "value"})
    there = table.measure == "env steps to u = 0.5"
    table.loc[there, "value"] = table.hits[there] / table.runs[there]
    table.loc[there, "measure"] = THERE
    table.loc[table.env != OVERALL, ["low", "high"]] = float("nan")
    place = {panel.measure: number for number, panel in enumerate(PANELS)}
    group = {panel.measure: panel.group for panel in PANELS}
    table = table[table.measure.isin(place)]
    table = table.assign(group=table.measure.map(group))
    table = table.sort_values("measure", key=lambda m: m.map(place), kind="stable")
    columns = ["group", "measure", "env", "variant", "epsilon", "value", "low", "high"]
    return table[columns].reset_index(drop=True)


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One row of panels for each column of the chapter's table."""
    table = points(study, measures)
    shown = {group: [panel for panel in PANELS if panel.group == group] for group in GROUPS}
    lines = [-(-len(panels) // style.COLUMNS) for panels in shown.values()]
    figure = Figure(figsize=(style.WIDTH, sum(lines) * 1.9 + len(GROUPS) * 0.5))
    parts = figure.subfigures(len(GROUPS), 1, squeeze=False, height_ratios=[n + 0.3 for n in lines])
    for part, count_of_lines, (group, title) in zip(
        parts[:, 0], lines, GROUPS.items(), strict=True
    ):
        part.suptitle(_words(title, group), fontsize="small", x=0.01, ha="left")
        axes = part.subplots(count_of_lines, style.COLUMNS).flat
        for axis, panel in zip(axes, shown[group], strict=True):
            _panel(axis, study, table[table.measure == panel.measure], panel)
    apart = any(isnan(epsilon) for epsilon in epsilon_of(study).values())
    note = (
        f"Thick: all environments, {counted(len(study.seeds), 'seed')}, 95 % interval; thin: one "
        "environment. Horizontal: ε, not to scale"
        + ("; what has no clip stands apart." if apart else ".")
    )
    names = {OVERALL: OVERALL, **study.env_labels}
    style.legend_below(figure, _looks(study), names, note)
    caption = (
        f"{study.plan['title']}: what was measured against the width ε of the clip, "
        f"under the chapter's words for it. {note} {meanings(study, measures)} {INTERVALS} "
        f"{runs_text(study, measures)}"
    )
    return Drawing(table, figure, caption)


def _words(title: str, group: str) -> str:
    chapter = chapter_epsilon()
    words = "; ".join(f"{e:g} {w}" for e, w in zip(chapter.epsilon, chapter[group], strict=True))
    width = int(style.WIDTH * style.CHARACTERS_PER_INCH)
    return fill(f"{title}. The chapter: {words}", width, break_on_hyphens=False)


def _looks(study: Study) -> dict[str, dict[str, Any]]:
    return style.lines([OVERALL, *study.envs], OVERALL)


def _panel(axis: Axes, study: Study, table: pd.DataFrame, panel: Panel) -> None:
    places = _places(study)
    for env, look in _looks(study).items():
        rows = table[table.env == env].dropna(subset="value")
        color, x = look["color"], rows.variant.map(places)
        clipped = rows.epsilon.notna()
        dots: dict[str, Any] = {"marker": "o", "ms": 5 if env == OVERALL else 3}
        axis.plot(x[clipped], rows.value[clipped], **dots, **look)
        axis.plot(x[~clipped], rows.value[~clipped], ls="none", color=color, **dots)
        axis.vlines(x, rows.low, rows.high, color=color, lw=1.6, zorder=look["zorder"])
    if panel.log:
        axis.set_yscale("log", nonpositive="clip")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    elif panel.title.startswith("share"):
        axis.set_ylim(-0.04, 1.04)
    axis.set_title(panel.title, fontsize="small")
    ticks = [_tick(study, variant) for variant in places]
    axis.set_xticks(list(places.values()), ticks, fontsize="small")
    axis.set_xlim(-0.4, max(places.values()) + 0.4)
    axis.grid(axis="x", visible=False)
    _empty(axis, table)


def _empty(axis: Axes, table: pd.DataFrame) -> None:
    """Say so where there is nothing to draw."""
    if table.value.notna().any():
        return
    text = "no published return"
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", fontsize="small")


def _places(study: Study) -> dict[str, float]:
    """Variant → x: widths in their order, then what has none."""
    epsilons = epsilon_of(study)
    clipped = sorted((e, v) for v, e in epsilons.items() if not isnan(e))
    others = [v for v, e in epsilons.items() if isnan(e)]
    places = {variant: float(x) for x, (_, variant) in enumerate(clipped)}
    return places | {v: len(clipped) - 1 + (i + 1) + APART for i, v in enumerate(others)}


def _tick(study: Study, variant: str) -> str:
    epsilon = epsilon_of(study)[variant]
    return study.labels[variant].replace(" ", "\n") if isnan(epsilon) else f"{epsilon:g}"
