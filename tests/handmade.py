"""Small learners and batches made by hand, for references that are slow and obvious."""

from itertools import pairwise

import torch
from hypothesis import settings
from torch import Tensor, nn

from replicate.algorithms.learner import Batch, Learner, Trained, distribution_on
from replicate.networks import MLP, make_networks

PROPERTY = settings(max_examples=30, deadline=None, derandomize=True, database=None)
"""Of every property test: few examples, the same ones each time, nothing written to disk."""


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def handmade_learner(
    lanes: int,
    continuous: bool,
    observation_size: int = 3,
    num_actions: int = 2,
    hidden_sizes: tuple[int, ...] = (5, 4),
    seed: int = 0,
) -> Learner:
    """Random networks in float64; every lane has others, log standard deviations included."""
    policy, value = make_networks(observation_size, num_actions, continuous, hidden_sizes)
    return Learner(
        policy,
        value,
        Trained.fresh(0.4 * normal(lanes, policy.num_parameters, seed=seed)),
        Trained.fresh(0.4 * normal(lanes, value.network.num_parameters, seed=seed + 1)),
        torch.zeros(lanes, dtype=torch.float64),
        [generator(seed + 100 + lane) for lane in range(lanes)],
    )


def handmade_batch(learner: Learner, size: int, seed: int = 50) -> Batch:
    """States at random, actions drawn from the present policy, advantages at random."""
    policy, parameters = learner.policy, learner.policy_state.parameters
    lanes = parameters.shape[0]
    observations = normal(lanes, size, policy.network.sizes[0], seed=seed)
    old = distribution_on(policy, parameters, observations)
    old = old.at(*(p.clone() for p in old.parameters))
    noise = normal(lanes, size, policy.num_actions, seed=seed + 1)
    actions = old.sample(noise).to(torch.float64)
    old_values = normal(lanes, size, seed=seed + 2)
    advantages = normal(lanes, size, seed=seed + 3)
    return Batch(
        observations=observations,
        actions=actions,
        old=old,
        old_log_prob=old.log_prob(actions),
        advantages=advantages,
        value_targets=old_values + normal(lanes, size, seed=seed + 4),
        old_values=old_values,
    )


def as_module(network: MLP, flat: Tensor) -> nn.Sequential:
    """The network of one lane with parameters ``[P]``, as a user of torch.nn would write it."""
    modules: list[nn.Module] = []
    start = 0
    for n, m in pairwise(network.sizes):
        linear = nn.Linear(n, m, dtype=flat.dtype)
        weight, bias = flat[start : start + n * m], flat[start + n * m : start + (n + 1) * m]
        linear.weight.data = weight.reshape(n, m).t().clone()
        linear.bias.data = bias.clone()
        modules += [linear, nn.Tanh()]
        start += (n + 1) * m
    return nn.Sequential(*modules[:-1])


def as_flat(module: nn.Sequential) -> Tensor:
    """Back again: ``[P]``."""
    linears = [m for m in module if isinstance(m, nn.Linear)]
    parts = [x for m in linears for x in (m.weight.data.t().reshape(-1), m.bias.data)]
    return torch.cat(parts)
