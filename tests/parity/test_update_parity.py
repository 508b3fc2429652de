"""From one saved rollout, our update equals Stable-Baselines3's PPO and sb3-contrib's TRPO.

The libraries' own ``train()`` runs on our rollout: their buffer is filled with our observations,
actions, values and rewards (advantages are theirs), their networks with our parameters, and
their shuffling is given our order of samples.  Settings are switched one at a time.  Both sides
compute in float64, so that agreement is not a matter of luck with rounding.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from replicate.algorithms.learner import Batch, Lanewise, Trained, values_on
from replicate.engine.cohort import Cohort, make_batch, scheduled, update_algorithm
from replicate.engine.rollout import Rollout, collect, scaled_rewards
from replicate.maths.lanes import take_lanes
from replicate.networks import MLP
from tests.conftest import runs_of

STEPS = 512
LIBRARY = {
    "n_steps": STEPS,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "device": "cpu",
    "policy_kwargs": {"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.Tanh},
}


TOLERANCE = 1e-6


pytestmark = pytest.mark.usefixtures("float64")


@dataclass
class Case:
    """A cohort of one, a few updates into training, and the rollout of the next update."""

    cohort: Cohort
    rollout: Rollout
    batch: Batch
    values: Lanewise
    rewards: Tensor


def prepared(*overrides: str) -> Case:
    """The rollout comes from policies that have learnt a little and contains episode ends."""
    (run,) = runs_of(
        "recipe=modern",
        f"algo.num_steps={STEPS}",
        "recipe.learning_rate_schedule=constant",
        f"total_env_steps={4 * STEPS}",
        *overrides,
    )
    cohort = Cohort([run])
    cohort.step()
    cohort.step()
    state = cohort.state
    with torch.no_grad():
        rollout = collect(state.learner, state.filters, state.envs, [0], STEPS, run.recipe)
        values = scheduled(cohort.lane_values, run.recipe, 1.0)
        filters = take_lanes(state.filters, torch.tensor([0]))
        rewards = scaled_rewards(rollout, filters, values["gamma"], run.recipe)
        batch = make_batch(rollout, state.learner, state.filters, values, run.recipe)
    learner = state.learner
    learner.policy_state = Trained.fresh(learner.policy_state.parameters)
    learner.value_state = Trained.fresh(learner.value_state.parameters)
    return Case(cohort, rollout, batch, values, rewards)


def linears(model: OnPolicyAlgorithm, kind: str) -> list[torch.nn.Linear]:
    extractor = model.policy.mlp_extractor
    body = extractor.policy_net if kind == "policy" else extractor.value_net
    head = model.policy.action_net if kind == "policy" else model.policy.value_net
    return [m for m in body if isinstance(m, torch.nn.Linear)] + [head]


def copy_into(network: MLP, flat: Tensor, modules: list[torch.nn.Linear]) -> None:
    for (weight, bias), module in zip(network.layers(flat), modules, strict=True):
        module.weight.data.copy_(weight[0].t())
        module.bias.data.copy_(bias[0, 0])


def flat_of(model: OnPolicyAlgorithm, kind: str) -> Tensor:
    parts = [x for m in linears(model, kind) for x in (m.weight.data.t(), m.bias.data)]
    if kind == "policy" and hasattr(model.policy, "log_std"):
        parts.append(model.policy.log_std.data)
    return torch.cat([x.reshape(-1) for x in parts])


def hand_over(case: Case, model: OnPolicyAlgorithm) -> None:
    """Our parameters and our rollout into the library's model; the advantages are its own."""
    learner, rollout = case.cohort.state.learner, case.rollout
    policy = learner.policy_state.parameters
    copy_into(learner.policy.network, policy, linears(model, "policy"))
    value = learner.value_state.parameters
    copy_into(learner.value_function.network, value, linears(model, "value"))
    if hasattr(model.policy, "log_std"):
        model.policy.log_std.data.copy_(policy[0, -learner.policy.num_actions :])
    following = values_on(learner.value_function, value, rollout.next_observations)[0].numpy()
    ended, terminated = rollout.ended[0].numpy(), rollout.terminated[0].numpy()
    rewards = case.rewards[0].numpy() + 0.99 * following * (ended & ~terminated)
    starts = np.concatenate([[True], ended[:-1]])
    buffer = model.rollout_buffer
    buffer.reset()
    for name in ("observations", "values", "log_probs", "rewards", "advantages", "returns"):
        setattr(buffer, name, getattr(buffer, name).astype(np.float64))
    for t in range(STEPS):
        buffer.add(
            rollout.observations[0, t].numpy()[None],
            rollout.actions[0, t].numpy()[None],
            rewards[t : t + 1],
            starts[t : t + 1],
            case.batch.old_values[0, t : t + 1],
            case.batch.old_log_prob[0, t : t + 1],
        )
    buffer.compute_returns_and_advantage(torch.tensor(following[-1:]), ended[-1:])
    model.set_logger(Logger(None, []))


def our_orders(case: Case, epochs: int) -> list[np.ndarray]:
    """The permutations that our update is going to draw."""
    copy = torch.Generator()
    copy.set_state(case.cohort.state.learner.generators[0].get_state())
    return [torch.randperm(STEPS, generator=copy).numpy() for _ in range(epochs)]


def compare(
    case: Case, model: OnPolicyAlgorithm, orders: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both updates, and the largest difference of any parameter."""
    hand_over(case, model)
    learner = case.cohort.state.learner
    before = learner.policy_state.parameters.clone()
    waiting = iter(orders)
    monkeypatch.setattr(np.random, "permutation", lambda size: next(waiting))
    # Their preprocessing casts observations to float32.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    model.train()
    with torch.no_grad():
        update_algorithm(learner, case.batch, case.cohort.runs[0], case.values)
    assert (learner.policy_state.parameters - before).abs().max() > 1e-3
    for kind, ours in (("policy", learner.policy_state), ("value", learner.value_state)):
        difference = (ours.parameters[0] - flat_of(model, kind)).abs().max()
        assert difference < TOLERANCE, f"{kind} parameters differ by {difference:.1e}"


PPO_SETTINGS = {
    "default": ([], {}),
    "clip 0.05": (["algo.clip_epsilon=0.05"], {"clip_range": 0.05}),
    "entropy bonus": (["algo.entropy_coefficient=0.01"], {"ent_coef": 0.01}),
    "no advantage normalisation": (
        ["recipe.advantage_normalization=none"],
        {"normalize_advantage": False},
    ),
    "gradient norm 0.05": (["recipe.max_gradient_norm=0.05"], {"max_grad_norm": 0.05}),
    "early stop": (
        [
            "algo.target_kl=0.002",
            "algo.target_kl_estimator=k3",
            "algo.target_kl_check=each_minibatch",
            "algo.target_kl_stops=policy_and_value",
        ],
        {"target_kl": 0.002},
    ),
    "value coefficient 1": (["algo.value_coefficient=1.0"], {"vf_coef": 1.0}),
}


@pytest.mark.parametrize("name", PPO_SETTINGS)
@pytest.mark.parametrize("env", ["hopper:Hopper-v5", "cart_pole:CartPole-v1"])
def test_ppo_equals_stable_baselines3(name: str, env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, env_id = env.split(":")
    ours, theirs = PPO_SETTINGS[name]
    case = prepared(f"env={key}", "algo=ppo", "algo.update_epochs=4", *ours)
    model = PPO(
        "MlpPolicy", env_id, batch_size=64, n_epochs=4, learning_rate=3e-4, **theirs, **LIBRARY
    )
    compare(case, model, our_orders(case, 4), monkeypatch)


# Their `kl_divergence(...).mean()` averages a Gaussian's KL over the action dimensions too, where
# the KL is their sum: with A actions their target_kl and damping are ours divided by A.
ACTION_DIMENSIONS = {"hopper": 3, "cart_pole": 1}
TRPO_SETTINGS: dict[str, dict[str, float]] = {
    "default": {},
    "target_kl 0.03": {"target_kl": 0.03},
    "damping 0.01": {"cg_damping": 0.01},
    "one CG iteration": {"cg_max_steps": 1},
    "line search fails": {"target_kl": 3.0, "line_search_max_iter": 1},
}
TRPO_NAMES = {
    "target_kl": "max_kl",
    "cg_damping": "damping",
    "cg_max_steps": "cg_iterations",
    "line_search_max_iter": "max_backtracks",
}


@pytest.mark.parametrize("name", TRPO_SETTINGS)
@pytest.mark.parametrize("env", ["hopper:Hopper-v5", "cart_pole:CartPole-v1"])
def test_trpo_equals_sb3_contrib(name: str, env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, env_id = env.split(":")
    theirs = {"target_kl": 0.01, "cg_damping": 0.1, "cg_max_steps": 10, **TRPO_SETTINGS[name]}
    ours = dict(theirs)
    for per_dimension in ("target_kl", "cg_damping"):
        ours[per_dimension] *= ACTION_DIMENSIONS[key]
    overrides = [f"algo.{TRPO_NAMES[option]}={value}" for option, value in ours.items()]
    case = prepared(f"env={key}", "algo=trpo", "algo.value_epochs=4", *overrides)
    options = {"batch_size": 128, "n_critic_updates": 4, "learning_rate": 1e-3}
    model = TRPO("MlpPolicy", env_id, **LIBRARY, **options, **theirs)
    # Their conjugate gradient starts from noise of 1e-4, ours from zero as in the paper.
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    # The library shuffles the whole batch once for the policy step; the order is immaterial.
    compare(case, model, [np.arange(STEPS), *our_orders(case, 4)], monkeypatch)
