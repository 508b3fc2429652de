"""Observation, reward and termination of gymnasium's MuJoCo tasks, for all lanes at once.

Each function is gymnasium's own ``step`` of that task after the physics, on arrays with a lane
axis, in the same precision and order of operations: equal bit for bit.  Weights and ranges are read
from gymnasium's environment.  Ant and Humanoid observe contact forces (``cfrc_ext``), which need
``mj_rnePostConstraint`` after the step; a batch does not offer it, so they step through gymnasium.

Source: gymnasium.envs.mujoco, ``*_v5.py``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.inverted_double_pendulum_v5 import InvertedDoublePendulumEnv
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import NDArray

from replicate.envs.single import Actions

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
Fields = Mapping[str, Doubles]
Outcome = tuple[Doubles, Doubles, Flags]
"""Observations ``[N, D]``, rewards ``[N]``, terminated ``[N]``."""


@dataclass(frozen=True)
class Task:
    """A MuJoCo task of gymnasium.

    Args:
        outcome: (gymnasium's environment, actions ``[N, A]``, ``qpos`` before the step, fields
            after it) ↦ what the step gave.
        fields: of ``MjData`` that it needs beside ``qpos`` and ``qvel``, each ``[N, …]``.

    """

    outcome: Callable[[Any, Actions, Doubles, Fields], Outcome]
    fields: tuple[str, ...] = ()


def _control_cost(env: Any, actions: Actions) -> NDArray[Any]:
    """w·Σa², in the precision of the actions."""
    cost: NDArray[Any] = env._ctrl_cost_weight * np.square(actions).sum(1)
    return cost


def _forward_reward(env: Any, before: Doubles, after: Fields) -> Doubles:
    """w·Δx/Δt."""
    velocity = (after["qpos"][:, 0] - before[:, 0]) / env.dt
    reward: Doubles = env._forward_reward_weight * velocity
    return reward


def _inside(values: Doubles, limits: tuple[float, float]) -> Flags:
    low, high = limits
    inside: Flags = (low < values) & (values < high)
    return inside


def _runner(env: Any, actions: Actions, before: Doubles, after: Fields, hidden: int) -> Outcome:
    """A task that rewards speed and never ends; ``hidden`` positions are not observed."""
    observed = np.concatenate((after["qpos"][:, hidden:], after["qvel"]), 1)
    rewards = _forward_reward(env, before, after) - _control_cost(env, actions)
    return observed, rewards, np.zeros(len(actions), np.bool_)


def half_cheetah(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of HalfCheetah-v5 gives."""
    return _runner(env, actions, before, after, hidden=1)


def swimmer(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of Swimmer-v5 gives."""
    return _runner(env, actions, before, after, hidden=2)


def _walker(env: Any, actions: Actions, before: Doubles, after: Fields, healthy: Flags) -> Outcome:
    """A task that rewards speed while the body is upright."""
    velocity = np.clip(after["qvel"], -10, 10)
    observed = np.concatenate((after["qpos"][:, 1:], velocity), 1)
    alive = healthy * env._healthy_reward
    rewards = _forward_reward(env, before, after) + alive - _control_cost(env, actions)
    return observed, rewards, ~healthy & env._terminate_when_unhealthy


def _upright(env: Any, after: Fields) -> Flags:
    height, angle = after["qpos"][:, 1], after["qpos"][:, 2]
    return _inside(height, env._healthy_z_range) & _inside(angle, env._healthy_angle_range)


def walker2d(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of Walker2d-v5 gives."""
    return _walker(env, actions, before, after, _upright(env, after))


def hopper(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of Hopper-v5 gives."""
    state = np.concatenate((after["qpos"][:, 2:], after["qvel"]), 1)
    healthy = _inside(state, env._healthy_state_range).all(1) & _upright(env, after)
    return _walker(env, actions, before, after, healthy)


def reacher(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of Reacher-v5 gives."""
    bodies, angles = env.model.body, after["qpos"][:, :2].copy()
    apart = after["xpos"][:, bodies("fingertip").id] - after["xpos"][:, bodies("target").id]
    observed = np.concatenate(
        (np.cos(angles), np.sin(angles), after["qpos"][:, 2:], after["qvel"][:, :2], apart[:, :2]),
        1,
    )
    # As numpy's norm of one vector: its dot product rounds differently from a sum of squares.
    distance = -np.sqrt(np.vecdot(apart, apart)) * env._reward_dist_weight
    control = -np.square(actions).sum(1) * env._reward_control_weight
    return observed, distance + control, np.zeros(len(actions), np.bool_)


def inverted_pendulum(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of InvertedPendulum-v5 gives."""
    observed = np.concatenate((after["qpos"], after["qvel"]), 1)
    terminated = ~np.isfinite(observed).all(1) | (np.abs(observed[:, 1]) > 0.2)
    return observed, (~terminated).astype(np.float64), terminated


def _squares(values: Doubles) -> Doubles:
    """x² of each as numpy squares a scalar: by ``pow``, whose last bit may differ from x·x."""
    return np.array([math.pow(value, 2.0) for value in values.tolist()])


def inverted_double_pendulum(env: Any, actions: Actions, before: Doubles, after: Fields) -> Outcome:
    """What a step of InvertedDoublePendulum-v5 gives."""
    x, _, y = after["site_xpos"][:, 0].T
    terminated: Flags = y <= 1
    angles, velocity = after["qpos"][:, 1:].copy(), after["qvel"]
    force = np.clip(after["qfrc_constraint"], -10, 10)
    observed = np.concatenate(
        (
            after["qpos"][:, :1],
            np.sin(angles),
            np.cos(angles),
            np.clip(velocity, -10, 10),
            force[:, :1],
        ),
        1,
    )
    apart = 0.01 * _squares(x) + _squares(y - 2)
    speed = 1e-3 * _squares(velocity[:, 1]) + 5e-3 * _squares(velocity[:, 2])
    return observed, env._healthy_reward * ~terminated - apart - speed, terminated


TASKS = {
    HalfCheetahEnv: Task(half_cheetah),
    HopperEnv: Task(hopper),
    InvertedDoublePendulumEnv: Task(inverted_double_pendulum, ("site_xpos", "qfrc_constraint")),
    InvertedPendulumEnv: Task(inverted_pendulum),
    ReacherEnv: Task(reacher, ("xpos",)),
    SwimmerEnv: Task(swimmer),
    Walker2dEnv: Task(walker2d),
}

COVERED = {
    *("max_episode_steps", "xml_file", "frame_skip", "reset_noise_scale"),
    *("forward_reward_weight", "ctrl_cost_weight", "healthy_reward", "terminate_when_unhealthy"),
    *("reward_dist_weight", "reward_control_weight"),
}
"""Keyword arguments of ``gymnasium.make`` that the functions above follow."""

GYMNASIUMS_OWN = (PassiveEnvChecker, OrderEnforcing, TimeLimit)
"""Wrappers of ``gymnasium.make``: they change no number, and the batch ends episodes in time."""


def task_of(env: gymnasium.Env, kwargs: Mapping[str, object]) -> Task | None:
    """How to step an environment in a batch; None: it steps through gymnasium.

    A batch steps the task itself: what a wrapper of one's own makes of it would be lost.

    Args:
        kwargs: what it was made with, besides what its id was registered with.

    """
    spec = env.spec
    if spec is None or spec.max_episode_steps is None or not {*spec.kwargs, *kwargs} <= COVERED:
        return None
    limits = 0
    while isinstance(env, gymnasium.Wrapper):
        limits += isinstance(env, TimeLimit)
        if type(env) not in GYMNASIUMS_OWN or limits > 1:
            return None
        env = env.env
    # Who registers it may have given it arguments that stand nowhere.
    whole = getattr(env, "_exclude_current_positions_from_observation", True)
    return TASKS.get(type(env)) if whole else None
