"""Hand-written forward passes and Jacobians against torch.nn and autograd, in float64."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from replicate.maths.distributions import Categorical, DiagonalGaussian
from replicate.networks import MLP, Policy, ValueFunction, lane_matmul, make_networks
from tests.handmade import PROPERTY, as_flat, as_module, generator, normal

LANES, SAMPLES = 3, 5
SHAPES = [(2, 1), (3, 4, 2), (2, 5, 3, 4), (4, 3, 3, 1)]


def parameters_of(network: MLP, seed: int = 0) -> Tensor:
    return 0.6 * normal(LANES, network.num_parameters, seed=seed)


def plain_forward(sizes: tuple[int, ...], flat: Tensor, inputs: Tensor) -> Tensor:
    """One lane, one formula per layer; autograd sees ``flat``."""
    start = 0
    for layer, (n, m) in enumerate(pairwise(sizes)):
        weight = flat[start : start + n * m].reshape(n, m)
        bias = flat[start + n * m : start + (n + 1) * m]
        inputs = inputs @ weight + bias
        start += (n + 1) * m
        if layer < len(sizes) - 2:
            inputs = inputs.tanh()
    return inputs


@pytest.mark.parametrize("sizes", SHAPES)
def test_forward_equals_torch_nn(sizes: tuple[int, ...]) -> None:
    network = MLP(sizes)
    parameters, inputs = parameters_of(network), normal(LANES, SAMPLES, sizes[0], seed=9)
    outputs, activations = network.forward(parameters, inputs)
    assert outputs.shape == (LANES, SAMPLES, sizes[-1])
    assert [a.shape[-1] for a in activations] == list(sizes[:-1])
    for r in range(LANES):
        module = as_module(network, parameters[r])
        assert sum(p.numel() for p in module.parameters()) == network.num_parameters
        assert torch.equal(as_flat(module), parameters[r])
        torch.testing.assert_close(outputs[r], module(inputs[r]).detach())


@pytest.mark.parametrize("sizes", SHAPES)
def test_pullback_and_pushforward_equal_autograd(sizes: tuple[int, ...]) -> None:
    network = MLP(sizes)
    parameters, inputs = parameters_of(network), normal(LANES, SAMPLES, sizes[0], seed=9)
    _, activations = network.forward(parameters, inputs)
    cotangent = normal(LANES, SAMPLES, sizes[-1], seed=10)
    tangent = normal(LANES, network.num_parameters, seed=11)
    gradient = torch.full_like(parameters, torch.nan)
    network.pullback_(gradient, parameters, activations, cotangent)
    change = network.pushforward(parameters, activations, tangent)
    for r in range(LANES):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat, r=r: plain_forward(sizes, flat, inputs[r]), parameters[r]
        )
        expected = torch.einsum("so,sop->p", cotangent[r], jacobian)
        torch.testing.assert_close(gradient[r], expected)
        torch.testing.assert_close(change[r], jacobian @ tangent[r])


def test_pushforward_equals_finite_differences() -> None:
    """Central differences of width 1e-5: error of order 1e-10 from the third derivative."""
    network, width = MLP((3, 4, 2)), 1e-5
    parameters, inputs = parameters_of(network), normal(LANES, SAMPLES, 3, seed=9)
    tangent = normal(LANES, network.num_parameters, seed=11)
    _, activations = network.forward(parameters, inputs)
    above = network.forward(parameters + width * tangent, inputs)[0]
    below = network.forward(parameters - width * tangent, inputs)[0]
    pushed = network.pushforward(parameters, activations, tangent)
    torch.testing.assert_close(pushed, (above - below) / (2 * width), rtol=1e-7, atol=1e-8)


def test_layers_are_views_of_weights_and_biases_in_turn() -> None:
    network = MLP((2, 3, 1))
    flat = torch.arange(2.0 * network.num_parameters).view(2, -1)
    (first, first_bias), (second, second_bias) = network.layers(flat)
    assert first[1].tolist() == [[13, 14, 15], [16, 17, 18]]
    assert first_bias[1].tolist() == [[19, 20, 21]]
    assert second[0].tolist() == [[9], [10], [11]]
    assert second_bias[0].tolist() == [[12]]
    first[1, 0, 0] = -1
    assert flat[1, 0] == -1


def test_layers_of_a_part_of_a_longer_vector() -> None:
    network = MLP((2, 3, 1))
    longer = torch.arange(40.0).view(2, 20)
    for (a, b), (c, d) in zip(
        network.layers(longer[:, 4:17]), network.layers(longer[:, 4:17].clone()), strict=True
    ):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_normc_scales_columns_and_zeroes_biases() -> None:
    network = MLP((6, 5, 3))
    flat = network.initialise(generator(0), "normc", 2.0, 0.01)
    (hidden, hidden_bias), (output, output_bias) = network.layers(flat[None])
    torch.testing.assert_close(hidden[0].norm(dim=0), torch.full((5,), 2.0))
    torch.testing.assert_close(output[0].norm(dim=0), torch.full((3,), 0.01))
    assert not hidden_bias.any()
    assert not output_bias.any()


def test_orthogonal_weights_are_orthogonal_times_gain() -> None:
    network = MLP((6, 4, 4, 8))
    flat = network.initialise(generator(0), "orthogonal", 2**0.5, 0.01)
    (wide, _), (square, _), (tall, _) = network.layers(flat[None])
    torch.testing.assert_close(wide[0].t() @ wide[0], 2 * torch.eye(4))
    torch.testing.assert_close(square[0].t() @ square[0], 2 * torch.eye(4))
    torch.testing.assert_close(tall[0] @ tall[0].t(), 1e-4 * torch.eye(4))


@pytest.mark.parametrize("kind", ["normc", "orthogonal"])
def test_initialisation_depends_on_its_generator_alone(kind: str) -> None:
    network = MLP((3, 4, 2))
    first = network.initialise(generator(1), kind, 1.0, 1.0)
    torch.manual_seed(123)
    assert torch.equal(network.initialise(generator(1), kind, 1.0, 1.0), first)
    assert not torch.equal(network.initialise(generator(2), kind, 1.0, 1.0), first)


@PROPERTY
@given(
    lanes=st.integers(2, 5),
    rows=st.integers(1, 17),
    inner=st.integers(1, 33),
    columns=st.integers(1, 9),
    biased=st.booleans(),
)
def test_lane_matmul_has_the_same_bits_alone_and_in_company(
    lanes: int, rows: int, inner: int, columns: int, biased: bool
) -> None:
    a, b = normal(lanes, rows, inner, seed=0), normal(lanes, inner, columns, seed=1)
    bias = normal(lanes, 1, columns, seed=2) if biased else None
    expected = torch.stack([x @ y for x, y in zip(a, b, strict=True)])
    if bias is not None:
        expected = expected + bias
    torch.testing.assert_close(lane_matmul(a, b, bias), expected)
    a, b, bias = a.float(), b.float(), None if bias is None else bias.float()
    together = lane_matmul(a, b, bias)
    for r in range(lanes):
        one = slice(r, r + 1)
        alone = lane_matmul(a[one], b[one], None if bias is None else bias[one])
        assert torch.equal(alone, together[one])


@pytest.mark.parametrize("continuous", [True, False])
def test_policy_splits_its_vector_into_network_and_log_std(continuous: bool) -> None:
    policy = Policy(MLP((3, 4, 2)), continuous)
    assert policy.num_actions == 2
    assert policy.num_parameters == 3 * 4 + 4 + 4 * 2 + 2 + (2 if continuous else 0)
    flat = policy.initialise(generator(0), "normc", 1.0, 0.01, log_std_init=-0.5)
    assert flat.shape == (policy.num_parameters,)
    parameters = 0.5 * normal(LANES, policy.num_parameters, seed=0)
    observations = normal(LANES, SAMPLES, 3, seed=1)
    distribution, _ = policy.forward(parameters, observations)
    network = policy.network.num_parameters
    for r in range(LANES):
        outputs = plain_forward((3, 4, 2), parameters[r, :network], observations[r])
        torch.testing.assert_close(distribution.parameters[0][r], outputs)
    if continuous:
        assert flat[-2:].tolist() == [-0.5, -0.5]
        assert isinstance(distribution, DiagonalGaussian)
        assert torch.equal(distribution.log_std, parameters[:, None, -2:])
    else:
        assert isinstance(distribution, Categorical)


@pytest.mark.parametrize("continuous", [True, False])
def test_policy_jacobians_equal_autograd(continuous: bool) -> None:
    policy = Policy(MLP((3, 4, 2)), continuous)
    parameters = 0.5 * normal(LANES, policy.num_parameters, seed=0)
    observations = normal(LANES, SAMPLES, 3, seed=1)
    distribution, activations = policy.forward(parameters, observations)
    cotangents = tuple(normal(*p.shape, seed=2 + k) for k, p in enumerate(distribution.parameters))
    tangent = normal(LANES, policy.num_parameters, seed=5)

    def outputs(flat: Tensor, r: int) -> tuple[Tensor, ...]:
        network = policy.network.num_parameters
        mean = plain_forward((3, 4, 2), flat[:network], observations[r])
        return (mean, flat[None, network:]) if continuous else (mean,)

    gradient = policy.pullback(parameters, activations, cotangents)
    change = policy.pushforward(parameters, activations, tangent)
    for r in range(LANES):
        jacobians = torch.autograd.functional.jacobian(lambda x, r=r: outputs(x, r), parameters[r])
        expected = sum(
            torch.einsum("so,sop->p", c[r], j) for c, j in zip(cotangents, jacobians, strict=True)
        )
        torch.testing.assert_close(gradient[r], expected)
        for moved, jacobian in zip(change, jacobians, strict=True):
            torch.testing.assert_close(moved[r], jacobian @ tangent[r])


def test_policy_pullback_adds_up_a_log_std_cotangent_per_state() -> None:
    policy = Policy(MLP((3, 4, 2)), continuous=True)
    parameters = 0.5 * normal(LANES, policy.num_parameters, seed=0)
    _, activations = policy.forward(parameters, normal(LANES, SAMPLES, 3, seed=1))
    zero = torch.zeros(LANES, SAMPLES, 2, dtype=torch.float64)
    cotangent = normal(LANES, SAMPLES, 2, seed=2)
    gradient = policy.pullback(parameters, activations, (zero, cotangent))
    torch.testing.assert_close(gradient[:, -2:], cotangent.sum(1))
    assert not gradient[:, :-2].any()


def test_value_function_equals_autograd() -> None:
    value = ValueFunction(MLP((3, 4, 1)))
    parameters = 0.5 * normal(LANES, value.network.num_parameters, seed=0)
    observations, cotangent = normal(LANES, SAMPLES, 3, seed=1), normal(LANES, SAMPLES, seed=2)
    values, activations = value.forward(parameters, observations)
    gradient = value.pullback(parameters, activations, cotangent)
    for r in range(LANES):
        flat = parameters[r].clone().requires_grad_()
        expected = plain_forward((3, 4, 1), flat, observations[r])[:, 0]
        torch.testing.assert_close(values[r], expected.detach())
        (expected * cotangent[r]).sum().backward()
        torch.testing.assert_close(gradient[r], flat.grad)


def test_make_networks() -> None:
    policy, value = make_networks(7, 3, True, (5, 6))
    assert policy.network.sizes == (7, 5, 6, 3)
    assert value.network.sizes == (7, 5, 6, 1)
    assert policy.continuous
    assert not make_networks(7, 3, False, (5,))[0].continuous
