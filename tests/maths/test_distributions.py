"""Distributions against torch.distributions, sampling, and autograd."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import distributions as reference

from replicate.maths.distributions import Categorical, DiagonalGaussian, Distribution
from tests.handmade import generator, normal

LANES, SAMPLES, ACTIONS = 2, 5, 3
KINDS = ["shared std", "std per state", "categorical"]


def made(kind: str, seed: int = 0) -> Distribution:
    outputs = normal(LANES, SAMPLES, ACTIONS, seed=seed)
    if kind == "categorical":
        return Categorical(1.5 * outputs)
    rows = 1 if kind == "shared std" else SAMPLES
    return DiagonalGaussian(outputs, 0.5 * normal(LANES, rows, ACTIONS, seed=seed + 1))


def as_torch(ours: Distribution) -> reference.Distribution:
    if isinstance(ours, Categorical):
        return reference.Categorical(logits=ours.logits)
    std = ours.log_std.exp().expand_as(ours.mean)
    return reference.Independent(reference.Normal(ours.mean, std), 1)


def actions_for(ours: Distribution, seed: int = 9) -> Tensor:
    return ours.sample(normal(LANES, SAMPLES, ACTIONS, seed=seed))


def reference_log_prob(ours: Distribution, actions: Tensor) -> Tensor:
    theirs = as_torch(ours)
    return theirs.log_prob(actions[..., 0] if isinstance(ours, Categorical) else actions)


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_entropy_and_kl_equal_torch_distributions(kind: str) -> None:
    ours, other = made(kind), made(kind, seed=20)
    actions = actions_for(ours)
    torch.testing.assert_close(ours.log_prob(actions), reference_log_prob(ours, actions))
    torch.testing.assert_close(ours.entropy(), as_torch(ours).entropy())
    expected = reference.kl_divergence(as_torch(ours), as_torch(other))
    torch.testing.assert_close(ours.kl(other), expected)
    for numbers in (ours.log_prob(actions), ours.entropy(), ours.kl(other)):
        assert numbers.shape == (LANES, SAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_kl_is_zero_at_home_positive_elsewhere_and_not_symmetric(kind: str) -> None:
    ours, other = made(kind), made(kind, seed=20)
    assert ours.kl(ours).abs().max() < 1e-15
    assert ours.kl(other).min() > 0
    assert (ours.kl(other) - other.kl(ours)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_kl_and_entropy_are_the_averages_that_they_are_defined_as(kind: str) -> None:
    """Monte Carlo, within five standard errors."""
    draws = 40_000
    ours, other = made(kind), made(kind, seed=20)
    first = ours.at(*(p[:1, :1].expand(1, draws, ACTIONS) for p in ours.parameters))
    second = other.at(*(p[:1, :1].expand(1, draws, ACTIONS) for p in other.parameters))
    uniform = torch.rand(1, draws, ACTIONS, generator=generator(3), dtype=torch.float64)
    gumbel = -torch.log(-torch.log(uniform))
    noise = gumbel if kind == "categorical" else normal(1, draws, ACTIONS, seed=3)
    actions = first.sample(noise)
    log_probs = first.log_prob(actions)
    for draws_of, exact in (
        (log_probs - second.log_prob(actions), ours.kl(other)[0, 0]),
        (-log_probs, ours.entropy()[0, 0]),
    ):
        error = draws_of.std() / math.sqrt(draws)
        assert (draws_of.mean() - exact).abs() < 5 * error


def test_gaussian_sample_is_mean_plus_std_times_noise() -> None:
    ours = DiagonalGaussian(torch.tensor([[[1.0, -2.0]]]), torch.tensor([[[0.0, math.log(3)]]]))
    sample = ours.sample(torch.tensor([[[0.5, -1.0]]]))
    torch.testing.assert_close(sample, torch.tensor([[[1.5, -5.0]]]))


def test_categorical_sample_has_the_probabilities_of_the_softmax() -> None:
    draws, probabilities = 40_000, torch.tensor([0.5, 0.3, 0.2])
    logits = probabilities.log().expand(1, draws, 3) + 7
    gumbel = -torch.log(-torch.log(torch.rand(1, draws, 3, generator=generator(1))))
    actions = Categorical(logits).sample(gumbel)
    assert actions.shape == (1, draws, 1)
    frequencies = torch.bincount(actions.flatten(), minlength=3) / draws
    assert (frequencies - probabilities).abs().max() < 5 * 0.5 / math.sqrt(draws)


def test_closed_forms_of_entropy() -> None:
    uniform = Categorical(torch.full((1, 1, 4), 2.0))
    torch.testing.assert_close(uniform.entropy(), torch.tensor([[math.log(4)]]))
    gaussian = DiagonalGaussian(torch.zeros(1, 2, 2), torch.tensor([[[0.0, 1.0]]]))
    expected = math.log(2 * math.pi * math.e) + 1.0
    torch.testing.assert_close(gaussian.entropy(), torch.full((1, 2), expected))


def test_extreme_logits_stay_finite() -> None:
    ours = Categorical(torch.tensor([[[1e4, -1e4, 0.0]]]))
    other = Categorical(torch.tensor([[[0.0, 10.0, 0.0]]]))
    assert ours.entropy().item() == 0.0
    assert math.isfinite(ours.kl(other).item())
    assert ours.log_prob(torch.tensor([[[1.0]]])).item() == -2e4


def autograd_of(
    ours: Distribution, quantity: Callable[[Distribution], Tensor], cotangent: Tensor
) -> tuple[Tensor, ...]:
    leaves = [p.clone().requires_grad_() for p in ours.parameters]
    total = (quantity(ours.at(*leaves)) * cotangent).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    return tuple(
        torch.zeros_like(p) if g is None else g for g, p in zip(gradients, leaves, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pullbacks_equal_autograd(kind: str) -> None:
    ours, old = made(kind), made(kind, seed=20)
    actions = actions_for(ours)
    cotangent = normal(LANES, SAMPLES, seed=30)
    pairs = [
        (
            ours.log_prob_pullback(actions, cotangent),
            autograd_of(ours, lambda d: reference_log_prob(d, actions), cotangent),
        ),
        (
            ours.kl_pullback(old, cotangent),
            autograd_of(
                ours, lambda d: reference.kl_divergence(as_torch(old), as_torch(d)), cotangent
            ),
        ),
        (
            ours.entropy_pullback(cotangent),
            autograd_of(ours, lambda d: as_torch(d).entropy(), cotangent),
        ),
    ]
    for actual, expected in pairs:
        assert len(actual) == len(ours.parameters)
        for f, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(f, e)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["old to new", "new to old"])
def test_fisher_is_the_hessian_of_the_kl_in_both_directions(kind: str, direction: str) -> None:
    ours = made(kind)
    shapes = [p.shape for p in ours.parameters]
    sizes = [p.numel() for p in ours.parameters]
    flat = torch.cat([p.flatten() for p in ours.parameters])

    def total_kl(point: Tensor) -> Tensor:
        parts = [x.view(s) for x, s in zip(point.split(sizes), shapes, strict=True)]
        there = as_torch(ours.at(*parts))
        pair = (as_torch(ours), there) if direction == "old to new" else (there, as_torch(ours))
        return reference.kl_divergence(*pair).sum()

    hessian = torch.autograd.functional.hessian(total_kl, flat)
    tangents = [normal(*shape, seed=40 + k) for k, shape in enumerate(shapes)]
    product = torch.cat([x.flatten() for x in ours.fisher(*tangents)])
    expected = hessian @ torch.cat([x.flatten() for x in tangents])
    torch.testing.assert_close(product, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_at_and_parameters_are_inverse(kind: str) -> None:
    ours, other = made(kind), made(kind, seed=20)
    moved = ours.at(*other.parameters)
    assert type(moved) is type(ours)
    for parameters, expected in zip(moved.parameters, other.parameters, strict=True):
        assert parameters is expected
