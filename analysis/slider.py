"""One picture drawn for each value of a slider: FIGURE.slider.json, from which a page shows one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis import style
from replicate.store.files import read_json, write_json

SUFFIX = ".slider.json"


@dataclass(frozen=True)
class Slider:
    """Pictures of which one is shown.

    Args:
        label: what the slider changes.
        start: the step that is shown first.
        names: what people read of each step.
        svgs: the picture of each.

    """

    label: str
    start: int
    names: list[str]
    svgs: list[str]


def write(file: Path, label: str, start: str, figures: Mapping[str, Figure]) -> None:
    """Write the pictures; the same figures give the same bytes.

    Args:
        file: ends in ``SUFFIX``.
        label: what the slider changes.
        start: the name of the step that is shown first.
        figures: name of a step → its picture, in order; all of the same parts, which stay where
            the first that is shown has them.

    """
    names = list(figures)
    first = figures[start]
    area = style.laid_out(first)
    svgs = [style.svg_text(style.laid_out_like(figure, first), area) for figure in figures.values()]
    write_json(file, {"label": label, "start": names.index(start), "names": names, "svgs": svgs})


def read(file: Path) -> Slider:
    """What :func:`write` wrote."""
    return Slider(**read_json(file))
