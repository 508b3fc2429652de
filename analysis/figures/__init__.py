"""Figures of a study.  Each module has ``draw(study, measures) -> Drawing``.

The measures are those of ``analysis.measures``, a row for each run.  ``python -m
analysis.products`` draws them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis import manifest, style
from analysis.study import Study
from replicate.store.files import write_atomically
from replicate.store.plans import MAX_LINES

PAPER_EPSILON = 0.2
"""Source: PPO paper (arXiv 1707.06347), section 6.1: the best of its settings."""
CLIPPING = "clipping"
KINDS = {
    "none": CLIPPING,  # beside the clips that it is compared with, where a panel can hold both
    "clip": CLIPPING,
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
    """The variant whose line stands out: PPO with the paper's clip, if exactly one is that.

    Where all begin so, it is the one that goes on so after a change.
    """
    paper = {"objective": "clip", "bound": "min", "clip_epsilon": PAPER_EPSILON}
    paper |= {"value_learning_rate": None}  # plans of before the key have none
    for after in (False, True):
        alike = [
            str(variant["name"])
            for variant in study.plan["variants"]
            if all(_settings(variant, after).get(key) == value for key, value in paper.items())
        ]
        if len(alike) < len(study.plan["variants"]):
            return alike[0] if len(alike) == 1 else None
    return None


def _settings(variant: Mapping[str, Any], after: bool) -> dict[str, Any]:
    """Values of a variant's algorithm, at the start or after the change in its middle."""
    change = variant.get("change") if after else None
    return {**variant["algo"], **(change or {}).get("algo", {})}


def variant_groups(study: Study) -> dict[str, list[str]]:
    """Heading → variants that share a panel: all of them, or at most six of one kind."""
    if len(study.variants) <= MAX_LINES:
        return {"": study.variants}
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for variant in study.plan["variants"]:
        algo = variant["algo"]
        kind = KINDS.get(algo.get("objective", ""), str(algo["name"]).upper())
        kinds.setdefault(kind, []).append(variant)
    for heading, belongs in (("no clipping", _has_no_clip), ("clipping, ε falls", _falls)):
        many = kinds.get(CLIPPING, [])
        if len(many) > MAX_LINES:
            kinds[CLIPPING] = [variant for variant in many if not belongs(variant)]
            kinds[heading] = [variant for variant in many if belongs(variant)]
    return {
        heading: names
        for kind, variants in kinds.items()
        if variants
        for heading, names in _cut(kind, [variant["name"] for variant in variants])
    }


def _has_no_clip(variant: Mapping[str, Any]) -> bool:
    return bool(variant["algo"]["objective"] == "none")


def _falls(variant: Mapping[str, Any]) -> bool:
    return bool(variant.get("recipe", {}).get("clip_epsilon_schedule", "constant") != "constant")


def _cut(heading: str, names: list[str]) -> list[tuple[str, list[str]]]:
    """Parts of nearly equal length, each of at most six."""
    parts = -(-len(names) // MAX_LINES)
    ends = [round(len(names) * i / parts) for i in range(parts + 1)]
    return [
        (heading if parts == 1 else f"{heading}, {i + 1} of {parts}", names[ends[i] : ends[i + 1]])
        for i in range(parts)
    ]
