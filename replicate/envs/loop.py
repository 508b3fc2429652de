"""Environments that step in turn through gymnasium's own ``step``."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from replicate.envs.lanes import Envs
from replicate.envs.single import Actions, change_physics, episode_seed
from replicate.settings import ChangeSettings


class EnvLoop(Envs):
    """Environments of gymnasium of any kind, one per lane, stepped in turn."""

    def __init__(self, envs: list[gymnasium.Env], seeds: list[int]) -> None:
        super().__init__(envs[0], seeds)
        self._envs = envs
        self._actions: list[list[Actions]] = [[] for _ in seeds]

    def change_physics(self, change: ChangeSettings) -> None:
        """Make other environments of them; what was running must be started anew."""
        for env in self._envs:
            change_physics(env, change)

    def actions_of(self, lane: int) -> Actions:
        """The actions since the reset of a lane, ``[N, …]``."""
        return np.array(self._actions[lane])

    def close(self) -> None:
        """Release the simulators."""
        for env in self._envs:
            env.close()

    def _start(self, lane: int) -> None:
        self._actions[lane].clear()
        seed = episode_seed(self.seeds[lane], int(self.episodes[lane]))
        self.observations[lane], _ = self._envs[lane].reset(seed=seed)

    def _advance(
        self,
        lanes: list[int],
        actions: Actions,
        rewards: NDArray[np.float64],
        next_observations: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        for row, lane in enumerate(lanes):
            # A copy: an environment may change the action that it is given.
            action = actions[row].copy()
            self._actions[lane].append(actions[row])
            outcome = self._envs[lane].step(
                action if self.spec.continuous else self.spec.first_action + int(action)
            )
            next_observations[row], rewards[row], terminated[row], truncated[row], _ = outcome
