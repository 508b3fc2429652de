"""What a rollout under the details of 2017 hands on, computed by hand on a known environment."""

import numpy as np
import pytest
import torch

from replicate.algorithms.learner import distribution_on, values_on
from replicate.engine.cohort import Cohort, lane_values, make_batch
from replicate.engine.rollout import Rollout, collect
from replicate.settings import Shared
from tests import toy_envs
from tests.conftest import runs_of

assert toy_envs.TOYS  # registered

STEPS = 7
LENGTH = 3
"""Steps of an episode, after which its time is up."""
COUNTS = [0, 1, 2, 0, 1, 2, 0]
NEXT_COUNTS = [1, 2, 3, 1, 2, 3, 1]
# The second rollout goes on where the first stopped.
SECOND, SECOND_NEXT = [1, 2, 0, 1, 2, 0, 1], [2, 3, 1, 2, 3, 1, 2]
SECOND_ENDED = [False, True, False, False, True, False, False]
GAMMA, LAMBDA = 0.9, 0.8
PRIOR, FLOOR, LIMIT = 0.01, 0.01, 5.0
"""Of ``conf/recipe/paper2017.yaml``: openai/baselines@da99706, common/mpi_running_mean_std.py."""


def second_rollout() -> tuple[Cohort, Rollout]:
    """Of a counter, when one update has moved the filter away from mean 0 and variance 1."""
    runs = runs_of(
        *("env=cart_pole", "env.id=Counter-v0", f"env.kwargs.max_episode_steps={LENGTH}"),
        *("algo=vpg", f"algo.num_steps={STEPS}", f"algo.value_minibatch_size={STEPS}"),
        *("recipe=paper2017", "algo.hidden_sizes=[8]"),
        *(f"algo.gamma={GAMMA}", f"algo.gae_lambda={LAMBDA}", f"total_env_steps={3 * STEPS}"),
    )
    cohort = Cohort(runs)
    cohort.step()
    state = cohort.state
    with torch.no_grad():
        rollout = collect(
            state.learner, state.filters, state.envs, [0], STEPS, Shared(runs[0].recipe)
        )
    return cohort, rollout


def filtered(values: list[int], stream: list[int]) -> list[float]:
    """clip((x − mean)/std, ±5) under the moments of a stream and its prior."""
    count = PRIOR + len(stream)
    mean = sum(stream) / count
    variance = (PRIOR + sum(x * x for x in stream)) / count - mean**2
    std = max(variance, FLOOR) ** 0.5
    return [min(max((x - mean) / std, -LIMIT), LIMIT) for x in values]


def test_every_observation_is_seen_under_the_filter_of_the_rollout() -> None:
    _, rollout = second_rollout()
    assert rollout.raw_observations.flatten().tolist() == SECOND
    assert rollout.ended.flatten().tolist() == SECOND_ENDED
    assert rollout.rewards.flatten().tolist() == [n**2 for n in SECOND_NEXT]
    for seen, raw in ((rollout.observations, SECOND), (rollout.next_observations, SECOND_NEXT)):
        assert seen.flatten().tolist() == pytest.approx(filtered(raw, COUNTS), rel=1e-5)


def test_a_batch_has_the_advantages_and_targets_that_a_loop_finds() -> None:
    """Generalised advantages (Schulman et al. 2016, eq. 16), no value beyond a time limit."""
    cohort, rollout = second_rollout()
    learner, run = cohort.state.learner, cohort.runs[0]
    value = learner.value_function, learner.value_state.parameters

    def v(counts: list[int]) -> list[float]:
        states = torch.tensor(filtered(counts, COUNTS)).view(1, -1, 1)
        of_lane: list[float] = values_on(*value, states)[0].tolist()
        return of_lane

    with torch.no_grad():
        now, then = v(SECOND), v(SECOND_NEXT)
        batch = make_batch(
            rollout, learner, cohort.state.filters, lane_values([run], "cpu"), Shared(run.recipe)
        )
        moved = torch.tensor(filtered(SECOND, COUNTS + SECOND)).view(1, -1, 1)
        policy = distribution_on(learner.policy, learner.policy_state.parameters, moved)
    advantages = [0.0] * STEPS
    following = 0.0
    for t in reversed(range(STEPS)):
        going_on = 0.0 if SECOND_ENDED[t] else 1.0
        delta = SECOND_NEXT[t] ** 2 + GAMMA * then[t] * going_on - now[t]
        following = delta + GAMMA * LAMBDA * going_on * following
        advantages[t] = following
    targets = [a + b for a, b in zip(advantages, now, strict=True)]
    standardised = (np.array(advantages) - np.mean(advantages)) / np.std(advantages)
    assert batch.value_targets[0].tolist() == pytest.approx(targets, rel=1e-5)
    assert batch.advantages[0].tolist() == pytest.approx(standardised.tolist(), abs=1e-5)
    torch.testing.assert_close(batch.observations, moved, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(batch.old_log_prob, policy.log_prob(rollout.actions))
