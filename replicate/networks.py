"""Floor 1: policies and value functions of all lanes at once, and their Jacobians.

The parameters of one network are a single tensor ``[R, P]``: an optimiser, a line search or a
checkpoint sees vectors and nothing else, and no parameter can be forgotten.  Forward passes,
Jacobian-vector products (``pushforward``) and vector-Jacobian products (``pullback``) are
written out, because for networks this small the bookkeeping of a general autograd costs as much
as the arithmetic; tests compare all three with autograd in float64.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from replicate.maths.distributions import Categorical, DiagonalGaussian, Distribution
from replicate.maths.lanes import beside_itself

Initialisation = Literal["normc", "orthogonal"]

# MKL rounds odd shapes by how a lane happens to lie in memory, unless it is held to one code path.
# It reads this at its first call; what the user has set stands.
MKL_CODE_PATH = {"AVX512": "AVX512", "AVX2": "AVX2"}.get(
    torch.backends.cpu.get_cpu_capability(), "COMPATIBLE"
)
os.environ.setdefault("MKL_CBWR", MKL_CODE_PATH)

# Products with fewer columns than this are quicker transposed.
NARROW = 32


def lane_matmul(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a·b (+ bias), lane by lane: ``[R, N, K]`` × ``[R, K, M]`` → ``[R, N, M]``.

    A single lane is computed beside a copy of itself (``maths.lanes.beside_itself``).  A product
    with few columns is computed as (bᵀ·aᵀ)ᵀ with bᵀ copied, which BLAS does in a third of the time,
    its bias added afterwards, and one with K = 1 without BLAS.
    """
    if a.shape[2] == 1:
        return a * b if bias is None else a * b + bias
    if b.shape[2] < min(a.shape[1], NARROW):
        # Not `contiguous`: it would not copy the column of a single lane.
        narrow = b.mT.clone(memory_format=torch.contiguous_format)
        product = lane_matmul(narrow, a.mT).mT
        return product if bias is None else product.add_(bias)
    if a.shape[0] == 1:
        beside = None if bias is None else beside_itself(bias)
        return lane_matmul(beside_itself(a), beside_itself(b), beside)[:1]
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)


def _scaled_columns(shape: tuple[int, int], gain: float, generator: torch.Generator) -> Tensor:
    weight = torch.randn(shape, generator=generator)
    return gain * weight / weight.square().sum(0, keepdim=True).sqrt()


def _orthogonal(shape: tuple[int, int], gain: float, generator: torch.Generator) -> Tensor:
    weight = torch.empty(shape[1], shape[0])
    torch.nn.init.orthogonal_(weight, gain, generator=generator)
    return weight.t()


INITIALISERS = {"normc": _scaled_columns, "orthogonal": _orthogonal}


def _through(layers: list[tuple[Tensor, Tensor]], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Outputs of a network and the inputs of each of its layers."""
    activations = [inputs]
    for weight, bias in layers[:-1]:
        activations.append(lane_matmul(activations[-1], weight, bias).tanh_())
    weight, bias = layers[-1]
    return lane_matmul(activations[-1], weight, bias), activations


@dataclass(frozen=True)
class MLP:
    """R copies of a tanh network with linear output, ``sizes = (inputs, hidden…, outputs)``.

    Parameters of a lane: weight (inputs × outputs, row-major) and bias of each layer in turn.
    """

    sizes: tuple[int, ...]

    @property
    def num_parameters(self) -> int:
        """P, parameters of one lane."""
        return sum((n + 1) * m for n, m in pairwise(self.sizes))

    def layers(self, parameters: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Views of ``[R, ≥ P]`` as (weight ``[R, n, m]``, bias ``[R, 1, m]``) per layer.

        Entries after the first P (a policy's log standard deviations) are not the network's.
        """
        lanes, lane_stride = parameters.shape[0], parameters.stride(0)
        start, pairs = parameters.storage_offset(), []
        for n, m in pairwise(self.sizes):
            weight = parameters.as_strided((lanes, n, m), (lane_stride, m, 1), start)
            bias = parameters.as_strided((lanes, 1, m), (lane_stride, m, 1), start + n * m)
            pairs.append((weight, bias))
            start += (n + 1) * m
        return pairs

    def initialise(
        self,
        generator: torch.Generator,
        initialisation: Initialisation,
        hidden_gain: float,
        output_gain: float,
    ) -> Tensor:
        """Parameters of one lane, ``[P]``; biases 0.

        ``normc``: columns of a standard normal, each scaled to norm ``gain``
        (openai/baselines@da99706).  ``orthogonal``: Saxe et al. 2014, times ``gain``.
        """
        draw = INITIALISERS[initialisation]
        flat = []
        last = len(self.sizes) - 2
        for layer, (n, m) in enumerate(pairwise(self.sizes)):
            gain = output_gain if layer == last else hidden_gain
            flat += [draw((n, m), gain, generator).reshape(-1), torch.zeros(m)]
        return torch.cat(flat)

    def forward(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs ``[R, N, out]`` and the activations ``pullback`` and ``pushforward`` need.

        Args:
            parameters: ``[R, P]``.
            inputs: ``[R, N, in]``.

        """
        return _through(self.layers(parameters), inputs)

    def pullback_(
        self, gradient: Tensor, parameters: Tensor, activations: list[Tensor], cotangent: Tensor
    ) -> None:
        """Jᵀ·cotangent, the gradient of Σ outputs∘cotangent in the parameters, into ``gradient``.

        Args:
            gradient, parameters: ``[R, P]``.
            cotangent: ``[R, N, out]``.

        """
        gradient_layers = self.layers(gradient)
        layers = self.layers(parameters)
        for index in range(len(layers) - 1, -1, -1):
            inputs = activations[index]
            weight_gradient, bias_gradient = gradient_layers[index]
            weight_gradient.copy_(lane_matmul(inputs.transpose(1, 2), cotangent))
            torch.sum(cotangent, 1, keepdim=True, out=bias_gradient)
            if index:
                cotangent = lane_matmul(cotangent, layers[index][0].transpose(1, 2))
                torch.ops.aten.tanh_backward(cotangent, inputs, grad_input=cotangent)

    def pushforward(self, parameters: Tensor, activations: list[Tensor], tangent: Tensor) -> Tensor:
        """J·tangent, ``[R, N, out]``: the change of the outputs along ``tangent`` ``[R, P]``."""
        change: Tensor | None = None
        layers = self.layers(parameters)
        tangents = self.layers(tangent)
        for index, (weight, _) in enumerate(layers):
            weight_tangent, bias_tangent = tangents[index]
            following = lane_matmul(activations[index], weight_tangent, bias_tangent)
            if change is not None:
                following.add_(lane_matmul(change, weight))
            if index < len(layers) - 1:
                outputs = activations[index + 1]
                torch.ops.aten.tanh_backward(following, outputs, grad_input=following)
            change = following
        assert change is not None
        return change


@dataclass(frozen=True)
class Policy:
    """A network of action distributions.

    Continuous actions: the network gives the mean, and the log standard deviation is a free
    parameter per action (the last A entries of the parameter vector).  Discrete: logits.
    """

    network: MLP
    continuous: bool

    @property
    def num_actions(self) -> int:
        """A, action dimensions or number of actions."""
        return self.network.sizes[-1]

    @property
    def num_parameters(self) -> int:
        """P, log standard deviations included."""
        return self.network.num_parameters + (self.num_actions if self.continuous else 0)

    def initialise(
        self,
        generator: torch.Generator,
        initialisation: Initialisation,
        hidden_gain: float,
        output_gain: float,
        log_std_init: float,
    ) -> Tensor:
        """Parameters of one lane, ``[P]``."""
        flat = self.network.initialise(generator, initialisation, hidden_gain, output_gain)
        if self.continuous:
            flat = torch.cat([flat, torch.full((self.num_actions,), log_std_init)])
        return flat

    def _log_std(self, parameters: Tensor) -> Tensor | None:
        return parameters[:, None, -self.num_actions :] if self.continuous else None

    def forward(
        self, parameters: Tensor, observations: Tensor
    ) -> tuple[Distribution, list[Tensor]]:
        """π(·|s) for observations ``[R, N, D]``, and the activations."""
        outputs, activations = self.network.forward(parameters, observations)
        return self.distribution(parameters, outputs), activations

    def distribution(self, parameters: Tensor, outputs: Tensor) -> Distribution:
        """π(·|s) from the outputs ``[R, N, A]`` of the network."""
        log_std = self._log_std(parameters)
        return Categorical(outputs) if log_std is None else DiagonalGaussian(outputs, log_std)

    def outputs_under(self, parameters: Tensor) -> Callable[[Tensor], Tensor]:
        """The function observations ``[R, N, D]`` ↦ outputs ``[R, N, A]`` of the network.

        It keeps the views of the layers: for parameters that do not change between many calls.
        """
        layers = self.network.layers(parameters)
        return lambda observations: _through(layers, observations)[0]

    def pullback(
        self, parameters: Tensor, activations: list[Tensor], cotangents: tuple[Tensor, ...]
    ) -> Tensor:
        """Jᵀ·cotangents, ``[R, P]``; cotangents are shaped like ``Distribution.parameters``."""
        gradient = torch.empty_like(parameters)
        log_std_gradient = self._log_std(gradient)
        self.network.pullback_(gradient, parameters, activations, cotangents[0])
        if log_std_gradient is not None:
            torch.sum(cotangents[1], 1, keepdim=True, out=log_std_gradient)
        return gradient

    def pushforward(
        self, parameters: Tensor, activations: list[Tensor], tangent: Tensor
    ) -> tuple[Tensor, ...]:
        """J·tangent, shaped like ``Distribution.parameters``."""
        log_std_tangent = self._log_std(tangent)
        change = self.network.pushforward(parameters, activations, tangent)
        return (change,) if log_std_tangent is None else (change, log_std_tangent)


@dataclass(frozen=True)
class ValueFunction:
    """V(s): a network of its own, with one output."""

    network: MLP

    def forward(self, parameters: Tensor, observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """V of observations ``[R, N, D]``: ``[R, N]``, and the activations."""
        outputs, activations = self.network.forward(parameters, observations)
        return outputs.squeeze(-1), activations

    def pullback(self, parameters: Tensor, activations: list[Tensor], cotangent: Tensor) -> Tensor:
        """Jᵀ·cotangent ``[R, N]`` → ``[R, P]``."""
        gradient = torch.empty_like(parameters)
        self.network.pullback_(gradient, parameters, activations, cotangent.unsqueeze(-1))
        return gradient


def make_networks(
    observation_size: int, num_actions: int, continuous: bool, hidden_sizes: tuple[int, ...]
) -> tuple[Policy, ValueFunction]:
    """Separate policy and value networks of the same shape."""
    policy = Policy(MLP((observation_size, *hidden_sizes, num_actions)), continuous)
    return policy, ValueFunction(MLP((observation_size, *hidden_sizes, 1)))
