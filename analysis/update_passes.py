"""One update pass by pass: KL with the clip, which later passes take back, and without it.

python -m analysis.update_passes IN.csv OUT.svg OUT.png OUT.csv OUT.caption.txt MANIFEST

IN.csv is written by ``replicate.probes.update_passes``; nothing is computed again here.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from analysis import manifest, style
from replicate.messages import given_files, one_line_errors
from replicate.store.files import write_atomically

LABELS = {"ppo": "PPO, ε = 0.2", "ppo_noclip": "the same without its clip"}
NAMES = {
    "half_cheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "inverted_double_pendulum": "InvertedDoublePendulum-v5",
    "inverted_pendulum": "InvertedPendulum-v5",
}
MIDDLE, LOW, HIGH = 0.5, 0.05, 0.95
TITLE = "One update pass by pass: how far the policy has moved"
HOLDS = "With the clip the later passes of an update hardly move the policy on"
ON = 1.25
"""The last pass hardly moves on what has at most so many times the median KL of the third."""
EARLY = 3
CAPTION = """\
KL from the old policy after each pass over the batch, of one update of PPO at ε = 0.2 and of the \
same without its clip, from the same policies, batches and optimisers. Line: median, band: 5 to \
95 %, of {batches} updates of each environment ({seeds} seeds, PPO's training up to {env_steps:,} \
env steps). With the clip the KL is largest before the last pass in {before}: the first passes \
overshoot, and where they did the clip's gradient brings samples back.
"""


def quantiles(data: pd.DataFrame) -> pd.DataFrame:
    """Of KL over the batches: a row for each environment, method and pass, a column for each."""
    of_pass = data.groupby(["env", "method", "passes"], sort=False).kl
    return of_pass.quantile([LOW, MIDDLE, HIGH]).unstack().reset_index()


def share_before_last(data: pd.DataFrame) -> dict[str, float]:
    """Environment → share of PPO's updates whose KL is largest before the last pass."""
    clipped = data[data.method == "ppo"]
    table = clipped.pivot_table(index=["env", "env_steps", "seed"], columns="passes", values="kl")
    before = table.idxmax(axis=1) < table.columns.max()
    return {
        str(env): float(share) for env, share in before.groupby("env", sort=False).mean().items()
    }


def holds(data: pd.DataFrame) -> bool:
    """Whether, with the clip, the median KL hardly grows after the third pass, everywhere."""
    table = quantiles(data[data.method == "ppo"]).pivot_table(
        index="env", columns="passes", values=MIDDLE
    )
    return bool((table[table.columns.max()] <= ON * table[EARLY]).all())


def draw(data: pd.DataFrame) -> Figure:
    """A panel for each environment."""
    envs = list(dict.fromkeys(data.env))
    figure, axes = style.wrapped_panels(len(envs), 2.5, sharex=True)
    looks = style.lines(list(LABELS), front="ppo")
    table = quantiles(data)
    for axis, env in zip(axes, envs, strict=True):
        for method, look in looks.items():
            rows = table[(table.env == env) & (table.method == method)]
            style.band(axis, rows.passes, rows[LOW], rows[HIGH], look["color"])
            axis.plot(rows.passes, rows[MIDDLE], **look)
        axis.set_title(NAMES.get(env, env))
        _scale(axis)
    for axis in axes[:: style.COLUMNS]:
        axis.set_ylabel("KL(old‖new)\nin nats")
    for axis in axes[-style.COLUMNS :]:
        axis.set_xlabel("passes over the batch")
    figure.suptitle(HOLDS if holds(data) else TITLE, fontsize="medium", weight="bold")
    note = "Line: median; band: 5 to 95 % of updates. Both from the same policies and batches."
    style.legend_below(figure, looks, LABELS, note)
    return figure


def _scale(axis: Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(LogFormatter())
    axis.set_xticks([1, 3, 5, 10])


def caption(data: pd.DataFrame) -> str:
    """What is drawn, and in how many updates the clip's later passes turn back."""
    before = share_before_last(data)
    return CAPTION.format(
        batches=len(data[["env_steps", "seed"]].drop_duplicates()),
        seeds=data.seed.nunique(),
        env_steps=int(data.env_steps.max()),
        before=", ".join(
            f"{100 * share:.0f} % on {NAMES.get(env, env)}" for env, share in before.items()
        ),
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "IN.csv", "OUT.svg", "OUT.png", "OUT.csv", "OUT.caption.txt", "MANIFEST"
    given = given_files("analysis.update_passes", names, arguments)
    source, svg, png, csv, text, listed = map(Path, given)
    manifest.check([source])
    data = pd.read_csv(source)
    style.save(draw(data), svg, png)
    write_atomically(csv, quantiles(data).to_csv(index=False, float_format="%.6g").encode())
    write_atomically(text, caption(data).encode())
    manifest.write(listed, [svg, png, csv, text])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
