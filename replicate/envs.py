"""Floor 1: the environments of a cohort, one per lane.

Episodes are seeded one by one: episode ``k`` of a run with seed ``s`` starts from
``episode_seed(s, k)``.  The state of an environment is thereby (seed, k, the actions since the
reset), whatever the simulator keeps inside.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from replicate.settings import ConfigError, EnvSettings, nearest

Array = NDArray[np.float32]
Actions = NDArray[Any]


@dataclass(frozen=True)
class EnvSpec:
    """Sizes of an environment's spaces.

    Args:
        observation_size: D.
        num_actions: A, dimensions of a box or number of discrete actions.
        continuous: box or discrete.
        low, high: ``[A]`` bounds of a box.

    """

    observation_size: int
    num_actions: int
    continuous: bool
    low: Array
    high: Array


@dataclass
class Episode:
    """Statistics of a finished training episode, from raw rewards.

    Args:
        lane: which lane.
        step: env step of the rollout (from 0) at which it ended.
        episodic_return: undiscounted sum of raw rewards.
        length: env steps.
        terminated: ended by the task, not by a time limit.

    """

    lane: int
    step: int
    episodic_return: float
    length: int
    terminated: bool


@dataclass
class LaneEnv:
    """One environment and where its episode stands."""

    env: gymnasium.Env
    seed: int
    episode: int = 0
    episodic_return: float = 0.0
    actions: list[Actions] = field(default_factory=list)

    def reset(self) -> Array:
        """Start the current episode."""
        self.episodic_return = 0.0
        self.actions.clear()
        observation: Array
        observation, _ = self.env.reset(seed=episode_seed(self.seed, self.episode))
        return observation

    def replay(self, actions: Actions) -> Array:
        """Bring the current episode to where it was after ``actions`` ``[N, …]``."""
        observation = self.reset()
        for action in actions:
            observation, reward, _, _, _ = self.env.step(_native(action))
            self.episodic_return += float(reward)
            self.actions.append(action)
        return observation


def _native(action: Actions) -> Actions | int:
    return int(action) if action.ndim == 0 else action


def episode_seed(seed: int, episode: int) -> int:
    """Seed of ``env.reset`` for an episode of a run."""
    return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0])


class NewWorld(gymnasium.Wrapper):
    """Every episode in a Box2D world of its own.

    BipedalWalker-v3 puts each episode into the world of the one before, whose contacts then depend
    on all that happened there; LunarLander-v3 makes a new one (Farama-Foundation/Gymnasium#979).
    """

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Reset in a new world."""
        walker: Any = self.unwrapped
        walker._destroy()
        walker.world = type(walker.world)()
        return self.env.reset(**options)


def make_env(settings: EnvSettings) -> gymnasium.Env:
    """The environment with gymnasium's own time limit, such that its episodes are independent.

    Raises:
        ConfigError: unknown id.

    """
    if settings.id not in gymnasium.registry:
        raise ConfigError(
            f"env.id: unknown environment {settings.id!r}; "
            + nearest(settings.id, gymnasium.registry)
        )
    kwargs: dict[str, Any] = dict(settings.kwargs)
    env = gymnasium.make(settings.id, disable_env_checker=True, **kwargs)
    return NewWorld(env) if type(env.unwrapped).__name__ == "BipedalWalker" else env


def check_env(settings: EnvSettings) -> None:
    """Make it, reset it, take it down again.

    Raises:
        ConfigError: unknown id, keyword arguments it does not take, or spaces we do not train on.

    """
    try:
        env = make_env(settings)
        env_spec(env)
        env.reset(seed=0)
        env.close()
    except ConfigError:
        raise
    except Exception as error:  # whatever an environment makes of wrong arguments
        first_line = str(error).splitlines()[0]
        raise ConfigError(
            f"env.kwargs: {settings.id} does not work with {settings.kwargs}: {first_line}"
        ) from None


def env_spec(env: gymnasium.Env) -> EnvSpec:
    """Sizes of its spaces.

    Raises:
        ConfigError: observations are not vectors, or actions neither box nor discrete.

    """
    observations, actions = env.observation_space, env.action_space
    name = env.spec.id if env.spec else "environment"
    if not isinstance(observations, Box) or len(observations.shape) != 1:
        raise ConfigError(f"env.id: {name} has observations {observations}; vectors are needed")
    size = observations.shape[0]
    if isinstance(actions, Discrete):
        empty = np.empty(0, np.float32)
        return EnvSpec(size, int(actions.n), False, empty, empty)
    if isinstance(actions, Box) and len(actions.shape) == 1:
        low, high = actions.low.astype(np.float32), actions.high.astype(np.float32)
        return EnvSpec(size, math.prod(actions.shape), True, low, high)
    raise ConfigError(f"env.id: {name} has actions {actions}; a vector or a choice is needed")


class EnvBatch:
    """The environments of all lanes, stepped in turn."""

    def __init__(self, settings: EnvSettings, seeds: list[int]) -> None:
        self.lanes = [LaneEnv(make_env(settings), seed) for seed in seeds]
        self.spec = env_spec(self.lanes[0].env)
        made = self.lanes[0].env.spec
        assert made is not None
        self.kwargs: dict[str, Any] = {**made.kwargs, "max_episode_steps": made.max_episode_steps}
        """What the environments were made with, gymnasium's registered arguments included."""
        self.observations = np.zeros((len(seeds), self.spec.observation_size), np.float32)
        """``[R, D]``, the current observation of each lane."""
        self.seconds = 0.0
        """Spent in the environments so far."""

    def reset(self) -> None:
        """Start the first episode of every lane."""
        for index, lane in enumerate(self.lanes):
            self.observations[index] = lane.reset()

    def step(
        self,
        lanes: list[int],
        step: int,
        actions: Actions,
        rewards: Array,
        next_observations: Array,
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> list[Episode]:
        """One env step of some lanes; lanes whose episode ended are reset.

        Args:
            lanes: which ones; all arrays are in their order.
            step: env step of the rollout, for the episode records.
            actions: ``[N, A]`` (box) or ``[N]`` (discrete).
            rewards, terminated, ended: ``[N]``, written.
            next_observations: ``[N, D]``, written: what followed the action, before any reset.

        """
        begin = time.perf_counter()
        finished = []
        discrete = actions.ndim == 1
        for row, index in enumerate(lanes):
            lane = self.lanes[index]
            action = actions[row]
            observation, reward, is_terminal, is_truncated, _ = lane.env.step(
                int(action) if discrete else action
            )
            lane.actions.append(action)
            lane.episodic_return += float(reward)
            rewards[row] = reward
            next_observations[row] = observation
            terminated[row] = is_terminal
            over = is_terminal or is_truncated
            ended[row] = over
            if over:
                length = len(lane.actions)
                finished.append(Episode(row, step, lane.episodic_return, length, bool(is_terminal)))
                lane.episode += 1
                observation = lane.reset()
            self.observations[index] = observation
        self.seconds += time.perf_counter() - begin
        return finished

    def close(self) -> None:
        """Release the simulators."""
        for lane in self.lanes:
            lane.env.close()
