"""Comparison of a batch of MuJoCo environments with gymnasium's own, bit for bit."""

from collections.abc import Iterator
from dataclasses import astuple

import numpy as np

from replicate.envs.lanes import Envs
from replicate.envs.loop import EnvLoop
from replicate.envs.mujoco_batch import MujocoBatch
from replicate.envs.mujoco_tasks import task_of
from replicate.envs.single import Actions, make_env
from replicate.messages import ConfigError
from replicate.settings import EnvSettings

STOPPED_SHARE = 0.5
"""Share of the steps after which lane 0 is no longer stepped."""


def random_actions(envs: Envs, steps: int, seed: int) -> Iterator[Actions]:
    """Actions ``[R, A]`` of each step: rough ones, gentle ones, zeros as of a diverged lane.

    Gentle ones let episodes reach the time limit; some of the rough ones leave the box.
    """
    generator = np.random.default_rng(seed)
    lanes, size = len(envs.seeds), envs.spec.num_actions
    spread = np.geomspace(1e-3, 3, lanes)[:, None] * envs.spec.high
    for step in range(steps):
        actions = (generator.standard_normal((lanes, size)) * spread).astype(np.float32)
        if step % 2:
            actions = actions.clip(envs.spec.low, envs.spec.high)
        if step > steps * STOPPED_SHARE:
            actions[-1] = 0
        yield actions


def first_difference(settings: EnvSettings, lanes: int, steps: int, threads: int = 1) -> str | None:
    """The first place where a batch gives other bits than gymnasium's ``step``; None: nowhere.

    Compared after every step: observations and rewards in float64, terminations, ends, finished
    episodes and the observations after resets.

    Raises:
        ConfigError: the environment does not step in a batch.

    """
    seeds = list(range(lanes))
    env = make_env(settings)
    task = task_of(env, settings.kwargs)
    if task is None:
        raise ConfigError(f"env.id: {settings.id} steps through gymnasium, not in a batch")
    batch = MujocoBatch(env, task, seeds, threads)
    loop = EnvLoop([make_env(settings) for _ in seeds], seeds)
    batch.reset()
    loop.reset()
    try:
        for step, actions in enumerate(random_actions(batch, steps, seed=lanes)):
            stepped = seeds[1:] if step > steps * STOPPED_SHARE else seeds
            results = []
            for envs in (batch, loop):
                rewards = np.empty(len(stepped))
                following = np.empty((len(stepped), envs.spec.observation_size))
                flags = np.empty((2, len(stepped)), np.bool_)
                episodes = envs.step(stepped, step, actions[stepped], rewards, following, *flags)
                results.append(
                    {
                        "observations": following,
                        "rewards": rewards,
                        "terminations and ends": flags,
                        "observations after resets": envs.observations.copy(),
                        "episodes": np.array([astuple(e) for e in episodes]),
                    }
                )
            for what, values in results[0].items():
                if values.tobytes() != results[1][what].tobytes():
                    return f"{settings.id}: other {what} than gymnasium's at step {step}"
    finally:
        batch.close()
        loop.close()
    return None
