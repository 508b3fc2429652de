"""One look for all figures: colour-blind safe, legible in grey, the same bytes every time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

DASHES: list[Any] = [(None, None), (5, 1.5), (2, 1), (6, 1.5, 1.5, 1.5), (1, 1), (8, 2)]


def use() -> None:
    """Set the look."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
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


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write both pictures, without time stamps."""
    figure.savefig(svg, metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(png, metadata={"Software": None}, bbox_inches="tight", dpi=150)
    plt.close(figure)
