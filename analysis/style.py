"""One look for all figures: colour-blind safe, legible in grey, the same bytes every time."""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

DASHES: list[Any] = [(None, None), (5, 1.5), (2, 1), (6, 1.5, 1.5, 1.5), (1, 1), (8, 2)]
BAND_ALPHA = 0.2
SEED_LINE = {"alpha": 0.35, "lw": 0.6}
COLUMNS = 4
"""Panels side by side."""
CHARACTERS_PER_INCH = 12
"""Of small text."""


def use() -> None:
    """Set the look."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update(
        {
            "svg.hashsalt": "replicate",
            "svg.fonttype": "none",
            "figure.dpi": 110,
            "axes.titleweight": "bold",
            "font.family": "DejaVu Sans",
        }
    )


def lines(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each name, in order: two ways to tell them apart."""
    colours = sns.color_palette("colorblind")
    return {
        name: {"color": colours[i % len(colours)], "dashes": DASHES[i % len(DASHES)]}
        for i, name in enumerate(names)
    }


def panels(
    rows: int, columns: int, width: float = 3.2, height: float = 2.6, **sharing: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of axes, each ``width`` × ``height`` inches, that leaves room for a legend."""
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(width * columns, 5.5), height * rows),
        squeeze=False,
        layout="constrained",
        **sharing,
    )
    return figure, [list(row) for row in axes]


def wrapped_panels(
    count: int, width: float = 3.2, height: float = 2.6, **sharing: Any
) -> tuple[Figure, list[Axes]]:
    """``count`` axes in rows of up to :data:`COLUMNS`."""
    columns = min(count, COLUMNS)
    figure, rows = panels(-(-count // columns), columns, width, height, **sharing)
    axes = [axis for row in rows for axis in row]
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def band(
    axis: Axes, x: Sequence[float], low: Sequence[float], high: Sequence[float], color: Any
) -> None:
    """An interval along ``x``; where a bound is NaN there is none."""
    axis.fill_between(x, low, high, color=color, alpha=BAND_ALPHA, lw=0)


def legend_below(
    figure: Figure, looks: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], note: str
) -> None:
    """Names under the panels, and a small line that lets the picture stand on its own.

    Args:
        figure: made by :func:`panels` or :func:`wrapped_panels`.
        looks: name → colour and dashes, from :func:`lines`.
        labels: name → what people read.
        note: seeds, interval.

    """
    handles = [Line2D([], [], lw=2, label=labels[name], **look) for name, look in looks.items()]
    if handles:
        widest = max(len(labels[name]) for name in looks)
        room = int(figure.get_figwidth() * CHARACTERS_PER_INCH * 0.8)
        fitting = max(1, min(len(handles), room // (widest + 6)))
        columns = -(-len(handles) // -(-len(handles) // fitting))  # as even as rows allow
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    add_note(figure, note)


def add_note(figure: Figure, note: str) -> None:
    """Small text below everything else; ``save`` makes the picture large enough for it."""
    text = textwrap.fill(note, int(figure.get_figwidth() * CHARACTERS_PER_INCH))
    figure.text(0.5, -0.01, text, ha="center", va="top", fontsize="small", color="0.3")


def svg_bytes(figure: Figure) -> bytes:
    """The picture as SVG, without a time stamp."""
    sink = io.BytesIO()
    figure.savefig(sink, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return sink.getvalue()


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both pictures, without time stamps."""
    svg.write_bytes(svg_bytes(figure))
    figure.savefig(png, metadata={"Software": None}, bbox_inches="tight", dpi=150)
    plt.close(figure)
