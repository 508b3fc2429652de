"""Claims N4 and C4: what each update rule does to one policy, from one and the same batch.

python -m replicate.probes.update_anatomy ANATOMY.csv LINE.csv

PPO trains under the recipe of its paper.  At some points of the training a batch is frozen: the one
that the training itself takes next.  From the same parameters and on the same batch every rule then
makes one update, by the engine's own function, and the training goes on as if nothing had happened.

PPO, with and without its clip, steps with the optimiser that the training has.  Naive policy
gradient begins with a fresh one: the moments of PPO's minibatches are those of another method.

``results/reference/probes/update_anatomy.csv`` has a row for each update, with ``COLUMNS``:

``env_steps``: trained so far.  ``setting``: ε of ``ppo`` and ``ppo_max``, ∞ of ``ppo_noclip``,
δ of ``trpo``, the step size of ``vpg``.  ``kl`` and ``kl_max``: KL(old‖new) in nats, mean and
largest over the states of the batch.  ``entropy_change``: new − old, nats, mean.  ``ratio_99``,
``ratio_max``: 99 % quantile and largest of r = π_new(a|s)/π_old(a|s) over the batch;
``ratio_deviation_99``, ``ratio_deviation_max``: of |r − 1|.  ``outside``, ``outside_own``: share of
samples with |r − 1| > 0.2, and > the rule's own ε (empty: it has none).
``effective_sample_size``: (Σr)²/(B·Σr²), a share.  ``old_return``, ``new_return``: mean
undiscounted return over the same fresh episodes, action noise included, the observation filter held
(empty: the policy left the finite numbers).

``update_line.csv`` has the points θ_old + t·(θ_new − θ_old) of the update at the setting of
``conf/algo``, with ``LINE_COLUMNS``: ``surrogate`` is the mean of r·Â over the batch,
``clipped_surrogate`` that of PPO's objective at ε = 0.2, ``clip_fraction`` the share of samples
with |r − 1| > 0.2.  Advantages have mean 0 and standard deviation 1 over the batch.
Source: PPO paper (arXiv 1707.06347), Figure 2.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor

from replicate import probes
from replicate.algorithms.learner import (
    REFERENCE_CLIP_EPSILON,
    Batch,
    Learner,
    Trained,
    distribution_on,
)
from replicate.engine.cohort import Cohort, lane_values, make_batch, update_algorithm
from replicate.engine.rollout import collect
from replicate.engine.seeding import generator
from replicate.engine.state import Filters
from replicate.envs import Envs, make_envs
from replicate.maths.diagnostics import clip_fraction, effective_sample_size
from replicate.maths.distributions import Distribution
from replicate.maths.lanes import take_lanes
from replicate.maths.objectives import clipped_surrogate, surrogate
from replicate.messages import Parser, one_line_errors, say
from replicate.planning.composition import compose
from replicate.settings import RunSettings, Shared
from replicate.store.files import check_writable


@dataclass(frozen=True)
class Method:
    """An update rule and its settings.

    Args:
        name: in the record.
        choice: of ``conf/algo``, with what the rule is besides its setting.
        key: of the setting; empty: it has none, which counts as ∞.
        settings: that are tried.
        usual: the one of ``conf/algo``, along whose update the line is walked.

    """

    name: str
    choice: tuple[str, ...]
    key: str
    settings: tuple[float, ...]
    usual: float

    def overrides(self, setting: float) -> list[str]:
        """Hydra overrides that compose this rule at a setting."""
        return [*self.choice, *([f"{self.key}={setting}"] if self.key else [])]

    @property
    def clips(self) -> bool:
        """Whether its setting is an ε."""
        return self.key == "algo.clip_epsilon"


METHODS = (
    Method("ppo", ("algo=ppo",), "algo.clip_epsilon", (0.05, 0.1, 0.2, 0.3, 0.5), 0.2),
    Method("ppo_noclip", ("algo=ppo", "algo.objective=none"), "", (math.inf,), math.inf),
    Method("ppo_max", ("algo=ppo", "algo.bound=max"), "algo.clip_epsilon", (0.2,), 0.2),
    Method("trpo", ("algo=trpo",), "algo.max_kl", (0.001, 0.01, 0.1), 0.01),
    Method(
        "vpg",
        ("algo=vpg",),
        "algo.learning_rate",
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        3e-4,
    ),
)
TIMES = tuple(step / 10 for step in range(21))
"""t along the line: 0 the old policy, 1 the new one."""
TOP_SHARE = 0.99
FRESH_SEED = 1000
"""Episodes of these seeds and above belong to no training here."""
STEPS_AT_ONCE = 100
"""Of fresh episodes; lanes that have ended leave in between."""
KEYS = ["env", "env_steps", "seed", "method", "setting"]
COLUMNS = [
    *KEYS,
    "kl",
    "kl_max",
    "entropy_change",
    "ratio_99",
    "ratio_max",
    "ratio_deviation_99",
    "ratio_deviation_max",
    "outside",
    "outside_own",
    "effective_sample_size",
    "old_return",
    "new_return",
]
LINE_COLUMNS = [
    *KEYS,
    "t",
    "surrogate",
    "clipped_surrogate",
    "kl",
    "clip_fraction",
    "effective_sample_size",
]
Row = list[object]


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Args:
        envs: files of ``conf/env``.
        seeds: runs of each environment, from seed 0 on.
        updates: done by the training before each frozen batch, ascending.
        episodes: fresh ones of each policy.
        shape: overrides of every rule's settings: batch and network.

    """

    envs: tuple[str, ...] = ("hopper", "half_cheetah")
    seeds: int = 5
    updates: tuple[int, ...] = (0, 10, 49)
    episodes: int = 5
    shape: tuple[str, ...] = ()

    def runs(self, env: str, *overrides: str) -> list[RunSettings]:
        """Lanes of one rule."""
        seeds = f"seed=range(0,{self.seeds})"
        return compose(f"env={env}", "recipe=paper2017", *overrides, *self.shape, seeds).runs


WHOLE = Extent()


@dataclass(frozen=True)
class Frozen:
    """What every rule starts from, and nothing changes.

    Args:
        learner: of all lanes, its generators as they are after the rollout.
        filters: after the batch; fresh episodes are seen through them.

    """

    learner: Learner
    filters: Filters
    batch: Batch


class Clock:
    """Tells how far a probe is: updates of the trainings, and frozen batches."""

    def __init__(self, extent: Extent) -> None:
        self._left = {
            "update": extent.updates[-1] * len(extent.envs),
            "batch": len(extent.updates) * len(extent.envs),
        }
        self._done = dict.fromkeys(self._left, 0)
        self._seconds = dict.fromkeys(self._left, 0.0)
        self._last = time.perf_counter()

    def tick(self, kind: str) -> None:
        """One more of a kind is done."""
        now = time.perf_counter()
        self._seconds[kind] += now - self._last
        self._last = now
        self._left[kind] -= 1
        self._done[kind] += 1

    @property
    def left(self) -> str:
        """Time left, h:mm:ss, if updates and batches go on at their mean pace so far."""
        pace = {kind: self._seconds[kind] / max(self._done[kind], 1) for kind in self._left}
        seconds = sum(pace[kind] * self._left[kind] for kind in self._left)
        return str(timedelta(seconds=round(seconds)))


@torch.no_grad()
def update_anatomy(extent: Extent = WHOLE) -> tuple[list[Row], list[Row]]:
    """Rows of ``COLUMNS``, and of ``LINE_COLUMNS``."""
    clock = Clock(extent)
    anatomy: list[Row] = []
    line: list[Row] = []
    for env in extent.envs:
        cohort = Cohort(extent.runs(env, "algo=ppo"))
        seeds = [
            FRESH_SEED * (seed + 1) + episode
            for seed in range(extent.seeds)
            for episode in range(extent.episodes)
        ]
        # The old policy, and that of each rule at each setting.
        policies = 1 + sum(len(method.settings) for method in METHODS)
        fresh = make_envs(cohort.runs[0].env, seeds * policies)
        for updates in extent.updates:
            while cohort.state.update < updates:
                cohort.step()
                clock.tick("update")
            of_updates, of_line = at_one_point(cohort, fresh, env, extent)
            anatomy += of_updates
            line += of_line
            clock.tick("batch")
            say(f"{env}: frozen batch after {updates} updates, {clock.left} left")
        cohort.state.envs.close()
        fresh.close()
    return anatomy, line


def at_one_point(
    cohort: Cohort, fresh: Envs, env: str, extent: Extent
) -> tuple[list[Row], list[Row]]:
    """Rows of the frozen batches, one of each lane, that a training takes next."""
    frozen = freeze(cohort)
    env_steps = cohort.state.update * cohort.runs[0].algo.num_steps
    updates: list[tuple[Method, float, dict[str, Tensor]]] = []
    policies = [frozen.learner.policy_state.parameters]
    line: list[Row] = []
    for method in METHODS:
        for setting in method.settings:
            runs = extent.runs(env, *method.overrides(setting))
            new = updated(frozen, runs).policy_state.parameters
            updates.append((method, setting, measured(frozen, new, method, setting)))
            policies.append(new)
            if setting == method.usual:
                for t, numbers in along(frozen, new):
                    keys: Row = [method.name, f"{setting:g}", f"{t:g}"]
                    line += rows([env, env_steps], keys, numbers)
    old, *others = mean_returns(frozen, policies, fresh, extent.episodes, cohort.runs[0])
    anatomy: list[Row] = []
    for (method, setting, numbers), new in zip(updates, others, strict=True):
        numbers |= {"old_return": old, "new_return": new}
        anatomy += rows([env, env_steps], [method.name, f"{setting:g}"], numbers)
    return anatomy, line


def rows(before: Row, after: Row, numbers: dict[str, Tensor]) -> list[Row]:
    """A row of each lane; ``numbers`` are ``[R]``, and NaN is empty."""
    columns = zip(*(values.tolist() for values in numbers.values()), strict=True)
    return [
        [*before, seed, *after, *("" if math.isnan(x) else f"{x:.6g}" for x in values)]
        for seed, values in enumerate(columns)
    ]


def freeze(cohort: Cohort) -> Frozen:
    """The batch that the training takes next; the cohort is afterwards as it was."""
    state, recipe = cohort.state, Shared(cohort.runs[0].recipe)
    lanes = list(range(len(cohort.runs)))
    before = state.tensors()
    num_steps = cohort.runs[0].algo.num_steps
    rollout = collect(state.learner, state.filters, state.envs, lanes, num_steps, recipe)
    batch = make_batch(rollout, state.learner, state.filters, cohort.lane_values, recipe)
    frozen = Frozen(copied(state.learner), take_lanes(state.filters, torch.tensor(lanes)), batch)
    state.restore(before)
    return frozen


def copied(learner: Learner) -> Learner:
    """A learner of its own, with the same random numbers before it."""
    copy = take_lanes(learner, torch.arange(len(learner.generators)))
    return replace(copy, generators=[g.clone_state() for g in learner.generators])


def updated(frozen: Frozen, runs: list[RunSettings]) -> Learner:
    """A copy of the learner after one update under the settings of ``runs``, one per lane."""
    learner = copied(frozen.learner)
    if runs[0].algo.name == "vpg":
        learner.policy_state = Trained.fresh(learner.policy_state.parameters)
    update_algorithm(learner, frozen.batch, runs[0], lane_values(runs, "cpu"))
    return learner


def policy_on(frozen: Frozen, parameters: Tensor) -> tuple[Distribution, Tensor]:
    """π(·|s) on the frozen batch, and log r of its actions ``[R, T]``."""
    batch = frozen.batch
    new = distribution_on(frozen.learner.policy, parameters, batch.observations)
    return new, new.log_prob(batch.actions) - batch.old_log_prob


def effective_share(log_ratio: Tensor) -> Tensor:
    """(Σr)²/(B·Σr²), ``[R]``: the same for r over its largest, which never overflows."""
    return effective_sample_size((log_ratio - log_ratio.amax(1, keepdim=True)).exp())


def measured(
    frozen: Frozen, parameters: Tensor, method: Method, setting: float
) -> dict[str, Tensor]:
    """What an update did to the policies, each ``[R]``: ``COLUMNS`` but for keys and returns."""
    new, log_ratio = policy_on(frozen, parameters)
    kl = frozen.batch.old.kl(new)
    ratio = log_ratio.exp()
    deviation = (ratio - 1).abs()
    own = torch.full(ratio.shape[:1], setting if method.clips else math.nan)
    return {
        "kl": kl.mean(1),
        "kl_max": kl.amax(1),
        "entropy_change": new.entropy().mean(1) - frozen.batch.old.entropy().mean(1),
        "ratio_99": top(ratio),
        "ratio_max": ratio.amax(1),
        "ratio_deviation_99": top(deviation),
        "ratio_deviation_max": deviation.amax(1),
        "outside": clip_fraction(ratio, torch.full_like(own, REFERENCE_CLIP_EPSILON)),
        "outside_own": torch.where(own.isnan(), own, clip_fraction(ratio, own)),
        "effective_sample_size": effective_share(log_ratio),
    }


def top(values: Tensor) -> Tensor:
    """99 % quantile ``[R]`` of ``[R, T]``; an entry, since between two ∞ − ∞ would be NaN."""
    return values.quantile(TOP_SHARE, 1, interpolation="higher")


def along(frozen: Frozen, new: Tensor) -> Iterator[tuple[float, dict[str, Tensor]]]:
    """t and the numbers of ``LINE_COLUMNS``, each ``[R]``, at θ_old + t·(θ_new − θ_old)."""
    old, advantages = frozen.learner.policy_state.parameters, frozen.batch.advantages
    epsilon = torch.full(advantages.shape[:1], REFERENCE_CLIP_EPSILON)
    for t in TIMES:
        policy, log_ratio = policy_on(frozen, torch.lerp(old, new, t))
        ratio = log_ratio.exp()
        yield (
            t,
            {
                "surrogate": surrogate(ratio, advantages).mean(1),
                "clipped_surrogate": clipped_surrogate(ratio, advantages, epsilon).mean(1),
                "kl": frozen.batch.old.kl(policy).mean(1),
                "clip_fraction": clip_fraction(ratio, epsilon),
                "effective_sample_size": effective_share(log_ratio),
            },
        )


def mean_returns(
    frozen: Frozen, policies: list[Tensor], fresh: Envs, episodes: int, run: RunSettings
) -> list[Tensor]:
    """Mean undiscounted return ``[R]`` of each policy, over the same episodes with the same noise.

    Args:
        policies: parameters ``[R, P]`` each.
        fresh: an environment for each policy, lane and episode, in that order.
        episodes: of each policy and lane.
        run: any of the lanes.

    """
    recipe = Shared(run.recipe)
    count = policies[0].shape[0]
    lane = torch.arange(count).repeat_interleave(episodes).repeat(len(policies))
    learner = replace(
        take_lanes(frozen.learner, lane),
        policy_state=Trained.fresh(torch.cat(policies).repeat_interleave(episodes, 0)),
        generators=[generator(seed, "training") for seed in fresh.seeds],
    )
    filters = take_lanes(frozen.filters, lane)
    fresh.episodes[:] = 0
    fresh.reset()
    returns = torch.full((len(lane),), math.nan)
    left = torch.arange(len(lane))
    while len(left):
        rollout = collect(
            take_lanes(learner, left),
            take_lanes(filters, left),
            fresh,
            left.tolist(),
            STEPS_AT_ONCE,
            recipe,
        )
        going = rollout.diverged_at < 0
        for episode in rollout.episodes:
            if going[episode.row]:  # the first that ends
                returns[left[episode.row]] = episode.episodic_return
                going[episode.row] = False
        left = left[going]
    return list(returns.view(len(policies), count, episodes).mean(2))


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m replicate.probes.update_anatomy")
    parser.add_argument("anatomy", type=Path, metavar="ANATOMY.csv")
    parser.add_argument("line", type=Path, metavar="LINE.csv")
    options = parser.parse_args(arguments)
    for file in (options.anatomy, options.line):
        check_writable(file.parent)
    torch.set_num_threads(1)
    anatomy, line = update_anatomy()
    probes.write_csv(options.anatomy, COLUMNS, anatomy)
    probes.write_csv(options.line, LINE_COLUMNS, line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
