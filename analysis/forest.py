"""Forest picture: what was claimed of differences and factors, each with its interval and margin.

python -m analysis.forest CLAIMS.json OUT.svg OUT.png OUT.csv OUT.caption.txt MANIFEST
"""

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import style
from analysis.claims.ledger import CONTRADICTED, IN_PART, INCONCLUSIVE, NO_EFFECT, SUPPORTED
from analysis.claims.parts import FACTOR, U
from analysis.figures import Drawing, save
from analysis.findings import read_claims
from replicate.messages import given_files, one_line_errors

MARKS: dict[str, dict[str, Any]] = {
    SUPPORTED: {"marker": "D", "color": "#00694e"},
    IN_PART: {"marker": "d", "color": "#00694e", "mfc": "w"},
    CONTRADICTED: {"marker": "X", "color": "#a33c00"},
    NO_EFFECT: {"marker": "s", "color": "#4a4a4a"},
    INCONCLUSIVE: {"marker": "o", "color": "#4a4a4a", "mfc": "w"},
}
"""A shape and a colour for each verdict."""
AXES = {U: "difference in u", FACTOR: "factor"}
LEAST, LEAST_FACTOR = 0.2, math.log(2)
"""How far a picture reaches at least, to both sides."""
ROW = 0.34
"""Height of a row, in inches."""
LABEL = 38
"""Characters of a line of a label."""
KEPT = "\u00a0=\u00a0"
"""An equals sign between spaces at which no line is broken."""
WIDE = 1.5
"""How much further than the furthest estimate a picture reaches for intervals."""
COLUMNS = ["claim", "part", "unit", "verdict", "estimate", "low", "high", "level", "margin", "n"]


def judged_parts(claims: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The parts with an interval in u or as a factor: ``COLUMNS``, in the order of the claims."""
    rows = [
        {**part, "claim": claim["claim"], "part": part["label"]}
        for claim in claims
        for part in claim["parts"]
        if part["judged"] and part["unit"] in AXES and part["low"] is not None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def place(value: float, unit: str | None) -> float:
    """Where a value lies along its axis: factors by their logarithm."""
    return math.log(max(value, 1e-300)) if unit == FACTOR else value


def limits(
    estimates: Iterable[float], bounds: Iterable[float], margins: Iterable[float], unit: str
) -> tuple[float, float]:
    """Ends of an axis along :func:`place`: "no difference" and all estimates and margins are in it.

    Of intervals as much as fits in half as much again: with few seeds a single one can be so long
    that nothing else is seen.
    """
    sides = (place(x, unit) for margin in margins for x in (margin, opposite(margin, unit)))
    least = LEAST_FACTOR if unit == FACTOR else LEAST
    needed = [*(place(x, unit) for x in estimates), *sides, -least, least]
    low, high = min(needed), max(needed)
    further = WIDE * max(-low, high)
    wanted = [place(x, unit) for x in bounds]
    low, high = max(min([low, *wanted]), -further), min(max([high, *wanted]), further)
    return 1.05 * low, 1.05 * high


def opposite(value: float, unit: str | None) -> float:
    """The difference or factor of the same size in the other direction."""
    return 1 / value if unit == FACTOR else -value


def draw(parts: pd.DataFrame) -> Figure:
    """Differences in u above factors; a row for each part."""
    style.use()
    shown = {unit: parts[parts.unit == unit] for unit in AXES if (parts.unit == unit).any()}
    counts = [len(rows) for rows in shown.values()] or [1]
    figure = Figure(figsize=(style.WIDTH, ROW * sum(counts) + 0.8 * len(counts)))
    axes = figure.subplots(len(counts), 1, squeeze=False, height_ratios=[n + 0.5 for n in counts])
    for axis, (unit, rows) in zip(axes[:, 0], shown.items(), strict=False):
        _panel(axis, rows, unit)
    if not shown:
        axes[0, 0].set_axis_off()
        axes[0, 0].text(0.5, 0.5, "nothing was run that is judged by a difference", ha="center")
    handles = [
        Line2D([], [], ls="", ms=7, label=verdict, **mark)
        for verdict, mark in MARKS.items()
        if (parts.verdict == verdict).any()
    ]
    style.handles_below(figure, handles, "Line: interval. Grey: smaller than the margin.")
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, unit: str) -> None:
    margins = rows.margin.dropna().astype(float)
    low, high = limits(rows.estimate, [*rows.low, *rows.high], margins, unit)
    if unit == FACTOR:
        axis.set_xscale("log")
        low, high = math.exp(low), math.exp(high)
    for y, row in enumerate(rows.to_dict("records")):
        if row["margin"] is not None and not math.isnan(row["margin"]):
            ends = opposite(row["margin"], unit), row["margin"]
            axis.fill_betweenx([y - 0.42, y + 0.42], *ends, color="0.86", lw=0, zorder=1)
        look = MARKS[row["verdict"]]
        inside = max(row["low"], low), min(row["high"], high)
        axis.plot(inside, [y, y], color=look["color"], lw=2, zorder=3)
        for bound, end, arrow in ((row["low"], low, "<"), (row["high"], high, ">")):
            if not low <= bound <= high:
                axis.plot(end, y, arrow, color=look["color"], ms=6, clip_on=False, zorder=4)
        axis.plot(row["estimate"], y, ms=7, mew=1.6, zorder=5, **look)
    axis.axvline(1.0 if unit == FACTOR else 0.0, color="0.3", lw=1, zorder=2)
    axis.set_xlim(low, high)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    labels = [
        fill(f"{row.claim}  {row.part}".replace(" = ", KEPT), LABEL) for row in rows.itertuples()
    ]
    axis.set_yticks(range(len(rows)), labels, fontsize="x-small")
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(AXES[unit])
    if unit == FACTOR:
        axis.xaxis.set_major_locator(LogLocator(numticks=5))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"×{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())


def caption(claims: list[dict[str, Any]], parts: pd.DataFrame) -> str:
    """What is drawn, of which runs."""
    used = [claim for claim in claims if claim["claim"] in set(parts.claim)]
    seeds = sorted({number for claim in used for number in claim["seeds"]})
    envs = list(dict.fromkeys(label for claim in used for label in claim["envs"].values()))
    return (
        "What is judged by a difference: every part with its interval, at the level at which it "
        "was judged (Holm within a family of claims), against the smallest effect of interest "
        "(grey). "
        "u: 0 = untrained policy, 1 = a return from the literature. Mean over environments of "
        "differences paired by seed; factors are ratios of geometric means. Arrow: the interval "
        f"goes on. {' or '.join(map(str, seeds)) or 'No'} seeds on {', '.join(envs) or 'nothing'}."
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "CLAIMS.json", "OUT.svg", "OUT.png", "OUT.csv", "OUT.caption.txt", "MANIFEST"
    given = given_files("analysis.forest", names, arguments)
    source, *files = map(Path, given)
    claims = read_claims(source)
    parts = judged_parts(claims)
    save(Drawing(parts, draw(parts), caption(claims, parts)), files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
