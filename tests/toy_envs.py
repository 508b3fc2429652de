"""Tiny environments with answers known in advance; importing this module registers them."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

Observation = NDArray[np.float32]
Step = tuple[Observation, float, bool, bool, dict[str, Any]]


class EndlessReward(gymnasium.Env):
    """Reward 1 for ever, one state: V = 1/(1 − γ), unless a time limit counts as terminal."""

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> Step:
        return np.ones(1, np.float32), 1.0, False, False, {}


class TwoArmedBandit(gymnasium.Env):
    """One step an episode; arm 0 pays 0.2 and arm 1 pays 1, so the best return is 1."""

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> Step:
        return np.ones(1, np.float32), (0.2, 1.0)[action], True, False, {}


class TargetMatching(gymnasium.Env):
    """One step an episode; reward −‖a − s‖², so the best action is the observation, return 0."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Box(-3.0, 3.0, (2,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.target = self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32)
        return self.target, {}

    def step(self, action: NDArray) -> Step:
        return self.target, -float(np.square(action - self.target).sum()), True, False, {}


class Counter(gymnasium.Env):
    """The observation is the number of steps since the reset, the reward that number squared.

    Args:
        length: the task ends after so many steps.
    """

    observation_space = Box(0.0, np.inf, (1,), np.float32)
    action_space = Discrete(2)

    def __init__(self, length: int = 1000) -> None:
        self.length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Step:
        self.count += 1
        observation = np.full(1, self.count, np.float32)
        return observation, float(self.count**2), self.count >= self.length, False, {}


class Windfall(gymnasium.Env):
    """Episodes of five steps that pay 1 each; from the fourth on, their last three pay otherwise.

    Args:
        reward: what they pay; infinity is given as text.
    """

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def __init__(self, reward: float | str = 1.0) -> None:
        self.reward = float(reward)
        self.episode = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        self.episode += 1
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> Step:
        self.count += 1
        reward = self.reward if self.episode >= 3 and self.count >= 3 else 1.0
        return np.ones(1, np.float32), reward, self.count == 5, False, {}


TOYS: dict[str, type[gymnasium.Env]] = {
    "EndlessReward-v0": EndlessReward,
    "TwoArmedBandit-v0": TwoArmedBandit,
    "TargetMatching-v0": TargetMatching,
    "Counter-v0": Counter,
    "Windfall-v0": Windfall,
}

for _name, _entry in TOYS.items():
    if _name not in gymnasium.registry:
        gymnasium.register(_name, entry_point=_entry)
