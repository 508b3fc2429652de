"""One environment of gymnasium: made, checked, measured."""

import importlib
import json
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from replicate.messages import ConfigError, first_line
from replicate.settings import ChangeSettings, EnvSettings, nearest

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
        first_action: number of the first discrete action.

    """

    observation_size: int
    num_actions: int
    continuous: bool
    low: Array
    high: Array
    first_action: int = 0


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


KNOWN_MESSAGE = "'settotalmass' is deprecated"
"""A message of MuJoCo about gymnasium's HalfCheetah; it writes it to a file here, too."""


@contextmanager
def _without_the_known_message() -> Iterator[None]:
    """Turn what MuJoCo says while it compiles a model into warnings, but for ``KNOWN_MESSAGE``."""
    messages: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(messages.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
        for message in messages:
            if KNOWN_MESSAGE not in message:
                warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=3)


def make_env(settings: EnvSettings) -> gymnasium.Env:
    """The environment with gymnasium's own time limit, such that its episodes are independent.

    ``module:Id-v0`` imports the module that registers it first, as in gymnasium.

    Raises:
        ConfigError: unknown id, or its module fails.

    """
    module, _, name = settings.id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a module of one's own does
            raise ConfigError(f"env.id: {settings.id}: {module}: {first_line(error)}") from None
    if name not in gymnasium.registry:
        raise ConfigError(
            f"env.id: unknown environment {name!r}; " + nearest(name, gymnasium.registry)
        )
    kwargs: dict[str, Any] = dict(settings.kwargs)
    with _without_the_known_message():
        env = gymnasium.make(settings.id, disable_env_checker=True, **kwargs)
    return NewWorld(env) if type(env.unwrapped).__name__ == "BipedalWalker" else env


def is_mujoco(env: gymnasium.Env) -> bool:
    """Whether its physics is that of a MuJoCo model."""
    return isinstance(getattr(env.unwrapped, "model", None), mujoco.MjModel)


def change_physics(env: gymnasium.Env, change: ChangeSettings) -> None:
    """Multiply gravity, friction, and masses with inertias; only MuJoCo has them."""
    if not change.of_physics:
        return
    world: Any = env.unwrapped
    world.model.opt.gravity *= change.gravity
    world.model.geom_friction *= change.friction
    world.model.body_mass *= change.mass
    world.model.body_inertia *= change.mass
    mujoco.mj_setConst(world.model, world.data)  # what is derived from masses


def check_env(settings: EnvSettings) -> EnvSpec:
    """Make, reset, step and close an environment: one that passes can be trained on.

    Returns the sizes of its spaces.

    Raises:
        ConfigError: unknown id, keyword arguments it does not take, spaces we do not train on, or
            a ``reset`` or ``step`` that does not give what gymnasium's do.

    """
    try:
        with warnings.catch_warnings(record=True) as told:
            env = make_env(settings)
    except ConfigError:
        raise
    except Exception as error:  # whatever an environment makes of wrong arguments
        raise ConfigError(
            f"env.kwargs: {settings.id} does not work with {settings.kwargs}: {first_line(error)}"
        ) from None
    try:
        json.dumps(env.spec.kwargs if env.spec else {})
    except TypeError as error:
        raise ConfigError(
            f"env.id: {settings.id}: registered with arguments that a run cannot record: {error}"
        ) from None
    for warning in told:  # where it cannot be made, the error says all
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    spec = env_spec(env)
    env.action_space.seed(0)
    action = env.action_space.sample()
    observation, _ = _given(settings, "reset(seed=0)", 2, lambda: env.reset(seed=0))
    following, reward, *_ = _given(
        settings,
        "step(action)",
        5,
        lambda: env.step(action.astype(np.float32) if spec.continuous else int(action)),
    )
    for call, vector in (("reset", observation), ("step", following)):
        if np.shape(vector) != (spec.observation_size,):
            raise ConfigError(
                f"env.id: {settings.id}: {call} gives an observation of shape {np.shape(vector)}, "
                f"and observation_space is of shape {(spec.observation_size,)}"
            )
    if np.ndim(reward):
        raise ConfigError(f"env.id: {settings.id}: step gives {reward!r} as a reward, no number")
    env.close()
    return spec


def _given(settings: EnvSettings, call: str, parts: int, give: Callable[[], Any]) -> Any:
    """Call ``give``, and return its tuple of ``parts`` values.

    Raises:
        ConfigError: it gives something else, or fails.

    """
    try:
        answer = give()
    except Exception as error:  # whatever an environment of an older gym makes of it
        key = "env.kwargs" if settings.kwargs else "env.id"
        made = f"{settings.id}, made with {settings.kwargs}" if settings.kwargs else settings.id
        raise ConfigError(f"{key}: {made}: {call} fails: {first_line(error)}") from None
    if not isinstance(answer, tuple) or len(answer) != parts:
        what = f"{len(answer)} values" if isinstance(answer, tuple) else type(answer).__name__
        raise ConfigError(f"env.id: {settings.id}: {call} gives {what}, not a tuple of {parts}")
    return answer


def env_spec(env: gymnasium.Env) -> EnvSpec:
    """Sizes of an environment's spaces.

    Raises:
        ConfigError: observations are not vectors, or actions neither box nor discrete.

    """
    observations, actions = env.observation_space, env.action_space
    name = env.spec.id if env.spec else "environment"
    if not isinstance(observations, Box) or len(observations.shape) != 1:
        raise ConfigError(f"env.id: {name}: observations are {observations}; vectors are needed")
    size = observations.shape[0]
    if isinstance(actions, Discrete):
        empty = np.empty(0, np.float32)
        return EnvSpec(size, int(actions.n), False, empty, empty, int(actions.start))
    if isinstance(actions, Box) and len(actions.shape) == 1:
        low, high = actions.low.astype(np.float32), actions.high.astype(np.float32)
        return EnvSpec(size, math.prod(actions.shape), True, low, high)
    raise ConfigError(f"env.id: {name}: actions are {actions}; a vector or a choice is needed")
