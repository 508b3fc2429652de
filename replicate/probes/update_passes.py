"""Claim S3: how far each pass of one PPO update moves the policy, with the clip and without.

python -m replicate.probes.update_passes OUT.csv [MANIFEST]

PPO trains under the recipe of its paper, on the environments that study ``early_stopping`` has at
scale ``ledger``.  Before updates 0, 8, … 72 the batch is frozen that the training takes next; from
the same parameters, optimiser and random numbers an update of one pass is made, one of two passes,
and so on: the policies after each pass of the whole one.  The training goes on as if nothing had
happened.

``results/reference/probes/update_passes.csv`` has a row for each, with ``COLUMNS``: ``env_steps``:
trained so far.  ``method``: ``ppo`` at the ε of ``conf/algo``, ``ppo_noclip`` without its clip.
``passes``: made over the batch.  ``kl``: KL(old‖new) in nats, mean over the states of the batch.
"""

import sys
from collections.abc import Iterator

import torch

from replicate import probes
from replicate.engine.cohort import Cohort
from replicate.messages import say
from replicate.probes.update_anatomy import Clock, Extent, Row, freeze, policy_on, rows, updated

METHODS = {"ppo": ("algo=ppo",), "ppo_noclip": ("algo=ppo", "algo.objective=none")}
PASSES = 10
"""Of ``conf/algo/ppo.yaml``."""
WHOLE = Extent(
    envs=("half_cheetah", "hopper", "inverted_double_pendulum", "inverted_pendulum"),
    updates=tuple(range(0, 80, 8)),
)
COLUMNS = ["env", "env_steps", "seed", "method", "passes", "kl"]


@torch.no_grad()
def update_passes(extent: Extent = WHOLE) -> Iterator[Row]:
    """Rows of ``COLUMNS``."""
    clock = Clock(extent)
    for env in extent.envs:
        cohort = Cohort(extent.runs(env, "algo=ppo"))
        num_steps = cohort.runs[0].algo.num_steps
        variants = [
            (method, passes, extent.runs(env, *choice, f"algo.update_epochs={passes}"))
            for method, choice in METHODS.items()
            for passes in range(1, PASSES + 1)
        ]
        for updates in extent.updates:
            while cohort.state.update < updates:
                cohort.step()
                clock.tick("update")
            frozen = freeze(cohort)
            for method, passes, runs in variants:
                parameters = updated(frozen, runs).policy_state.parameters
                new, _ = policy_on(frozen, parameters)
                numbers = {"kl": frozen.batch.old.kl(new).mean(1)}
                yield from rows([env, updates * num_steps], [method, passes], numbers)
            clock.tick("batch")
            say(f"{env}: frozen batch after {updates} updates, {clock.left} left")
        cohort.state.envs.close()


def main(arguments: list[str]) -> int:
    """The command line."""
    torch.set_num_threads(1)
    return probes.main("update_passes", COLUMNS, update_passes, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
