"""What the policy gets before its first update: u = 0 of the published scale.

python -m replicate.probes.untrained OUT.csv

One number per environment, whatever the recipe: actions are clipped to the box, as the environment
that they act on does.
"""

import csv
import io
import statistics
import sys
from pathlib import Path

import torch

from replicate.engine.rollout import collect, start
from replicate.engine.state import CohortState
from replicate.plan import compose, options
from replicate.records import write_atomically

SEEDS = 10
ENV_STEPS = 10_000
"""Of each seed: at least six episodes of the longest tasks."""
COLUMNS = ["env", "untrained", "standard_error", "episodes", "seeds"]
RECIPE = ("recipe=paper2017", "recipe.clip_actions=true")


def untrained(env: str) -> list[object]:
    """A row of ``COLUMNS``: mean over seeds of the mean undiscounted return of each.

    Actions are drawn from the initial policy; its observation filter moves as in training.
    """
    runs = compose(f"env={env}", *RECIPE, f"seed=range(0,{SEEDS})").runs
    state = CohortState.fresh(runs, "cpu")
    lanes = list(range(SEEDS))
    start(state.envs, state.filters, runs[0].recipe)
    rollout = collect(state.learner, state.filters, state.envs, lanes, ENV_STEPS, runs[0].recipe)
    returns = [[e.episodic_return for e in rollout.episodes if e.lane == lane] for lane in lanes]
    means = [statistics.fmean(found) for found in returns]
    error = statistics.stdev(means) / SEEDS**0.5
    count = len(rollout.episodes)
    return [
        env,
        f"{statistics.fmean(means):.6g}",
        f"{error:.3g}",
        count,
        SEEDS,
    ]


def main(arguments: list[str]) -> int:
    """The command line."""
    torch.set_num_threads(1)
    (out,) = arguments
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for env in options("env"):
        row = untrained(env)
        writer.writerow(row)
        print(*row, file=sys.stderr, flush=True)
    write_atomically(Path(out), text.getvalue().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
