"""Seeds reach the environments: which episodes start alike, and which do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from replicate.engine.cohort import Cohort
from replicate.envs import make_envs
from replicate.settings import EnvSettings
from tests.conftest import runs_of

# One that steps in a batch, and two that step through gymnasium's loop.
NAMES = ["Hopper-v5", "CartPole-v1", "BipedalWalker-v3"]
EPISODES, STEPS = 4, 3


def starts(name: str, seeds: list[int]) -> NDArray[np.float32]:
    """``[R, EPISODES, D]``: the first observation of every lane's episodes, of 3 steps each."""
    envs = make_envs(EnvSettings(id=name, kwargs={"max_episode_steps": STEPS}), seeds)
    lanes, spec = list(range(len(seeds))), envs.spec
    actions = np.zeros((len(seeds), spec.num_actions), np.float32)
    taken = actions if spec.continuous else np.zeros(len(seeds), np.int64)
    rewards, flags = np.empty(len(seeds)), np.empty((2, len(seeds)), np.bool_)
    following = np.empty((len(seeds), spec.observation_size), np.float32)
    envs.reset()
    observations = [envs.observations.copy()]
    for step in range((EPISODES - 1) * STEPS):
        if envs.step(lanes, step, taken, rewards, following, *flags):
            assert flags[1].all()
            observations.append(envs.observations.copy())
    envs.close()
    return np.stack(observations, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_episode_of_every_seed_starts_elsewhere(name: str) -> None:
    begun = starts(name, [0, 1, 2, 30])
    assert begun.shape[:2] == (4, EPISODES)
    assert len(np.unique(begun.reshape(4 * EPISODES, -1), axis=0)) == 4 * EPISODES


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_starts_alike_in_whatever_lane_its_seed_is(name: str) -> None:
    begun, moved = starts(name, [5, 6, 7]), starts(name, [7, 8, 5])
    np.testing.assert_array_equal(moved[[2, 0]], begun[[0, 2]])
    np.testing.assert_array_equal(starts(name, [6])[0], begun[1])


@pytest.mark.parametrize("env", ["hopper", "cart_pole"])
def test_the_seed_of_a_run_is_the_seed_of_its_environment(env: str) -> None:
    """Of whatever variant: runs with one seed share their environments, other seeds do not."""

    def first(*overrides: str) -> NDArray[np.float32]:
        cohort = Cohort(runs_of(f"env={env}", *overrides))
        cohort.state.envs.close()
        return cohort.state.envs.observations

    together = first("seed=range(0,3)")
    assert len(np.unique(together, axis=0)) == 3
    alone = first("seed=1", "algo=trpo", "recipe=modern")
    np.testing.assert_array_equal(alone[0], together[1])
