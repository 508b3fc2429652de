"""The environments of all lanes, as the engine sees them."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from replicate.envs.single import Actions, env_spec, is_mujoco
from replicate.settings import ChangeSettings


@dataclass
class Episode:
    """Statistics of a finished training episode, from raw rewards.

    Args:
        row: place of its lane among those that stepped.
        step: env step of the rollout (from 0) at which it ended.
        episodic_return: undiscounted sum of raw rewards.
        length: env steps.
        terminated: ended by the task, not by a time limit.

    """

    row: int
    step: int
    episodic_return: float
    length: int
    terminated: bool


class Envs(ABC):
    """One environment per lane, and where the episode of each stands.

    Args:
        env: one of them; its spaces and its arguments are those of all.
        seeds: of the lanes.

    """

    def __init__(self, env: gymnasium.Env, seeds: list[int]) -> None:
        self.spec = env_spec(env)
        assert env.spec is not None
        self.kwargs: dict[str, Any] = {
            **env.spec.kwargs,
            "max_episode_steps": env.spec.max_episode_steps,
        }
        """What the environments were made with, gymnasium's registered arguments included."""
        self.is_mujoco = is_mujoco(env)
        self.seeds = seeds
        self.observations = np.zeros((len(seeds), self.spec.observation_size), np.float32)
        """``[R, D]``, the current observation of each lane."""
        self.episodes = np.zeros(len(seeds), np.int64)
        """``[R]``, number of the current episode of each lane, from 0."""
        self.episodic_returns = np.zeros(len(seeds))
        """``[R]``, undiscounted return of the current episode so far."""
        self.seconds = 0.0
        """Seconds spent in the environments so far."""

    @abstractmethod
    def actions_of(self, lane: int) -> Actions:
        """The actions since the reset of a lane, ``[N, …]``."""

    @abstractmethod
    def close(self) -> None:
        """Release the simulators."""

    @abstractmethod
    def change_physics(self, change: ChangeSettings) -> None:
        """Make other environments of them; what was running must be started anew."""

    @abstractmethod
    def _start(self, lane: int) -> None:
        """Start the current episode of a lane: forget its actions, set its observation."""

    @abstractmethod
    def _advance(
        self,
        lanes: list[int],
        actions: Actions,
        rewards: NDArray[np.float64],
        next_observations: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """One env step of some lanes, without resets; the last four arguments are written."""

    def reset(self) -> None:
        """Start the current episode of every lane."""
        for lane in range(len(self.seeds)):
            self._start(lane)
        self.episodic_returns[:] = 0

    def step(
        self,
        lanes: list[int],
        step: int,
        actions: Actions,
        rewards: NDArray[Any],
        next_observations: NDArray[Any],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> list[Episode]:
        """One env step of some lanes; lanes whose episode ended are reset.

        Args:
            lanes: which ones, ascending; all arrays are in their order.
            step: env step of the rollout, for the episode records.
            actions: ``[N, A]`` (box) or ``[N]`` (discrete).
            rewards, terminated, ended: ``[N]``, written, in whatever precision.
            next_observations: ``[N, D]``, written: what followed the action, before any reset.

        """
        begin = time.perf_counter()
        exact = np.empty(len(lanes))
        self._advance(lanes, actions, exact, next_observations, terminated, ended)
        rewards[:] = exact
        self.episodic_returns[lanes] += exact
        self.observations[lanes] = next_observations
        ended |= terminated
        finished = []
        for row in np.flatnonzero(ended).tolist():
            lane = lanes[row]
            finished.append(
                Episode(
                    row,
                    step,
                    float(self.episodic_returns[lane]),
                    len(self.actions_of(lane)),
                    bool(terminated[row]),
                )
            )
            self.episodes[lane] += 1
            self.episodic_returns[lane] = 0
            self._start(lane)
        self.seconds += time.perf_counter() - begin
        return finished

    def replay(self, episodes: NDArray[np.int64], actions: list[Actions]) -> None:
        """Bring every lane to where it was after the ``actions`` ``[N, …]`` of its episode."""
        self.episodes[:] = episodes
        self.reset()
        lengths = np.array([len(taken) for taken in actions])
        for step in range(int(lengths.max())):
            lanes = np.flatnonzero(lengths > step).tolist()
            taken = np.stack([actions[lane][step] for lane in lanes])
            rewards = np.empty(len(lanes))
            followed = np.empty((len(lanes), self.spec.observation_size), np.float32)
            flags = np.empty((2, len(lanes)), np.bool_)
            self._advance(lanes, taken, rewards, followed, *flags)
            self.episodic_returns[lanes] += rewards
            self.observations[lanes] = followed
