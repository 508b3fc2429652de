"""Figures of a study.  Each module draws one; all are called alike.

python -m analysis.figures.NAME PLAN.json SCORES.csv OUT.svg OUT.png OUT.csv OUT.caption.txt

A module has ``draw(study, scores) -> Drawing`` and hands it to :func:`main`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import style
from analysis.study import Study, read_study
from replicate.records import write_atomically


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture and what it is made of.

    Args:
        data: exactly what is drawn.
        figure: the picture.
        caption: what it shows, over how many runs, with which interval; plain text.

    """

    data: pd.DataFrame
    figure: Figure
    caption: str


Draw = Callable[[Study, pd.DataFrame], Drawing]
"""A study and its scores (``analysis.scores``, one row per run) → the drawing."""


def main(draw: Draw, arguments: list[str]) -> int:
    """The command line of a figure."""
    plan, scores, svg, png, csv, caption = map(Path, arguments)
    style.use()
    drawing = draw(read_study(plan), pd.read_csv(scores))
    style.save(drawing.figure, svg, png)
    write_atomically(csv, drawing.data.to_csv(index=False, float_format="%.6g").encode())
    write_atomically(caption, (drawing.caption.strip() + "\n").encode())
    return 0
