"""GAE against the definition it abbreviates: λ-weighted n-step returns."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from replicate.maths.returns import gae, standardise
from tests.handmade import PROPERTY, normal


def lambda_return_advantage(
    rewards: list[float],
    values: list[float],
    next_values: list[float],
    terminated: list[bool],
    ended: list[bool],
    gamma: float,
    lam: float,
) -> list[float]:
    """Σ_n weight_n·G^(n)_t − V(s_t), the n-step returns summed one by one."""
    advantages = []
    for t in range(len(rewards)):
        last = next((k for k in range(t, len(rewards)) if ended[k]), len(rewards) - 1)
        steps = last - t + 1
        mixture = 0.0
        for n in range(1, steps + 1):
            n_step = math.fsum(gamma**k * rewards[t + k] for k in range(n))
            if not terminated[t + n - 1]:
                n_step += gamma**n * next_values[t + n - 1]
            mixture += (lam ** (n - 1) if n == steps else (1 - lam) * lam ** (n - 1)) * n_step
        advantages.append(mixture - values[t])
    return advantages


def following(values: Tensor, ended: Tensor, last: Tensor) -> Tensor:
    """V(s'_t): that of the next state, or of the last one of an episode."""
    shifted = torch.cat([values[:, 1:], last[:, -1:]], 1)
    return torch.where(ended, last, shifted)


@PROPERTY
@given(
    lanes=st.integers(1, 3),
    steps=st.integers(1, 12),
    seed=st.integers(0, 10_000),
    share_of_ends=st.sampled_from([0.0, 0.3, 1.0]),
    gamma=st.floats(0.01, 1.0),
    lam=st.floats(0.0, 1.0),
)
def test_gae_is_the_lambda_return(
    lanes: int, steps: int, seed: int, share_of_ends: float, gamma: float, lam: float
) -> None:
    chance = torch.Generator().manual_seed(seed)
    rewards, values, last = (normal(lanes, steps, seed=seed + k) for k in range(3))
    ended = torch.rand(lanes, steps, generator=chance) < share_of_ends
    terminated = ended & (torch.rand(lanes, steps, generator=chance) < 0.5)
    next_values = following(values, ended, last)
    discounts = gamma * torch.linspace(1, 0.5, lanes, dtype=torch.float64)
    lambdas = lam * torch.linspace(1, 0.3, lanes, dtype=torch.float64)
    advantages = gae(rewards, values, next_values, terminated, ended, discounts, lambdas)
    assert advantages.shape == (lanes, steps)
    for r in range(lanes):
        arguments = (rewards, values, next_values, terminated, ended)
        rows = [argument[r].tolist() for argument in arguments]
        expected = lambda_return_advantage(*rows, discounts[r].item(), lambdas[r].item())
        assert advantages[r].tolist() == pytest.approx(expected, rel=1e-10, abs=1e-10)


def one_lane(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


def flags(*bits: int) -> Tensor:
    return torch.tensor([bits], dtype=torch.bool)


def scalar(number: float) -> Tensor:
    return torch.tensor([number], dtype=torch.float64)


def test_lambda_zero_is_one_step_td() -> None:
    rewards, values, next_values = (normal(2, 5, seed=k) for k in range(3))
    never = torch.zeros(2, 5, dtype=torch.bool)
    gamma = torch.tensor([0.9, 0.5], dtype=torch.float64)
    advantages = gae(rewards, values, next_values, never, never, gamma, torch.zeros_like(gamma))
    torch.testing.assert_close(advantages, rewards + gamma[:, None] * next_values - values)


def test_lambda_one_is_the_discounted_return_minus_the_value() -> None:
    advantages = gae(
        one_lane(1, 2, 3),
        one_lane(10, 20, 30),
        one_lane(20, 30, 1000),
        flags(0, 0, 1),
        flags(0, 0, 1),
        scalar(0.5),
        scalar(1.0),
    )
    expected = one_lane(1 + 0.5 * 2 + 0.25 * 3 - 10, 2 + 0.5 * 3 - 20, 3 - 30)
    torch.testing.assert_close(advantages, expected)


def test_the_value_of_what_follows_a_terminal_state_counts_for_nothing() -> None:
    """Not even where it is no number: a simulation may end because its state is none."""
    ends = torch.tensor([[False, True]])
    rewards, values = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25]])
    one = torch.ones(1)
    for last in (7.0, math.inf, math.nan):
        advantages = gae(rewards, values, torch.tensor([[0.25, last]]), ends, ends, one, one)
        assert advantages.tolist() == [[1 + 2 - 0.5, 2 - 0.25]]


def test_truncated_and_terminated_differ_by_the_bootstrap_alone() -> None:
    arguments = (one_lane(1, 1), one_lane(4, 5), one_lane(5, 6))
    ended = flags(0, 1)
    truncated = gae(*arguments, flags(0, 0), ended, scalar(0.9), scalar(0.8))
    terminated = gae(*arguments, ended, ended, scalar(0.9), scalar(0.8))
    expected = one_lane(0.9 * 0.8 * 0.9 * 6, 0.9 * 6)
    torch.testing.assert_close(truncated - terminated, expected)


def test_a_lane_does_not_feel_its_neighbour() -> None:
    rewards, values, next_values = (normal(2, 6, seed=k) for k in range(3))
    never = torch.zeros(2, 6, dtype=torch.bool)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    before = gae(rewards, values, next_values, never, never, half, half)
    values[1] = torch.nan
    after = gae(rewards, values, next_values, never, never, half, half)
    assert torch.equal(before[0], after[0])
    assert after[1].isnan().all()


@pytest.mark.parametrize(("std", "correction"), [("population", 0), ("sample", 1)])
def test_standardise_closed_form(std: str, correction: int) -> None:
    values = normal(3, 7, seed=1)
    expected = torch.stack(
        [(x - x.mean()) / (x.var(correction=correction).sqrt() + 0.1) for x in values]
    )
    torch.testing.assert_close(standardise(values, 0.1, std), expected)


@PROPERTY
@given(shift=st.floats(-50, 50), scale=st.floats(0.1, 50), seed=st.integers(0, 1000))
def test_standardise_forgets_shift_and_scale(shift: float, scale: float, seed: int) -> None:
    values = normal(2, 9, seed=seed)
    standardised = standardise(scale * values + shift, 0.0)
    torch.testing.assert_close(standardised, standardise(values, 0.0), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(standardised.mean(1), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(
        standardised.std(1, correction=0), torch.ones(2, dtype=torch.float64)
    )


def test_standardise_maps_constants_to_zero_where_epsilon_is_positive() -> None:
    assert torch.equal(standardise(torch.full((1, 4), 3.0), 1e-8), torch.zeros(1, 4))
