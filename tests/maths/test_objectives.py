"""Objectives against hand values, and their gradients against where they must vanish."""

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from replicate.maths.objectives import (
    adapt_kl_beta,
    clip_higher_surrogate,
    clipped_surrogate,
    clipped_surrogate_slope,
    clipped_term,
    clipped_value_error,
    kl_penalty,
    policy_gradient,
    simple_policy_optimization,
    squared_value_error,
    squared_value_slope,
    surrogate,
)
from tests.handmade import PROPERTY, normal


def cell(number: float) -> Tensor:
    return torch.tensor([[number]], dtype=torch.float64)


def lane(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


FOUR_CASES = [
    # ratio, advantage, min, d min/d ratio, max, d max/d ratio;  ε = 0.2
    (1.1, 2.0, 2.2, 2.0, 2.2, 2.0),
    (1.5, 2.0, 2.4, 0.0, 3.0, 2.0),
    (0.5, 2.0, 1.0, 2.0, 1.6, 0.0),
    (0.9, -2.0, -1.8, -2.0, -1.8, -2.0),
    (0.5, -2.0, -1.6, 0.0, -1.0, -2.0),
    (1.5, -2.0, -3.0, -2.0, -2.4, 0.0),
]


@pytest.mark.parametrize(("r", "a", "low", "low_slope", "high", "high_slope"), FOUR_CASES)
def test_table_of_signs_and_sides(
    r: float, a: float, low: float, low_slope: float, high: float, high_slope: float
) -> None:
    for bound, value, slope in (("min", low, low_slope), ("max", high, high_slope)):
        ratio = cell(r).requires_grad_()
        objective = clipped_surrogate(ratio, cell(a), lane(0.2), bound)
        objective.sum().backward()
        assert objective.item() == pytest.approx(value)
        assert ratio.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize("advantage", [2.0, -0.5])
def test_spo_is_the_surrogate_at_first_and_turns_at_the_edge_of_the_range(advantage: float) -> None:
    edge = 1.2 if advantage > 0 else 0.8
    ratio = torch.tensor([[1.0, edge, 2 * edge - 1]], dtype=torch.float64).requires_grad_()
    objective = simple_policy_optimization(ratio, cell(advantage), lane(0.2))
    objective.sum().backward()
    # At r = 1 the policy gradient, at the edge none, and as far beyond it the opposite one.
    assert ratio.grad is not None
    assert ratio.grad[0].tolist() == pytest.approx([advantage, 0, -advantage], abs=1e-12)
    assert objective[0, 0].item() == advantage
    assert objective[0, 2].item() == pytest.approx(advantage)  # what was gained is lost again


@pytest.mark.parametrize(
    ("epsilon", "r", "advantage", "value", "slope"),
    [
        (0.2, 1.27, 2.0, 2.54, 2.0),  # past 1 + ε, where PPO's clip is flat
        (0.2, 1.5, 2.0, 2.56, 0.0),
        (0.2, 1.5, -2.0, -3.0, -2.0),
        (0.2, 0.7, 2.0, 1.4, 2.0),
        (0.2, 0.7, -2.0, -1.6, 0.0),
        (0.1, 1.13, 2.0, 2.26, 2.0),
        (0.1, 1.15, 2.0, 2.28, 0.0),
    ],
)
def test_the_upper_end_alone_is_raised(
    epsilon: float, r: float, advantage: float, value: float, slope: float
) -> None:
    ratio = cell(r).requires_grad_()
    objective = clip_higher_surrogate(ratio, cell(advantage), lane(epsilon))
    objective.sum().backward()
    assert objective.item() == pytest.approx(value) and ratio.grad.item() == pytest.approx(slope)


@PROPERTY
@given(
    r=st.floats(0.0, 5.0),
    a=st.floats(-10, 10).filter(lambda a: abs(a) > 1e-3),
    epsilon=st.floats(0.01, 0.9),
)
def test_gradient_vanishes_exactly_where_the_clip_bites(r: float, a: float, epsilon: float) -> None:
    ratio = cell(r).requires_grad_()
    objective = clipped_surrogate(ratio, cell(a), lane(epsilon))
    objective.sum().backward()
    clipped = (a > 0 and r > 1 + epsilon) or (a < 0 and r < 1 - epsilon)
    assert ratio.grad.item() == pytest.approx(0.0 if clipped else a)
    assert objective.item() <= r * a + 1e-12
    assert objective.item() == pytest.approx(min(r * a, min(max(r, 1 - epsilon), 1 + epsilon) * a))


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.05, 0.3, 3.0]),
    bound=st.sampled_from(["min", "max", "clipped"]),
)
def test_slope_of_the_clipped_surrogate_equals_autograd(
    seed: int, spread: float, bound: Literal["min", "max", "clipped"]
) -> None:
    log_ratio = (spread * normal(4, 9, seed=seed)).requires_grad_()
    advantages = normal(4, 9, seed=seed + 1)
    advantages[:, 0] = 0.0
    epsilon = lane(0.1, 0.2, 0.9, math.inf)
    given = log_ratio.exp(), advantages, epsilon
    objective = clipped_term(*given) if bound == "clipped" else clipped_surrogate(*given, bound)
    objective.sum().backward()
    ratio = log_ratio.detach().exp()
    slope = clipped_surrogate_slope(ratio, advantages, epsilon, bound)
    torch.testing.assert_close(slope, log_ratio.grad)


def test_slope_of_the_clipped_surrogate_keeps_nan() -> None:
    """A lane that has diverged must not look like one that rests."""
    slope = clipped_surrogate_slope(cell(math.nan), cell(1.0), lane(0.2))
    assert slope.isnan().all()


def test_infinite_epsilon_is_the_plain_surrogate() -> None:
    ratio = torch.tensor([[0.0, 0.5, 1.0, 40.0]], requires_grad=True)
    advantages = torch.tensor([[1.0, -2.0, 3.0, 4.0]])
    objective = clipped_surrogate(ratio, advantages, torch.tensor([math.inf]))
    assert torch.equal(objective, surrogate(ratio, advantages))
    objective.sum().backward()
    assert torch.equal(ratio.grad, advantages)


def test_every_lane_is_clipped_at_its_own_epsilon() -> None:
    ratio = torch.full((3, 1), 1.5)
    objective = clipped_surrogate(ratio, torch.ones(3, 1), torch.tensor([0.1, 0.2, math.inf]))
    torch.testing.assert_close(objective, torch.tensor([[1.1], [1.2], [1.5]]))


def test_surrogate_and_policy_gradient_have_one_gradient_at_the_old_policy() -> None:
    advantages = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    old = torch.tensor([[-0.7, -1.3]], dtype=torch.float64)
    gradients = []
    for objective in (
        lambda log_prob: policy_gradient(log_prob, advantages),
        lambda log_prob: surrogate((log_prob - old).exp(), advantages),
    ):
        log_prob = old.clone().requires_grad_()
        objective(log_prob).sum().backward()
        gradients.append(log_prob.grad)
    torch.testing.assert_close(gradients[0], advantages)
    torch.testing.assert_close(gradients[1], advantages)
    assert torch.equal(policy_gradient(old, advantages), old * advantages)
    assert torch.equal(surrogate(old, advantages), old * advantages)


def test_kl_penalty_is_the_product_and_off_means_off() -> None:
    kl = torch.tensor([[0.1, 0.2], [math.inf, math.nan]], dtype=torch.float64, requires_grad=True)
    penalty = kl_penalty(kl, lane(3.0, 0.0))
    torch.testing.assert_close(penalty[0], lane(0.3, 0.6))
    assert torch.equal(penalty[1], lane(0.0, 0.0))
    penalty.sum().backward()
    assert torch.equal(kl.grad, torch.tensor([[3.0, 3.0], [0.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("kl", "target", "factor"),
    [
        (0.0065, 0.01, 0.5),
        (0.0068, 0.01, 1.0),
        (0.01, 0.01, 1.0),
        (0.0149, 0.01, 1.0),
        (0.0151, 0.01, 2.0),
        (math.inf, 0.01, 2.0),
        (5.0, math.nan, 1.0),
        (0.0, math.nan, 1.0),
        (1.0, 1.5, 1.0),  # exactly d_targ/1.5
        (1.5, 1.0, 1.0),  # exactly 1.5·d_targ
    ],
)
def test_adaptive_beta(kl: float, target: float, factor: float) -> None:
    beta = adapt_kl_beta(lane(0.8), lane(kl), lane(target))
    assert beta.item() == pytest.approx(0.8 * factor)


def test_squared_value_error() -> None:
    error = squared_value_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]))
    assert torch.equal(error, torch.tensor([[4.0, 9.0]]))


def test_slope_of_the_squared_value_error_equals_autograd() -> None:
    values, targets = normal(2, 5, seed=0).requires_grad_(), normal(2, 5, seed=1)
    squared_value_error(values, targets).sum().backward()
    torch.testing.assert_close(squared_value_slope(values.detach(), targets), values.grad)


@pytest.mark.parametrize(
    ("value", "old", "target", "expected", "slope"),
    [
        (1.1, 1.0, 2.0, 0.81, -1.8),  # inside the interval: the plain error
        (1.5, 1.0, 2.0, 0.64, 0.0),  # moved towards the target beyond ε: flat
        (0.5, 1.0, 2.0, 2.25, -3.0),  # moved away: the larger, plain error
        (2.5, 1.0, 2.0, 0.64, 0.0),  # across the target, clipped error larger
        (4.0, 1.0, 2.0, 4.00, 4.0),  # across and far off, plain error larger
    ],
)
def test_clipped_value_error(
    value: float, old: float, target: float, expected: float, slope: float
) -> None:
    values = cell(value).requires_grad_()
    error = clipped_value_error(values, cell(old), cell(target), lane(0.2))
    error.sum().backward()
    assert error.item() == pytest.approx(expected)
    assert values.grad.item() == pytest.approx(slope)


@PROPERTY
@given(
    value=st.floats(-5, 5),
    old=st.floats(-5, 5),
    target=st.floats(-5, 5),
    epsilon=st.floats(0.01, 3),
)
def test_clipped_value_error_is_an_upper_bound(
    value: float, old: float, target: float, epsilon: float
) -> None:
    plain = squared_value_error(cell(value), cell(target))
    error = clipped_value_error(cell(value), cell(old), cell(target), lane(epsilon))
    assert error.item() >= plain.item()
    unlimited = clipped_value_error(cell(value), cell(old), cell(target), lane(math.inf))
    assert unlimited.item() == pytest.approx(plain.item(), abs=1e-9)
