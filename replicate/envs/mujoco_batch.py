"""MuJoCo tasks of all lanes, stepped in one call."""

from typing import Any, cast

import gymnasium
import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from replicate.envs.lanes import Envs
from replicate.envs.mujoco_tasks import Task
from replicate.envs.single import Actions, change_physics, episode_seed
from replicate.settings import ChangeSettings


class MujocoBatch(Envs):
    """One simulation per lane, bit for bit what gymnasium's own environment does.

    Model, spaces, time limit and resets come from ``env``; observation, reward and termination
    from ``task``.  The physics is ``mujoco.batch``, at any number of threads the same.

    Args:
        env: made by gymnasium; all lanes are reset in it.

    """

    def __init__(self, env: gymnasium.Env, task: Task, seeds: list[int], threads: int = 1) -> None:
        super().__init__(env, seeds)
        assert env.spec is not None and env.spec.max_episode_steps is not None
        self._env, self._task = env, task
        self._mujoco_env = cast(Any, env.unwrapped)
        self._frame_skip = self._mujoco_env.frame_skip
        self._time_limit = env.spec.max_episode_steps
        self._threads = threads
        self._make_batch()
        model = self._mujoco_env.model
        self._lengths = np.zeros(len(seeds), np.int64)
        self._actions = np.zeros((len(seeds), self._time_limit, model.nu), np.float32)

    def _make_batch(self) -> None:
        """Simulations of a copy of the model as it is now."""
        self._batch = Batch(self._mujoco_env.model, len(self.seeds), self._threads, persistent=True)
        self._ctrl = self._batch.bind("ctrl")
        names = ("qpos", "qvel", *self._task.fields)
        self._fields = {name: self._batch.bind(name) for name in names}

    def change_physics(self, change: ChangeSettings) -> None:
        """Make other environments of them; what was running must be started anew."""
        change_physics(self._env, change)
        self._make_batch()

    def actions_of(self, lane: int) -> Actions:
        """The actions since the reset of a lane, ``[N, A]``."""
        return self._actions[lane, : self._lengths[lane]]

    def close(self) -> None:
        """Release the simulators."""
        self._env.close()

    def _start(self, lane: int) -> None:
        seed = episode_seed(self.seeds[lane], int(self.episodes[lane]))
        self.observations[lane], _ = self._env.reset(seed=seed)
        # All that the next step depends on, the solver's warm start included.
        model, data = self._mujoco_env.model, self._mujoco_env.data
        mujoco.mj_getState(
            model, data, self._batch.state[lane], mujoco.mjtState.mjSTATE_INTEGRATION
        )
        self._lengths[lane] = 0

    def _advance(
        self,
        lanes: list[int],
        actions: Actions,
        rewards: NDArray[np.float64],
        next_observations: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        everyone = len(lanes) == len(self.seeds)
        chosen = slice(None) if everyone else np.array(lanes, np.int32)
        self._actions[lanes, self._lengths[lanes]] = actions
        self._lengths[chosen] += 1
        self._ctrl[chosen] = actions
        before = self._fields["qpos"][chosen].copy()
        self._batch.step(None if everyone else chosen, self._frame_skip)
        after = {name: field[chosen].copy() for name, field in self._fields.items()}
        observed, rewards[:], terminated[:] = self._task.outcome(
            self._mujoco_env, actions, before, after
        )
        next_observations[:] = observed
        truncated[:] = self._lengths[chosen] >= self._time_limit
