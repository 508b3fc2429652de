"""What the policy gets before its first update: u = 0 of the published scale.

python -m replicate.probes.untrained OUT.csv [MANIFEST]

One number per environment, whatever the recipe: actions are clipped to the box, as the environment
that they act on does.
"""

import statistics
import sys
from collections.abc import Iterator

import torch

from replicate import probes
from replicate.engine.rollout import collect, start
from replicate.engine.state import CohortState
from replicate.envs import check_env
from replicate.messages import say
from replicate.planning.composition import compose, options
from replicate.settings import Shared

SEEDS = 10
ENV_STEPS = 10_000
"""Of each seed: at least six episodes of the longest tasks."""
COLUMNS = ["env", "untrained", "standard_error", "episodes", "seeds"]
RECIPE = ("recipe=paper2017", "recipe.clip_actions=true")


def untrained(env: str) -> list[object] | None:
    """A row of ``COLUMNS``: mean over seeds of the mean undiscounted return of each.

    Actions are drawn from the initial policy.  All is one rollout, so that the observation filter,
    which moves after one, stays empty.  None: a seed sees no episode end.

    Raises:
        ConfigError: the environment cannot be trained on.

    """
    runs = compose(f"env={env}", *RECIPE, f"seed=range(0,{SEEDS})").runs
    check_env(runs[0].env)
    state = CohortState.fresh(runs, "cpu")
    lanes = list(range(SEEDS))
    recipe = Shared(runs[0].recipe)
    start(state.envs, state.filters, recipe)
    rollout = collect(state.learner, state.filters, state.envs, lanes, ENV_STEPS, recipe)
    returns = [[e.episodic_return for e in rollout.episodes if e.row == lane] for lane in lanes]
    if not all(returns):
        return None
    means = [statistics.fmean(of_seed) for of_seed in returns]
    error = statistics.stdev(means) / SEEDS**0.5
    count = len(rollout.episodes)
    return [
        env,
        f"{statistics.fmean(means):.6g}",
        f"{error:.3g}",
        count,
        SEEDS,
    ]


def every_environment() -> Iterator[list[object]]:
    """A row of each file of ``conf/env`` on which episodes end, told when it is known."""
    torch.set_num_threads(1)
    for env in options("env"):
        row = untrained(env)
        if row is None:
            say(f"left out: conf/env/{env}.yaml: no episode ends within {ENV_STEPS:,} env steps")
            continue
        say(" ".join(map(str, row)))
        yield row


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("untrained", COLUMNS, every_environment, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
