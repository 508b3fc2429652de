r"""One update as a line from the old policy through the new one: objectives, KL, clip fraction.

python -m analysis.probe_figures.update_line IN.csv OUT.svg OUT.png OUT.csv OUT.caption.txt \
    OUT.slider.json MANIFEST

IN.csv is written by ``replicate.probes.update_anatomy``; nothing is computed again here.  After
Figure 2 of the PPO paper (arXiv 1707.06347).
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

LABELS = {"ppo": "PPO, ε = 0.2", "trpo": "TRPO, δ = 0.01"}
PANELS = {
    "surrogate": "surrogate\nE[r·Â]",
    "clipped_surrogate": "clipped surrogate\n(ε = 0.2)",
    "kl": "KL(old‖new)\nin nats",
    "clip_fraction": "share of samples\noutside 1 ± 0.2",
}
MAX_KL = 0.01
EVERY = 2
"""Of the line's points one in so many is a step of the slider: t = 0, 0.2, … 2."""
STEP = "t = {t:g}"
NAMES = {
    "half_cheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "inverted_double_pendulum": "InvertedDoublePendulum-v5",
    "inverted_pendulum": "InvertedPendulum-v5",
}
TITLE = "One update: from the old policy through the new one, and as far again"
TURNS = "PPO's clipped objective turns back where the unclipped one still rises"
CAPTION = """\
What one update does, along the line from the old policy (t = 0) through the new one (t = 1) and \
as far again (after Figure 2 of the PPO paper, arXiv 1707.06347). Each thin line is a seed: a \
policy that PPO has trained for {env_steps:,} env steps, and the batch that it takes next; PPO and \
TRPO update from the same policies on the same batches. Thick: mean over the {seeds} seeds. \
{peaks} {at_new}
"""


def shown(line: pd.DataFrame) -> pd.DataFrame:
    """The lines of PPO and TRPO from the latest batches."""
    latest = line.env_steps == line.env_steps.max()
    return line[latest & line.method.isin(list(LABELS))].reset_index(drop=True)


def means(data: pd.DataFrame) -> pd.DataFrame:
    """Over seeds, of each environment, method and t."""
    return data.groupby(["env", "method", "t"], sort=False)[list(PANELS)].mean().reset_index()


def peaks(data: pd.DataFrame, method: str, column: str) -> dict[str, float]:
    """Environment → the t where the mean over seeds is largest."""
    of_method = means(data)[lambda rows: rows.method == method].set_index("t")
    return {
        str(env): float(rows[column].idxmax()) for env, rows in of_method.groupby("env", sort=False)
    }


def turns(data: pd.DataFrame) -> bool:
    """Whether PPO's clipped surrogate is largest before the unclipped one, on every environment."""
    clipped, free = (peaks(data, "ppo", name) for name in ("clipped_surrogate", "surrogate"))
    return all(clipped[env] < free[env] for env in clipped)


def draw(data: pd.DataFrame, at: float | None = None) -> Figure:
    """A column for each environment, a row for each of ``PANELS``.

    Args:
        data: of :func:`shown`.
        at: a t to stop at: means alone, with their numbers there.  None: the whole line and every
            seed.

    """
    envs = list(dict.fromkeys(data.env))
    figure, axes = style.panels(len(PANELS), len(envs), 1.65, sharex=True, sharey="row")
    looks = style.lines(list(LABELS))
    average = means(data)
    for row, (column, label) in zip(axes, PANELS.items(), strict=True):
        row[0].set_ylabel(label)
        for axis, env in zip(row, envs, strict=True):
            axis.axvline(1, color="0.5", lw=0.8)
            for method, look in looks.items():
                mean = average[(average.env == env) & (average.method == method)]
                axis.plot(mean.t, mean[column], **{**look, "lw": 2.4})
                here = data[(data.env == env) & (data.method == method)]
                for _, seed in here.groupby("seed") if at is None else ():
                    axis.plot(seed.t, seed[column], **{**look, **style.SEED_LINE})
                if at is not None:
                    axis.plot([at], mean[column][mean.t == at], "o", color=look["color"], ms=7)
            if at is not None:
                _say(axis, average[(average.env == env) & (average.t == at)], column)
            if column == "kl":
                axis.axhline(MAX_KL, color="0.3", lw=1, ls=":")
    for axis, env in zip(axes[0], envs, strict=True):
        axis.set_title(NAMES.get(env, env))
    for axis in axes[-1]:
        axis.set_xlim(0, 2)
        axis.set_xticks([0, 1, 2], ["old", "new", "2×"])
    figure.suptitle(TURNS if turns(data) else TITLE, fontsize="medium", weight="bold")
    seeds = "Thin: seeds; thick: their mean" if at is None else "Mean over seeds"
    note = (
        f"{seeds}; dotted: TRPO's δ; 2×: as far again. "
        "Both methods from the same policies and batches."
    )
    style.legend_below(figure, looks, LABELS, note)
    return figure


def _say(axis: Axes, means_there: pd.DataFrame, column: str) -> None:
    """The numbers of both methods, in the corner that the lines leave free."""
    numbers = dict(zip(means_there.method, means_there[column], strict=True))
    text = "\n".join(f"{name.upper()} {numbers[name]:.3f}" for name in LABELS)
    concave = column.endswith("surrogate")
    x, y, ha, va = (0.97, 0.05, "right", "bottom") if concave else (0.03, 0.95, "left", "top")
    axis.text(x, y, text, transform=axis.transAxes, ha=ha, va=va, fontsize="small")


def caption(data: pd.DataFrame) -> str:
    """What is drawn, where PPO's objective is largest, and how far the new policies are."""
    clipped, free = (peaks(data, "ppo", name) for name in ("clipped_surrogate", "surrogate"))
    largest = "; ".join(
        f"on {NAMES.get(env, env)} at t = {clipped[env]:g}, unclipped at t = {free[env]:g}"
        for env in clipped
    )
    new: Any = means(data)[lambda rows: rows.t == 1].itertuples()
    moved = "; ".join(
        f"{LABELS[row.method].partition(',')[0]} on {NAMES.get(row.env, row.env)} "
        f"{row.kl:.3f} nats, "
        f"{100 * row.clip_fraction:.0f} %"
        for row in new
    )
    return CAPTION.format(
        env_steps=int(data.env_steps.max()),
        seeds=data.seed.nunique(),
        peaks=f"PPO's clipped surrogate is largest {largest} (t = 2 is the end of the line).",
        at_new=f"Mean KL at the new policy, and samples outside 1 ± 0.2: {moved}.",
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    kinds = "svg", "png", "csv", "caption.txt", "slider.json"
    names = "IN.csv", *(f"OUT.{kind}" for kind in kinds), "MANIFEST"
    given = given_files("analysis.probe_figures.update_line", names, arguments)
    source, svg, png, csv, text, moving, listed = map(Path, given)
    manifest.check([source])
    data = shown(pd.read_csv(source))
    style.save(draw(data), svg, png)
    write_atomically(csv, data.to_csv(index=False, float_format="%.6g").encode())
    write_atomically(text, caption(data).encode())
    points = sorted(data.t.unique())[::EVERY]
    figures = {STEP.format(t=t): draw(data, t) for t in points}
    slider.write(moving, "share of the update", STEP.format(t=1), figures)
    manifest.write(listed, [svg, png, csv, text, moving])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
