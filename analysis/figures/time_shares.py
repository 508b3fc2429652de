"""Where the time went: the environment, the rest of the rollout, advantages, the update."""

import json

import pandas as pd

from analysis import style
from analysis.figures import Drawing
from analysis.study import Study
from replicate.messages import counted

ALL_SEEDS = True
"""Every panel is of one environment."""
PARTS = {
    "env_step": "environment step",
    "rest_of_rollout": "rest of the rollout",
    "advantages": "advantages",
    "update": "update",
}
HATCHES = ["", "//", "..", "xx"]


def cohorts(study: Study) -> pd.DataFrame:
    """One row per cohort of lanes that trained together, however many of its runs are here.

    Returns:
        ``env, algorithm, cpu, env_steps`` (of all its lanes) and ``PARTS``, in seconds.

    """
    algorithms = {v["name"]: v["algo"]["name"] for v in study.plan["variants"]}
    rows = []
    for run in study.runs:
        note = run["cohort"]
        seconds = note["seconds"]
        rows.append(
            {
                "env": run["env"],
                "algorithm": algorithms[run["variant"]],
                "cpu": run["cpu"],
                # Runs of one cohort share its clock readings and times.
                "cohort": json.dumps([run["started"], run["ended"], note], sort_keys=True),
                "env_steps": run["env_steps"] * note["lanes"],
                "env_step": seconds["env_step"],
                "rest_of_rollout": seconds["rollout"] - seconds["env_step"],
                "advantages": seconds["advantages"],
                "update": seconds["update"],
            }
        )
    keys = ["env", "algorithm", "cpu", "cohort"]
    # Equal within a cohort, but for the env steps of a run that diverged.
    table = pd.DataFrame(rows).groupby(keys, sort=False).mean().reset_index()
    return table.drop(columns="cohort")


def costs(study: Study) -> pd.DataFrame:
    """``env, algorithm, cpu, cohorts`` (number), ``env_steps`` and ``PARTS`` in µs per env step."""
    groups = cohorts(study).groupby(["env", "algorithm", "cpu"], sort=False)
    table = groups[["env_steps", *PARTS]].sum()
    table.insert(0, "cohorts", groups.size())
    table[[*PARTS]] = table[[*PARTS]].div(table.env_steps, axis=0) * 1e6
    return study.in_order(table.reset_index())


def draw(study: Study, measures: pd.DataFrame) -> Drawing:
    """One panel per environment, one bar per algorithm (and CPU, where there are several)."""
    table = costs(study)
    cpus = list(dict.fromkeys(table.cpu))
    several = len(cpus) > 1
    bars = list(table.groupby(["algorithm", "cpu"], sort=False).groups)
    names = [f"{algo.upper()}, {cpu}" if several else algo.upper() for algo, cpu in bars]
    height = 0.9 + 0.36 * len(bars)
    figure, axes = style.wrapped_panels(len(study.envs), height, sharex=True, sharey=True)
    looks = {
        part: {"facecolor": look["color"], "hatch": hatch, "edgecolor": "w", "lw": 0.5}
        for (part, look), hatch in zip(style.lines(list(PARTS)).items(), HATCHES, strict=True)
    }
    for axis, env in zip(axes, study.envs, strict=True):
        rows = table[table.env == env].set_index(["algorithm", "cpu"])
        for place, bar in enumerate(bars):
            if bar not in rows.index:
                continue
            left = 0.0
            for part, look in looks.items():
                width = float(rows.loc[bar, part])
                axis.barh(place, width, left=left, height=0.7, **look)
                left += width
            axis.text(left, place, f" {left:.0f}", va="center", fontsize="small")
        axis.set_title(study.env_labels[env])
        axis.grid(False, axis="y")
    axes[0].set_yticks(range(len(bars)), names)
    axes[0].set_ylim(len(bars) - 0.5, -0.5)
    axes[0].set_xlim(0, table[[*PARTS]].sum(axis=1).max() * 1.15)
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("µs per env step")
    total = int(table.cohorts.sum())
    note = (
        f"One core of {' or '.join(cpus)}; {counted(total, 'cohort')} of lanes trained in "
        "lockstep; the number is the sum."
    )
    style.patches_below(figure, looks, PARTS, note)
    caption = (
        f"{study.plan['title']}: where the time went, in µs per env step (all lanes of a cohort "
        f"together). {note} Each cohort counts once, in proportion to its env steps. Clock "
        "readings differ between machines and are not reproducible to the byte."
    )
    return Drawing(table, figure, caption)
