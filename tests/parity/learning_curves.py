"""Our learning curves against Stable-Baselines3's: difference, interval, picture.

    python -m tests.parity.learning_curves SB3.csv RUNS OUT

SB3.csv comes from ``tests.parity.sb3_curves`` (results/reference/sb3_episodes.csv.gz is one);
RUNS is the folder of our runs::

    common="recipe=modern total_env_steps=200000 out=RUNS"
    python -m replicate -m $common env=half_cheetah,hopper algo=ppo 'seed=range(0,30)'
    python -m replicate -m $common env=half_cheetah algo=trpo 'seed=range(0,10)' \\
        algo.max_kl=0.06 algo.damping=0.6
    python -m replicate -m $common env=hopper algo=trpo 'seed=range(0,20)' \\
        algo.max_kl=0.03 algo.damping=0.3

(sb3-contrib averages a Gaussian's KL over the action dimensions, where the KL is their sum: its
target_kl and damping are ours divided by the number of actions, 6 and 3.)

Writes OUT.csv (binned curves of both), OUT.json (the comparison) and OUT.png.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from analysis import manifest, style
from analysis.curves import binned
from replicate.messages import given_files, one_line_errors
from replicate.store.records import read_description, read_table

TOTAL_ENV_STEPS = 200_000
LAST_ENV_STEPS = 40_000


def our_episodes(runs: Path) -> pd.DataFrame:
    """Episodes of all finished runs in a folder."""
    frames = []
    for folder in sorted(f.parent for f in runs.glob("*/run.json")):
        settings = read_description(folder)["settings"]
        labels = {
            "implementation": "ours",
            "algorithm": settings["algo"]["name"],
            "env": settings["env"]["id"],
            "seed": settings["seed"],
        }
        frame = read_table(folder, "episodes").to_pandas()
        frames.append(frame[["env_step", "episodic_return"]].assign(**labels))
    return pd.concat(frames, ignore_index=True)


def compare(episodes: pd.DataFrame) -> pd.DataFrame:
    """Welch's interval of the difference of two scores of a run.

    ``last``: mean return of the episodes that ended in the last 40k env steps;
    ``whole``: mean of the binned learning curve (its area).
    """
    keys = ["algorithm", "env", "implementation", "seed"]
    late = episodes[episodes.env_step > TOTAL_ENV_STEPS - LAST_ENV_STEPS]
    curves = curves_of(episodes)
    scores = {
        "last": late.groupby(keys).episodic_return.mean(),
        "whole": curves.groupby(keys).episodic_return.mean(),
    }
    rows = []
    for name, score in scores.items():
        for (algorithm, env), part in score.groupby(level=["algorithm", "env"]):
            if part.index.unique("implementation").size < 2:
                continue
            ours, theirs = (part.xs(i, level="implementation").values for i in ("ours", "sb3"))
            test = stats.ttest_ind(ours, theirs, equal_var=False)
            interval = test.confidence_interval(0.95)
            rows.append(
                {
                    "algorithm": algorithm,
                    "env": env,
                    "score": name,
                    "ours": ours.mean(),
                    "ours_seeds": len(ours),
                    "sb3": theirs.mean(),
                    "sb3_seeds": len(theirs),
                    "difference": ours.mean() - theirs.mean(),
                    "low": interval.low,
                    "high": interval.high,
                    "spread_of_both": float(np.sqrt(ours.var(ddof=1) + theirs.var(ddof=1))),
                    "p": test.pvalue,
                }
            )
    return pd.DataFrame(rows)


def curves_of(episodes: pd.DataFrame) -> pd.DataFrame:
    """Binned curves, per implementation and algorithm."""
    variant = episodes.implementation + "/" + episodes.algorithm
    curves = binned(episodes.assign(variant=variant), TOTAL_ENV_STEPS)
    curves[["implementation", "algorithm"]] = curves.variant.str.split("/", expand=True).values
    return curves.drop(columns="variant")


def draw(curves: pd.DataFrame, out: Path) -> None:
    """One panel per algorithm and environment."""
    style.use()
    panels = sorted({(a, e) for a, e in zip(curves.algorithm, curves.env, strict=True)})
    looks = style.lines(["ours", "sb3"])
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.8))
    for axis, (algorithm, env) in zip(axes, panels, strict=True):
        for name in ("ours", "sb3"):
            of_panel = curves[(curves.algorithm == algorithm) & (curves.env == env)]
            part = of_panel[of_panel.implementation == name]
            for _, seed in part.groupby("seed"):
                axis.plot(seed.env_step, seed.episodic_return, **{**looks[name], **style.SEED_LINE})
            mean = part.groupby("env_step").episodic_return.mean()
            seeds = part.seed.nunique()
            label = f"{'this suite' if name == 'ours' else 'Stable-Baselines3'} ({seeds} seeds)"
            axis.plot(mean.index, mean, label=label, **looks[name])
        axis.set_title(f"{algorithm.upper()}, {env}")
        axis.set_xlabel("env steps")
        axis.legend(fontsize="small")
    axes[0].set_ylabel("episodic return (raw)")
    figure.tight_layout()
    figure.savefig(out, dpi=110, metadata={"Software": None})


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "SB3.csv", "RUNS", "OUT.png"
    sb3, runs, out = map(Path, given_files("tests.parity.learning_curves", names, arguments))
    episodes = pd.concat([our_episodes(runs), pd.read_csv(sb3)], ignore_index=True)
    episodes = episodes[episodes.env.isin(["HalfCheetah-v5", "Hopper-v5"])]
    curves = curves_of(episodes)
    table = compare(episodes)
    out.parent.mkdir(parents=True, exist_ok=True)
    curves.to_csv(out.with_suffix(".csv"), index=False, float_format="%.5g")
    table.to_json(out.with_suffix(".json"), orient="records", indent=1)
    manifest.renew(out.with_suffix(".csv"), out.with_suffix(".json"))
    draw(curves, out.with_suffix(".png"))
    print(table.round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
