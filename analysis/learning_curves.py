"""Learning curves of a study.

python -m analysis.learning_curves PLAN.json EPISODES.parquet OUT.svg OUT.png OUT.csv
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis import style
from analysis.curves import binned, in_order


def draw(curves: pd.DataFrame, plan: dict[str, Any]) -> Figure:
    """One panel per environment: the mean over seeds, and every seed thin behind it."""
    style.use()
    envs, variants = in_order(plan, "env"), in_order(plan, "variant")
    labels = {entry["variant"]: entry["label"] for entry in plan["runs"]}
    looks = style.lines(variants)
    figure, axes = plt.subplots(1, len(envs), figsize=(6 * len(envs), 4.2), squeeze=False)
    for axis, env in zip(axes[0], envs, strict=True):
        for variant in variants:
            of_variant = curves[(curves.env == env) & (curves.variant == variant)]
            for _, seed in of_variant.groupby("seed"):
                axis.plot(seed.env_step, seed.episodic_return, alpha=0.3, lw=0.8, **looks[variant])
            mean = of_variant.groupby("env_step")["episodic_return"].mean()
            axis.plot(mean.index, mean, lw=2, label=labels[variant], **looks[variant])
        axis.set_title(env)
        axis.set_xlabel("env steps")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[0][0].set_ylabel("episodic return (raw, undiscounted)")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="upper center",
        ncols=len(names),
        frameon=False,
        bbox_to_anchor=(0.5, 0.02),
    )
    seeds = len(in_order(plan, "seed"))
    figure.text(
        0.5,
        -0.1,
        f"Thick: mean over {seeds} seeds; thin: every seed.  Each point is the mean return of the "
        "training episodes that ended in its bin.",
        ha="center",
        fontsize="small",
    )
    return figure


def main(arguments: list[str]) -> int:
    """The command line."""
    plan_file, episodes_file, svg, png, csv = map(Path, arguments)
    plan = json.loads(plan_file.read_text())
    episodes = pd.read_parquet(episodes_file)
    curves = binned(episodes, plan["total_env_steps"])
    curves.to_csv(csv, index=False, float_format="%.6g")
    style.save(draw(curves, plan), svg, png)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
