"""The lockstep loop: rollout, advantages, update, records – for all lanes of a cohort."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

import torch
from torch import Tensor

from replicate.algorithms.learner import Batch, Lanewise, Learner, distribution_on, values_on
from replicate.algorithms.own_objective import check_objective
from replicate.engine.rollout import (
    Rollout,
    collect,
    observation_filter,
    scaled_rewards,
    start,
)
from replicate.engine.state import CohortState, Filters
from replicate.envs import Episode
from replicate.maths.lanes import put_lanes_, take_lanes
from replicate.maths.returns import gae, standardise
from replicate.messages import ConfigError, first_line
from replicate.settings import ChangeSettings, RecipeSettings, RunSettings, Shared


@dataclass
class Progress:
    """Where a cohort stands, once per update.

    Args:
        env_steps: done, per lane.
        lanes: still training.
        mean_return: of the last 100 episodes of each lane, over all lanes; NaN before the first.

    """

    update: int
    num_updates: int
    env_steps: int
    lanes: int
    mean_return: float
    seconds: float

    @property
    def steps_per_second(self) -> float:
        """Env steps of all lanes per second."""
        return self.env_steps * self.lanes / self.seconds

    @property
    def seconds_left(self) -> float:
        """Estimate from the mean pace so far."""
        return self.seconds / self.update * (self.num_updates - self.update)


@dataclass
class LaneRecords:
    """What one run leaves behind, besides its settings."""

    episodes: list[dict[str, float]] = field(default_factory=list)
    updates: list[dict[str, float]] = field(default_factory=list)
    diverged_at_env_step: int | None = None


@dataclass
class CohortRecords:
    """Records of each lane, and where the time went, in seconds."""

    lanes: list[LaneRecords]
    seconds: dict[str, float]


def lane_values(runs: list[RunSettings], device: str, changed: bool = False) -> Lanewise:
    """The lane-wise settings of all runs, each ``[R]`` float32; "off" is ∞ or NaN.

    Args:
        changed: as they are after a change in mid-run.

    """
    of_runs = [run.lane_values(changed) for run in runs]
    return {
        key: torch.tensor([numbers[key] for numbers in of_runs], device=device)
        for key in of_runs[0]
    }


def scheduled(lane: Lanewise, recipe: Shared[RecipeSettings], fraction_left: float) -> Lanewise:
    """Lane-wise values for one update: end + (start − end)·``fraction_left`` of what anneals.

    Step sizes end at 0, ε at ``clip_epsilon_end``.

    Args:
        lane: as the settings have them.
        fraction_left: 1 − (updates done)/(updates planned).

    """
    ends: dict[str, Tensor | float] = {}
    if recipe.learning_rate_schedule == "linear":
        ends |= {"learning_rate": 0.0, "value_learning_rate": 0.0}
    if recipe.clip_epsilon_schedule == "linear":
        ends |= {"clip_epsilon": lane["clip_epsilon_end"]}
    return {
        name: ends[name] + (value - ends[name]) * fraction_left if name in ends else value
        for name, value in lane.items()
    }


def make_batch(
    rollout: Rollout,
    learner: Learner,
    filters: Filters,
    lane: Lanewise,
    recipe: Shared[RecipeSettings],
) -> Batch:
    """Advantages and targets from a rollout; moves the filters that move before optimising."""
    rewards = scaled_rewards(rollout, filters, lane["gamma"], recipe)
    value, weights = learner.value_function, learner.value_state.parameters
    values = values_on(value, weights, rollout.observations)
    advantages = gae(
        rewards,
        values,
        values_on(value, weights, rollout.next_observations),
        rollout.terminated if recipe.bootstrap_truncated else rollout.ended,
        rollout.ended,
        lane["gamma"],
        lane["gae_lambda"],
    )
    targets = advantages + values
    if recipe.advantage_normalization == "batch":
        advantages = standardise(advantages, recipe.advantage_epsilon, recipe.advantage_std)
    observations = rollout.observations
    if recipe.observation_filter == "per_batch_before_update":
        filters.observation_moments.update_(rollout.raw_observations)
        see = observation_filter(filters.observation_moments, recipe)
        observations = see(rollout.raw_observations)
    old_values = values
    if recipe.value_clip and recipe.observation_filter == "per_batch_before_update":
        # Like π_old, the old values are taken under the new filter: the first step is not clipped.
        old_values = values_on(value, weights, observations)
    old = distribution_on(learner.policy, learner.policy_state.parameters, observations)
    return Batch(
        observations=observations,
        actions=rollout.actions,
        old=old,
        old_log_prob=old.log_prob(rollout.actions),
        advantages=advantages,
        value_targets=targets,
        old_values=old_values,
    )


def update_algorithm(learner: Learner, batch: Batch, run: RunSettings, lane: Lanewise) -> Lanewise:
    """Update the learner by the module named after the algorithm; returns its diagnostics.

    Args:
        run: any of the lanes; only what they share is handed on.
        lane: what may differ between them.

    """
    update = update_of(run.algo.name)
    return update(learner, batch, Shared(run.algo), Shared(run.recipe), lane)


def shared_recipe(run: RunSettings) -> Shared[RecipeSettings]:
    """The recipe of a cohort; of ``value_clip``, which batches read, too, only where it counts."""
    recipe = run.recipe
    if "value_clip" in run.algo.without_effect()[1]:
        recipe = recipe.model_copy(update={"value_clip": False})
    return Shared(recipe)


def update_of(algorithm: str) -> Callable[..., Lanewise]:
    """The function ``update`` of the module named after an algorithm.

    Raises:
        ConfigError: there is none.

    """
    module = f"replicate.algorithms.{algorithm}"
    try:
        update: Callable[..., Lanewise] = import_module(module).update
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"algo={algorithm}: no {module}.update ({first_line(error)})") from None
    return update


def filter_kl(
    learner: Learner,
    rollout: Rollout,
    batch: Batch,
    filters: Filters,
    recipe: Shared[RecipeSettings],
) -> Tensor:
    """Mean KL(policy under the rollout's filter ‖ same policy under the filter after it), ``[R]``.

    Neither the clip nor the trust region bounds it (claim T1).  Call before the update.
    """
    if recipe.observation_filter == "per_batch_before_update":
        return rollout.behaviour.kl(batch.old).mean(1)
    if recipe.observation_filter == "none":
        return torch.zeros_like(learner.kl_beta)
    moments = filters.observation_moments
    if recipe.observation_filter == "per_batch_after_update":
        moments = take_lanes(moments, torch.arange(batch.lanes, device=batch.actions.device))
        moments.update_(rollout.raw_observations)
    after = observation_filter(moments, recipe)(rollout.raw_observations)
    moved = distribution_on(learner.policy, learner.policy_state.parameters, after)
    return rollout.behaviour.kl(moved).mean(1)


class Cohort:
    """Runs that train in lockstep.

    Args:
        runs: all with the same ``cohort_key``, each once.
        device: torch device of networks and batches.
        threads: of the physics; the numbers do not depend on it.

    Raises:
        ConfigError: the runs do not fit together, or their objective is wrong.

    """

    def __init__(self, runs: list[RunSettings], device: str = "cpu", threads: int = 1) -> None:
        if len({run.cohort_key() for run in runs}) != 1:
            raise ConfigError("runs of one cohort must share environment, algorithm and shapes")
        if len({run.digest for run in runs}) != len(runs):
            raise ConfigError("a run is given twice")
        if runs[0].algo.own_objective:
            check_objective(runs[0].algo.own_objective)
        self.runs = runs
        self.recipe = shared_recipe(runs[0])
        self.device = device
        self.state = CohortState.fresh(runs, device, threads)
        change = runs[0].change
        if change is not None and change.of_physics and not self.state.envs.is_mujoco:
            raise ConfigError(
                f"change: {runs[0].env.id} is no task of MuJoCo; gravity, friction and mass are its"
            )
        self.lane_values = lane_values(runs, device)
        self.changed_values = lane_values(runs, device, changed=True)
        self.records = CohortRecords(
            [LaneRecords() for _ in runs],
            {"rollout": 0.0, "env_step": 0.0, "advantages": 0.0, "update": 0.0},
        )
        start(self.state.envs, self.state.filters, Shared(runs[0].recipe))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Become what ``CohortState.tensors`` described.

        Raises:
            ReplayError: an environment does not come to where it was.

        """
        change = self.runs[0].change
        if change is not None and int(tensors["update"]) > self.runs[0].first_changed_update:
            self.state.envs.change_physics(change)
        self.state.restore(tensors)

    def _change_physics(self, change: ChangeSettings) -> None:
        """New episodes in other physics; what the running ones would have got is never known."""
        if not change.of_physics:
            return
        state = self.state
        state.envs.change_physics(change)
        state.envs.episodes += 1
        state.filters.discounted_return.zero_()
        start(state.envs, state.filters, Shared(self.runs[0].recipe))

    @property
    def num_updates(self) -> int:
        """Updates that every lane makes."""
        return self.runs[0].num_updates

    def train(self, report: Callable[[Progress], None] = lambda _: None) -> CohortRecords:
        """Train to the end; ``report`` is called after every update."""
        begin = time.perf_counter()
        first = self.state.update
        try:
            while self.state.update < self.num_updates and bool(self.state.alive.any()):
                self.step()
                done = self.state.update
                seconds = (time.perf_counter() - begin) * done / (done - first)
                report(self.progress(seconds))
        finally:
            self.state.envs.close()
        return self.records

    def progress(self, seconds: float) -> Progress:
        """Where the cohort stands."""
        recent = [lane.episodes[-100:] for lane in self.records.lanes]
        means = [sum(e["episodic_return"] for e in r) / len(r) for r in recent if r]
        steps = self.state.update * self.runs[0].algo.num_steps
        mean = sum(means) / len(means) if means else math.nan
        alive = max(int(self.state.alive.sum()), 1)
        return Progress(self.state.update, self.num_updates, steps, alive, mean, seconds)

    @torch.no_grad()
    def step(self) -> None:
        """One update of every lane that is alive."""
        state, run = self.state, self.runs[0]
        recipe, num_steps = self.recipe, run.algo.num_steps
        if run.change is not None and state.update == run.first_changed_update:
            self._change_physics(run.change)
        given = self.changed_values if run.is_changed(state.update) else self.lane_values
        clock = [time.perf_counter()]
        lanes = state.alive.nonzero()[:, 0]
        everyone = len(lanes) == len(self.runs)
        index = lanes.to(self.device)
        learner = state.learner if everyone else take_lanes(state.learner, index)
        filters = state.filters if everyone else take_lanes(state.filters, index)
        fraction_left = 1 - state.update / self.num_updates
        lane = scheduled(
            {name: value[index] for name, value in given.items()}, recipe, fraction_left
        )

        rollout = collect(learner, filters, state.envs, lanes.tolist(), num_steps, recipe)
        clock.append(time.perf_counter())
        batch = make_batch(rollout, learner, filters, lane, recipe)
        moved = filter_kl(learner, rollout, batch, filters, recipe)
        clock.append(time.perf_counter())
        result = update_algorithm(learner, batch, run, lane)
        if recipe.observation_filter == "per_batch_after_update":
            filters.observation_moments.update_(rollout.raw_observations)
        clock.append(time.perf_counter())

        if not everyone:
            put_lanes_(state.learner, index, learner)
            put_lanes_(state.filters, index, filters)
        result = {
            **result,
            "filter_kl": moved,
            "learning_rate": lane.get("learning_rate", torch.full_like(moved, math.nan)),
            "clip_epsilon": lane.get("clip_epsilon", torch.full_like(moved, math.nan)),
        }
        self._record(rollout, result, lanes, learner)
        state.update += 1
        seconds = self.records.seconds
        for name, begin, end in zip(
            ("rollout", "advantages", "update"), clock, clock[1:], strict=False
        ):
            seconds[name] += end - begin
        seconds["env_step"] = state.envs.seconds

    def _record(self, rollout: Rollout, result: Lanewise, lanes: Tensor, learner: Learner) -> None:
        """Append what happened; mark lanes that left the finite numbers as diverged."""
        num_steps = rollout.rewards.shape[1]
        steps_before = self.state.update * num_steps
        trained = (learner.policy_state, learner.value_state)
        # A second moment that overflowed never lets its parameter move again.
        learnt = [x for state in trained for x in (state.parameters, state.adam.second)]
        finite = torch.cat(learnt, 1).isfinite().all(1).tolist()
        columns = {name: value.tolist() for name, value in result.items()}
        ended_at = [t if t >= 0 else num_steps for t in rollout.diverged_at.tolist()]
        for episode in rollout.episodes:
            # Finite rewards can have an infinite sum, which could not be recorded.
            if abs(episode.episodic_return) > torch.finfo(torch.float32).max:
                ended_at[episode.row] = min(ended_at[episode.row], episode.step)
        for row, index in enumerate(lanes.tolist()):
            record = self.records.lanes[index]
            row_values = {name: column[row] for name, column in columns.items()}
            record.updates.append(
                {"update": self.state.update, "env_step": steps_before + num_steps, **row_values}
            )
            if ended_at[row] < num_steps or not finite[row]:
                record.diverged_at_env_step = steps_before + ended_at[row]
                self.state.alive[index] = False
        for episode in rollout.episodes:
            if episode.step < ended_at[episode.row]:
                record = self.records.lanes[int(lanes[episode.row])]
                record.episodes.append(episode_row(episode, steps_before))


def episode_row(episode: Episode, steps_before: int) -> dict[str, float]:
    """An episode as a row of ``episodes.parquet``."""
    return {
        "env_step": steps_before + episode.step + 1,
        "episodic_return": episode.episodic_return,
        "episodic_length": episode.length,
        "terminated": episode.terminated,
    }
