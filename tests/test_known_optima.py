"""Every algorithm finds optima that are known: a bandit, and the action that equals the state."""

import pytest
import torch

from replicate.engine.cohort import Cohort
from tests import toy_envs
from tests.conftest import runs_of

assert toy_envs.TOYS  # registered

PPO = ["algo=ppo", "algo.learning_rate=0.01", "algo.update_epochs=2", "algo.minibatch_size=64"]
ALGORITHMS = {
    "vpg": ["algo=vpg", "algo.learning_rate=0.05"],
    "ppo": PPO,
    "ppo adaptive_kl": [*PPO, "algo.objective=adaptive_kl", "algo.kl_target=0.03"],
    "trpo": ["algo=trpo", "algo.max_kl=0.05"],
}
SEEDS = 2


def trained(algo: str, env: str, updates: int) -> Cohort:
    value = ["algo.value_minibatch_size=64", "algo.value_learning_rate=0.01", "algo.value_epochs=2"]
    runs = runs_of(
        "env=cart_pole",
        f"env.id={env}",
        *ALGORITHMS[algo],
        *([] if "ppo" in algo else value),
        "algo.num_steps=256",
        "algo.hidden_sizes=[16]",
        f"total_env_steps={256 * updates}",
        "recipe.observation_filter=none",
        # A solved bandit has equal advantages: without an ε they become 0/0.
        "recipe.advantage_epsilon=1e-8",
        f"seed=range(0,{SEEDS})",
    )
    cohort = Cohort(runs)
    cohort.train()
    return cohort


def last_returns(cohort: Cohort) -> list[float]:
    rows = [lane.episodes[-256:] for lane in cohort.records.lanes]
    return [sum(e["episodic_return"] for e in row) / len(row) for row in rows]


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_bandit(algo: str) -> None:
    """Half and half pays 0.6, the better arm 1."""
    cohort = trained(algo, "TwoArmedBandit-v0", 20)
    first = [lane.episodes[:100] for lane in cohort.records.lanes]
    assert max(sum(e["episodic_return"] for e in row) / 100 for row in first) < 0.8
    assert min(last_returns(cohort)) > 0.95
    learner = cohort.state.learner
    policy, _ = learner.policy.forward(learner.policy_state.parameters, torch.ones(SEEDS, 1, 1))
    assert policy.logits.softmax(-1)[..., 1].min() > 0.95


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_target_matching(algo: str) -> None:
    """At first −2·(1 + 1/3) on average; a perfect policy gets 0."""
    cohort = trained(algo, "TargetMatching-v0", 40)
    assert min(last_returns(cohort)) > -0.15
    states = torch.tensor([[0.5, -0.5], [-0.8, 0.1], [0.0, 0.7]]).expand(SEEDS, 3, 2)
    learner = cohort.state.learner
    policy, _ = learner.policy.forward(learner.policy_state.parameters, states.contiguous())
    assert (policy.mean - states).abs().max() < 0.2
    assert policy.log_std.max() < -1.0
