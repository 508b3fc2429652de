"""One look for all figures: colour-blind safe, legible in grey, the same bytes every time."""

import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

DASHES: list[Any] = [(None, None), (5, 1.5), (2, 1), (6, 1.5, 1.5, 1.5), (1, 1), (8, 2)]
BAND_ALPHA = 0.2
SEED_LINE: dict[str, Any] = {"alpha": 0.45, "lw": 0.7}
WIDTH = 5.6
"""Inches of a whole picture: its text can be read on a phone, whose page is as wide."""
COLUMNS = 2
"""Most panels side by side."""
CHARACTERS_PER_INCH = 13
"""Characters of small text in an inch."""
HANDLE_CHARACTERS = 8
"""Room that the line before a name takes."""
PADDING_INCHES = 0.1
"""Margin of a picture."""
FRONT = {"color": "#004c8c", "dashes": (None, None), "lw": 2.6, "zorder": 5}
"""The line that stands out: dark, solid, thick and above the others."""
PLACES = {
    "vpg": 1,
    "vpg_best": 2,
    "ppo_noclip": 3,
    "no_clipping": 3,
    "none": 3,
    "none_3e-4": 3,
    "trpo": 4,
    "clip_0.05": 1,
    "clip_0.1": 2,
    "clip_0.3": 4,
    "clip_0.5": 5,
}
"""Lines that look alike in every picture: name → place among colours and dashes."""
BEHIND_WIDTH = 1.4
PALE = 0.12
"""How far the colours of the others are moved towards white."""


def use() -> None:
    """Set the look of all figures."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update(
        {
            "svg.hashsalt": "replicate",
            "svg.fonttype": "none",
            "figure.dpi": 110,
            "axes.titleweight": "bold",
            "axes.titlesize": "small",  # InvertedDoublePendulum-v5 stands beside others
            # Matplotlib need not search for a place: no axis has ticks or a power of ten above.
            "axes.titley": 1.0,
            "font.family": "DejaVu Sans",
        }
    )


def lines(names: Sequence[str], front: str | None = None) -> dict[str, dict[str, Any]]:
    """Colour, dashes and width of each name: several ways to tell them apart.

    Those of ``PLACES`` have theirs, the others take what is left in order.

    Args:
        names: of lines.
        front: the one that stands out, wherever it is drawn; the others are paler and thinner, and
            none is blue or solid.

    """
    colours: list[Any] = list(sns.color_palette("colorblind"))
    dashes, width = DASHES, 2.0
    if front is not None:
        # Without the first of both, which stand out.
        colours, dashes = [_paler(colour) for colour in colours[1:]], DASHES[1:]
        width = BEHIND_WIDTH
    first = len(DASHES) - len(dashes)
    others = [name for name in names if name != front]
    own: dict[str, int] = {}
    for name in others:
        if name in PLACES and PLACES[name] - first not in own.values():
            own[name] = PLACES[name] - first
    left = (place for place in itertools.count() if place not in own.values())
    looks = {}
    for name in others:
        place = own[name] if name in own else next(left)
        looks[name] = {
            "color": colours[place % len(colours)],
            "dashes": dashes[place % len(dashes)],
            "lw": width,
            "zorder": 3,
        }
    return {name: FRONT if name == front else looks[name] for name in names}


def _paler(colour: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (part + PALE * (1 - part) for part in colour)
    return red, green, blue


def panels(
    rows: int,
    columns: int,
    height: float = 2.4,
    **sharing: Any,
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of axes.

    Args:
        rows, columns: how many axes.
        height: inches of each, with what is around it.
        sharing: ``sharex``, ``sharey``.

    """
    use()
    # Not pyplot's: it would keep every figure that nobody closes.
    figure = Figure(figsize=(WIDTH, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False, **sharing)
    return figure, [list(row) for row in axes]


def wrapped_panels(count: int, height: float = 2.4, **sharing: Any) -> tuple[Figure, list[Axes]]:
    """``count`` axes in rows of up to ``COLUMNS``."""
    columns = min(count, COLUMNS)
    figure, rows = panels(-(-count // columns), columns, height, **sharing)
    axes = [axis for row in rows for axis in row]
    for unused in axes[count:]:
        unused.set_visible(False)
    for lowest in axes[max(count - columns, 0) : count]:
        lowest.tick_params(labelbottom=True)  # where axes are shared and the one below is unused
    return figure, axes[:count]


def fit_beside(labels: Iterable[str]) -> bool:
    """Whether names of lines can stand over panels side by side."""
    widest = max((len(label) for label in labels), default=0)
    return COLUMNS * (widest + HANDLE_CHARACTERS) <= WIDTH * CHARACTERS_PER_INCH


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
    handles_below(figure, _handles(looks, labels), note)


def patches_below(
    figure: Figure, looks: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], note: str
) -> None:
    """:func:`legend_below` of areas: name → what a patch takes."""
    patches = [Patch(label=labels[name], **look) for name, look in looks.items()]
    handles_below(figure, patches, note)


def handles_below(figure: Figure, handles: Sequence[Artist], note: str) -> None:
    """:func:`legend_below` of what has its label already."""
    widest = max((len(str(handle.get_label())) for handle in handles), default=0)
    fitting = int(figure.get_figwidth() * CHARACTERS_PER_INCH) // (widest + HANDLE_CHARACTERS)
    rows = max(-(-len(handles) // max(fitting, 1)), 1)
    columns = -(-len(handles) // rows)  # as even as rows allow
    legend = figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns, frameon=False
    )
    # Below the figure's own area, where no axes can be; `save` makes the picture large enough.
    bottom = legend.get_window_extent().transformed(figure.transFigure.inverted()).y0
    add_note(figure, note, bottom)


def legend_above(
    axis: Axes, looks: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], heading: str
) -> None:
    """Names over one column of panels."""
    axis.legend(
        handles=_handles(looks, labels),
        title=heading,
        title_fontproperties={"weight": "bold"},
        loc="lower center",
        bbox_to_anchor=(0.5, 1.02),
        frameon=False,
    )


def _handles(looks: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]) -> list[Line2D]:
    return [Line2D([], [], label=labels[name], **look) for name, look in looks.items()]


def add_note(figure: Figure, note: str, top: float = -0.01) -> None:
    """Small text below everything else, from ``top`` (share of the figure's height) downwards."""
    text = textwrap.fill(note, int(figure.get_figwidth() * CHARACTERS_PER_INCH))
    figure.text(0.5, top, text, ha="center", va="top", fontsize="small", color="0.3")


def laid_out(figure: Figure) -> Bbox:
    """Places all parts of a figure for good, and says what area they take, in inches.

    Not by ``Figure(layout="constrained")``: Matplotlib would do both again, and draw once more, for
    every file.
    """
    ConstrainedLayoutEngine().execute(figure)
    return figure.get_tightbbox().padded(PADDING_INCHES)


def laid_out_like(figure: Figure, other: Figure) -> Figure:
    """The figure, with its parts where :func:`laid_out` put the same parts of another."""
    for part, placed in zip(figure.axes, other.axes, strict=True):
        part.set_position(placed.get_position())
    for text, put in zip(figure.texts, other.texts, strict=True):
        text.set_position(put.get_position())
    return figure


def svg_text(figure: Figure, area: Bbox | None = None) -> str:
    """The picture as SVG, without a time stamp, paths in hundredths of a point.

    Args:
        figure: any.
        area: of :func:`laid_out`, where that is known.

    """
    sink = io.BytesIO()
    area = area or laid_out(figure)
    figure.savefig(sink, format="svg", metadata={"Date": None}, bbox_inches=area)
    parts = re.split(r'( d="[^"]*")', sink.getvalue().decode())
    return "".join(
        re.sub(r"(\.\d\d)\d+", r"\1", part) if part.startswith(' d="') else part for part in parts
    )


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both pictures; the same figure gives the same bytes."""
    area = laid_out(figure)
    svg.write_text(svg_text(figure, area), encoding="utf-8")
    figure.savefig(png, metadata={"Software": None}, bbox_inches=area, dpi=150)
