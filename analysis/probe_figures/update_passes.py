r"""One update pass by pass: how far the policy has moved, with the clip and without it.

python -m analysis.probe_figures.update_passes IN.csv OUT.svg OUT.png OUT.csv OUT.caption.txt \
    MANIFEST

IN.csv is written by ``replicate.probes.update_passes``; nothing is computed again here.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from analysis import manifest, style
from analysis.figures import Drawing, save
from analysis.probe_figures.update_line import NAMES
from analysis.summaries.update_passes import last_over_largest, paths
from replicate.messages import given_files, one_line_errors

LABELS = {"ppo": "PPO, ε = 0.2", "ppo_noclip": "the same without its clip"}
MIDDLE, LOW, HIGH = 0.5, 0.05, 0.95
TITLE = (
    "From an update's first pass to its last, KL grows\n{clip} with the clip and {free} without it"
)
CAPTION = """\
KL from the old policy after each pass over the batch, in one update of PPO at ε = 0.2 and of the \
same without its clip, from the same policies, batches and optimisers. Line: median, band: 5 to \
95 %, of the updates of each environment ({batches} in all, {seeds} seeds, PPO's training up to \
{env_steps:,} env steps). After the last pass the KL is, in the median, this share of the largest \
on the way to it: {falls}. Past the edge of the clip a sample has no gradient; the \
gradient of the others can move it on, and so can the momentum of the optimiser.
"""


def quantiles(data: pd.DataFrame) -> pd.DataFrame:
    """Of KL over the batches: a row for each environment, method and pass, a column for each."""
    tables = []
    for method in LABELS:
        by_env = paths(data, method).groupby("env", sort=False)
        # Between two ∞ there is no other number.
        of_pass = {
            q: by_env.quantile(q, interpolation="higher").stack() for q in (LOW, MIDDLE, HIGH)
        }
        tables.append(pd.DataFrame(of_pass).reset_index().assign(method=method))
    return pd.concat(tables, ignore_index=True)


def growth(data: pd.DataFrame, method: str) -> str:
    """Median KL after the last pass over that after the first: the range over environments."""
    rows = quantiles(data)[lambda table: table.method == method]
    medians = rows.pivot_table(index="env", columns="passes", values=MIDDLE)
    times = medians.iloc[:, -1] / medians.iloc[:, 0]
    low, high = (f"{time:.{1 if time < 10 else 0}f}" for time in (times.min(), times.max()))
    return f"{low} times" if low == high else f"{low} to {high} times"


def draw(data: pd.DataFrame) -> Figure:
    """A panel for each environment."""
    envs = list(dict.fromkeys(data.env))
    figure, axes = style.wrapped_panels(len(envs), 2.5, sharex=True, sharey=True)
    looks = style.lines(list(LABELS), front="ppo")
    table = quantiles(data)
    for axis, env in zip(axes, envs, strict=True):
        for method, look in looks.items():
            rows = table[(table.env == env) & (table.method == method)]
            style.band(axis, rows.passes, rows[LOW], rows[HIGH], look["color"])
            axis.plot(rows.passes, rows[MIDDLE], **look)
        axis.set_title(NAMES.get(env, env), fontsize="medium")
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_xticks([1, 3, 5, 10])
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("KL(old‖new)\nin nats")
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("passes over the batch")
    title = TITLE.format(clip=growth(data, "ppo"), free=growth(data, "ppo_noclip"))
    figure.suptitle(title, fontsize="medium", weight="bold")
    note = "Line: median; band: 5 to 95 % of updates. Both from the same policies and batches."
    style.legend_below(figure, looks, LABELS, note)
    return figure


def caption(data: pd.DataFrame) -> str:
    """What is drawn, and how far the KL of an update falls again."""
    shares = {
        method: last_over_largest(paths(data, method)).groupby("env", sort=False).median()
        for method in LABELS
    }
    falls = "; ".join(
        f"{NAMES.get(env, env)} {share:.2f} with the clip, {shares['ppo_noclip'][env]:.2f} without"
        for env, share in shares["ppo"].items()
    )
    return CAPTION.format(
        batches=len(paths(data, "ppo")),
        seeds=data.seed.nunique(),
        env_steps=int(data.env_steps.max()),
        falls=falls,
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "IN.csv", "OUT.svg", "OUT.png", "OUT.csv", "OUT.caption.txt", "MANIFEST"
    given = given_files("analysis.probe_figures.update_passes", names, arguments)
    source, *files = map(Path, given)
    manifest.check([source])
    data = pd.read_csv(source)
    save(Drawing(quantiles(data), draw(data), caption(data)), files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
