r"""Claim C1 as a picture: PPO's clipped objective, and below it the gradient that it leaves.

python -m analysis.probe_figures.clipped_objective IN.csv OUT.svg OUT.png OUT.caption.txt \
    OUT.slider.json MANIFEST

IN.csv is written by ``replicate.probes.clipped_objective``; nothing is computed again here.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import manifest, slider, style
from replicate.messages import given_files, one_line_errors
from replicate.store.files import write_atomically

CAPTION = """\
One sample's term of PPO's objective as a function of the policy ratio r = π(a|s)/π_old(a|s), for \
advantage A = +1 and A = −1, clip range ε = {epsilon:g} (after Figure 1 of the PPO paper, \
arXiv 1707.06347). Top: clipped (solid) beside unclipped (dashed); the dot is r = 1, where each \
update starts. Bottom: derivative in r, by automatic differentiation of the suite's own \
objective. It is zero in the grey regions, r > {high:g} for A > 0 and r < {low:g} for A < 0, and \
nowhere else: on the wrong side of the interval the gradient still pulls back. (At the two kinks \
themselves there is no derivative.)
"""
EPSILON = 0.2
UNCLIPPED: dict[str, Any] = {"color": "0.35", "dashes": (4, 2), "lw": 1.5}


def flat(rows: pd.DataFrame) -> tuple[float, float]:
    """First and last ratio without a gradient; the kink at the inner end belongs to it."""
    ratios = rows.ratio[rows.gradient == 0]
    step = rows.ratio.diff().median()
    low, high = ratios.min(), ratios.max()
    ends = (low - step, high) if low > 1 else (low, high + step)
    return round(ends[0], 9), round(ends[1], 9)


def kinks(data: pd.DataFrame) -> tuple[float, float]:
    """1 − ε, where the objective for A < 0 bends, and 1 + ε, where that for A > 0 does."""
    return flat(data[data.advantage < 0])[1], flat(data[data.advantage > 0])[0]


def draw(data: pd.DataFrame) -> Figure:
    """Two columns, A > 0 and A < 0; two rows, the objective and its derivative in r."""
    figure, (tops, bottoms) = style.panels(2, 2, 2.4, sharex="col", sharey="row")
    looks = style.lines(["A > 0", "A < 0"])
    low, high = kinks(data)
    for top, bottom, (name, look) in zip(tops, bottoms, looks.items(), strict=True):
        solid = {"color": look["color"], "lw": 2.4}
        rows = data[(data.advantage > 0) == (name == "A > 0")]
        ends = flat(rows)
        for axis in (top, bottom):
            axis.axvspan(*ends, color="0.88", lw=0)
            axis.axvline(1, color="0.5", lw=0.8)
        top.plot(rows.ratio, rows.unclipped, **UNCLIPPED)
        top.plot(rows.ratio, rows.clipped, **solid)
        start = rows[rows.ratio == 1]
        top.plot(start.ratio, start.clipped, "o", color="k", ms=6)
        for _, side in rows.groupby(rows.gradient == 0):  # no line across the jump
            bottom.plot(side.ratio, side.gradient, **solid)
        top.set_title(name)
        bottom.set_xlabel("ratio r")
        bottom.set_xlim(0, 2)
        # Not 1, the line in the middle: a narrow range leaves no room for its number.
        ticks = 0, high if name == "A > 0" else low, 2
        bottom.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        _explain(bottom, 1 if name == "A > 0" else -1, ends)
    tops[0].set_ylabel("objective")
    bottoms[0].set_ylabel("derivative in r")
    bottoms[0].set_ylim(-1.45, 1.45)
    bottoms[0].set_yticks([-1, 0, 1])
    note = "Solid: clipped; dashed: unclipped; dot: r = 1, the old policy; grey: no gradient."
    style.add_note(figure, note)
    return figure


def _explain(axis: Axes, sign: int, ends: tuple[float, float]) -> None:
    """What a student should see, beside the line that shows it."""
    middle = sum(ends) / 2
    half_text = 0.42  # of the ratio's axis
    other = min(max(2 - middle, half_text), 2 - half_text)
    where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small"}
    axis.text(middle, sign * 0.35, "no\ngradient", **where)
    # The other side of r = 1, as far from it as the panel allows.
    axis.text(other, sign * 0.6, "wrong side:\nstill pulls back", **where)


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "IN.csv", "OUT.svg", "OUT.png", "OUT.caption.txt", "OUT.slider.json", "MANIFEST"
    given = given_files("analysis.probe_figures.clipped_objective", names, arguments)
    source, svg, png, caption, moving, listed = map(Path, given)
    manifest.check([source])
    of_epsilon = {float(value): rows for value, rows in pd.read_csv(source).groupby("epsilon")}
    figures = {epsilon: draw(rows) for epsilon, rows in of_epsilon.items()}
    low, high = kinks(of_epsilon[EPSILON])
    style.save(figures[EPSILON], svg, png)
    named = {f"ε = {epsilon:g}": figure for epsilon, figure in figures.items()}
    slider.write(moving, "clip range ε", f"ε = {EPSILON:g}", named)
    text = CAPTION.format(epsilon=round(high - 1, 6), low=low, high=high)
    write_atomically(caption, text.encode())
    manifest.write(listed, [svg, png, caption, moving])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
