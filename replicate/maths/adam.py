"""Adam with a step size and a step count of its own for every lane."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class AdamState:
    """First moment ``[R, P]``, second moment ``[R, P]``, step count ``[R]`` (float64)."""

    first: Tensor
    second: Tensor
    steps: Tensor

    @staticmethod
    def zeros_like(parameters: Tensor) -> "AdamState":
        """Fresh state for parameters ``[R, P]``."""
        count = torch.zeros(parameters.shape[0], dtype=torch.float64, device=parameters.device)
        return AdamState(torch.zeros_like(parameters), torch.zeros_like(parameters), count)


def adam_step_(
    parameters: Tensor,
    gradient: Tensor,
    state: AdamState,
    learning_rate: Tensor,
    adam_epsilon: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
) -> None:
    """One descent step, in place on ``parameters`` and ``state``.

    m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,
    θ ← θ − α·√(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε·√(1−β₂ᵗ))

    which is θ ← θ − α·m̂/(√v̂ + ε), rearranged so that the corrections are ``[R]``.

    Args:
        parameters, gradient: ``[R, P]``.
        learning_rate: ``[R]``, α.
        adam_epsilon: ε.

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1; equal to ``torch.optim.Adam``.

    """
    state.steps += 1
    state.first.lerp_(gradient, 1 - beta1)
    state.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    root_correction = (1 - beta2**state.steps).sqrt()
    step_size = (learning_rate.double() * root_correction / (1 - beta1**state.steps)).to(parameters)
    epsilon = (adam_epsilon * root_correction).to(parameters)
    denominator = state.second.sqrt().add_(epsilon[:, None])
    torch.div(state.first, denominator, out=denominator)
    parameters.addcmul_(denominator, step_size[:, None], value=-1.0)
