"""A whole training of the libraries' PPO and TRPO equals ours, rollouts and normalisation included.

The library trains by itself inside ``VecNormalize``; it is given our initial parameters, our
action noise, our order of samples and our seeds of episodes.  What is left to differ is
everything that matters.  Both sides compute in float64, since simulated legs amplify rounding.
"""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from replicate.engine.cohort import Cohort
from replicate.envs import episode_seed
from tests.conftest import runs_of
from tests.parity.test_update_parity import LIBRARY, copy_into, flat_of, linears

pytestmark = pytest.mark.usefixtures("float64")

STEPS, UPDATES, EPOCHS = 256, 4, 2


class SeededEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Episode k starts from our seed of episode k; observations are float32, as ours are."""

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int) -> None:
        super().__init__(env)
        self.run_seed, self.episode = seed, 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=episode_seed(self.run_seed, self.episode))
        self.episode += 1
        return observation.astype(np.float32), info

    def step(self, action: Any) -> Any:
        observation, *rest = self.env.step(action)
        return observation.astype(np.float32), *rest


OURS = {
    "ppo": [f"algo.update_epochs={EPOCHS}"],
    # Three actions: see ACTION_DIMENSIONS in test_update_parity.py.
    "trpo": [f"algo.value_epochs={EPOCHS}", "algo.max_kl=0.03", "algo.damping=0.3"],
}
THEIRS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ppo": (PPO, {"batch_size": 64, "n_epochs": EPOCHS}),
    "trpo": (TRPO, {"batch_size": 128, "n_critic_updates": EPOCHS, "cg_max_steps": 10}),
}
STEP_SIZE = {"ppo": 3e-4, "trpo": 1e-3}


@pytest.mark.parametrize(
    ("algo", "env"),
    [
        ("ppo", "hopper:Hopper-v5"),
        ("ppo", "inverted_pendulum:InvertedPendulum-v5"),
        ("trpo", "hopper:Hopper-v5"),
    ],
)
def test_a_training_equals_theirs(algo: str, env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, env_id = env.split(":")
    limit = {"max_episode_steps": 20}  # so that episodes are truncated, too
    (run,) = runs_of(
        f"env={key}",
        f"algo={algo}",
        *OURS[algo],
        "recipe=modern",
        "seed=5",
        f"algo.num_steps={STEPS}",
        f"total_env_steps={STEPS * UPDATES}",
        f"env.kwargs.max_episode_steps={limit['max_episode_steps']}",
    )
    cohort = Cohort([run])
    learner = cohort.state.learner

    copy = torch.Generator()
    copy.set_state(learner.generators[0].get_state())
    noise, orders = [], []
    actions = learner.policy.num_actions
    for _ in range(UPDATES):
        noise += list(torch.randn(STEPS, actions, generator=copy))
        # For TRPO's policy step the library shuffles the whole batch; its order is immaterial.
        orders += [np.arange(STEPS)] if algo == "trpo" else []
        orders += [torch.randperm(STEPS, generator=copy).numpy() for _ in range(EPOCHS)]
    noise_left, orders_left = iter(noise), iter(orders)

    vec_env = VecNormalize(
        DummyVecEnv([lambda: SeededEpisodes(gymnasium.make(env_id, **limit), run.seed)])
    )
    # Their schedule is read after the rollout, ours before it.
    library, options = THEIRS[algo]
    step_size = STEP_SIZE[algo]
    model = library(
        "MlpPolicy",
        vec_env,
        learning_rate=lambda left: step_size * (left + 1 / UPDATES),
        **LIBRARY | {"n_steps": STEPS},
        **options,
    )
    policy, value = learner.policy_state.parameters, learner.value_state.parameters
    copy_into(learner.policy.network, policy, linears(model, "policy"))
    copy_into(learner.value_function.network, value, linears(model, "value"))

    def sample(self: DiagGaussianDistribution) -> torch.Tensor:
        return self.distribution.mean + self.distribution.stddev * next(noise_left)

    monkeypatch.setattr(DiagGaussianDistribution, "sample", sample)
    monkeypatch.setattr(np.random, "permutation", lambda size: next(orders_left))
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # their start of CG
    model.learn(STEPS * UPDATES)
    before = policy.clone()
    cohort.train()

    moments = cohort.state.filters.observation_moments
    assert np.allclose(vec_env.obs_rms.mean, moments.mean()[0], atol=1e-7)
    assert np.allclose(vec_env.obs_rms.var, moments.variance()[0], atol=1e-7)
    returns = cohort.state.filters.return_moments
    assert np.allclose(vec_env.ret_rms.var, returns.variance()[0], rtol=1e-6)
    assert (policy - before).abs().max() > 1e-3
    assert (policy[0] - flat_of(model, "policy")).abs().max() < 1e-5
    assert (value[0] - flat_of(model, "value")).abs().max() < 1e-5
