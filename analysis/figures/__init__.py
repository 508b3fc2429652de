"""Figures of a study.  Each module has ``draw(study, measures) -> Drawing``.

The measures are those of ``analysis.measures``, a row for each run.  ``python -m
analysis.products`` draws them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis import manifest, style
from analysis.study import Study
from replicate.store.files import write_atomically

MAX_LINES = 6
"""More variants in one panel cannot be told apart."""
PAPER_EPSILON = 0.2
"""Source: PPO paper (arXiv 1707.06347), section 6.1: the best of its settings."""
KINDS = {
    "none": "clipping",  # beside the clips that it is compared with
    "clip": "clipping",
    "adaptive_kl": "adaptive KL penalty",
    "fixed_kl": "fixed KL penalty",
}


class Drawing(NamedTuple):
    """A picture and what it is made of.

    Args:
        data: exactly what is drawn.
        figure: the picture.
        caption: what it shows, over how many runs, with which interval; plain text.

    """

    data: pd.DataFrame
    figure: Figure
    caption: str


def save(drawing: Drawing, files: Iterable[Path]) -> None:
    """Write pictures, data, caption and the manifest that lists them.

    Args:
        files: one for each of ``FIGURE_FILES``, in their order.

    """
    svg, png, csv, caption, listed = files
    style.save(drawing.figure, svg, png)
    write_atomically(csv, drawing.data.to_csv(index=False, float_format="%.6g").encode())
    write_atomically(caption, (drawing.caption.strip() + "\n").encode())
    manifest.write(listed, [svg, png, csv, caption])


def front(study: Study) -> str | None:
    """The variant whose line stands out: PPO with the paper's clip, if exactly one is that."""
    paper = {"objective": "clip", "bound": "min", "clip_epsilon": PAPER_EPSILON}
    alike = [
        str(variant["name"])
        for variant in study.plan["variants"]
        if all(variant["algo"].get(key) == value for key, value in paper.items())
    ]
    return alike[0] if len(alike) == 1 else None


def variant_groups(study: Study) -> dict[str, list[str]]:
    """Heading → variants that share a panel: all of them, or at most six of one kind."""
    if len(study.variants) <= MAX_LINES:
        return {"": study.variants}
    kinds: dict[str, list[str]] = {}
    for variant in study.plan["variants"]:
        algo = variant["algo"]
        kind = KINDS.get(algo.get("objective", ""), algo["name"].upper())
        kinds.setdefault(kind, []).append(variant["name"])
    return {heading: part for kind, names in kinds.items() for heading, part in _cut(kind, names)}


def _cut(heading: str, names: list[str]) -> list[tuple[str, list[str]]]:
    """Parts of nearly equal length, each of at most six."""
    parts = -(-len(names) // MAX_LINES)
    ends = [round(len(names) * i / parts) for i in range(parts + 1)]
    return [
        (heading if parts == 1 else f"{heading}, {i + 1} of {parts}", names[ends[i] : ends[i + 1]])
        for i in range(parts)
    ]
