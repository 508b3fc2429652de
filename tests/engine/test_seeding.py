"""Where randomness comes from: seeds differ in all that they decide, and share nothing else."""

import itertools

import pytest
import torch

from replicate.engine.cohort import Cohort
from replicate.engine.seeding import action_noise, generator
from replicate.maths.distributions import Categorical
from tests.conftest import runs_of


def initial(*overrides: str) -> Cohort:
    return Cohort(runs_of("env=hopper", "total_env_steps=4096", *overrides))


def test_each_seed_has_networks_and_noise_of_its_own() -> None:
    learner = initial("seed=range(0,4)").state.learner
    noise = action_noise(learner.generators, "normal", 8, 3).unbind(1)
    for drawn in (learner.policy_state.parameters, learner.value_state.parameters, noise):
        for one, other in itertools.combinations(drawn, 2):
            assert (one != other).float().mean() > 0.4  # biases are all 0


def test_a_seed_starts_alike_whatever_is_compared() -> None:
    """Pairs by seed: the same networks and noise for TRPO, PPO and any ε."""
    cohorts = [
        initial("seed=3", *given)
        for given in (("algo=ppo",), ("algo=ppo", "algo.clip_epsilon=0.5"), ("algo=trpo",))
    ]
    first, *others = [cohort.state.learner for cohort in cohorts]
    drawn = action_noise(first.generators, "normal", 8, 3)
    for other in others:
        assert torch.equal(first.policy_state.parameters, other.policy_state.parameters)
        assert torch.equal(first.value_state.parameters, other.value_state.parameters)
        assert torch.equal(drawn, action_noise(other.generators, "normal", 8, 3))


def test_weights_and_actions_are_of_different_streams() -> None:
    (actions,) = initial("seed=7").state.learner.generators
    weights = generator(7, "initialisation")
    both = torch.stack([torch.randn(10_000, generator=g) for g in (weights, actions)])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / 100  # 5 standard errors


def test_discrete_actions_are_as_frequent_as_the_softmax_says() -> None:
    """argmax(log p + Gumbel noise) has probabilities p (Maddison et al. 2014)."""
    draws, p = 40_000, torch.tensor([0.5, 0.3, 0.2])
    noise = action_noise([generator(0, "training")], "gumbel", draws, 3).transpose(0, 1)
    actions = Categorical(p.log().expand(1, draws, 3)).sample(noise).flatten()
    shares = torch.bincount(actions, minlength=3) / draws
    assert ((shares - p).abs() < 5 * (p * (1 - p) / draws).sqrt()).all()


@pytest.mark.parametrize("recipe", ["paper2017", "modern"])
def test_networks_begin_as_the_recipe_says(recipe: str) -> None:
    """``normc``: columns of norm 1, the policy's last 0.01; orthogonal: √2, 0.01 and 1."""
    cohort = initial(f"recipe={recipe}", "seed=range(0,2)")
    learner = cohort.state.learner
    policy = learner.policy.network.layers(learner.policy_state.parameters)
    value = learner.value_function.network.layers(learner.value_state.parameters)
    hidden = 2**0.5 if recipe == "modern" else 1.0
    for layers, last in ((policy, 0.01), (value, 1.0)):
        for (weight, bias), gain in zip(layers, (hidden, hidden, last), strict=True):
            assert not bias.any()
            if recipe == "paper2017":
                norms = weight.norm(dim=1)
                torch.testing.assert_close(norms, torch.full_like(norms, gain))
            else:
                # Rows or columns, whichever are fewer, are orthogonal and of one norm.
                inner = weight.mT @ weight
                if weight.shape[1] > weight.shape[2]:
                    wanted = torch.eye(weight.shape[2]).expand_as(inner)
                else:
                    inner = weight @ weight.mT
                    wanted = torch.eye(weight.shape[1]).expand_as(inner)
                torch.testing.assert_close(inner, gain**2 * wanted, rtol=1e-4, atol=1e-5 * gain**2)
    spread = learner.policy_state.parameters[:, -learner.policy.num_actions :]
    assert not spread.any()
