"""Adam with a step size and a step count of its own for every lane."""

from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import torch
from torch import Tensor


@dataclass(frozen=True)
class AdamState:
    """First moment ``[R, P]``, second moment ``[R, P]``, step count ``[R]``."""

    first: Tensor
    second: Tensor
    steps: Tensor

    @staticmethod
    def zeros_like(parameters: Tensor) -> "AdamState":
        """Fresh state for parameters ``[R, P]``."""
        # float32 counts exactly up to 2²⁴ steps, and the fused kernels of all devices read it.
        count = torch.zeros(parameters.shape[0], dtype=torch.float32, device=parameters.device)
        return AdamState(torch.zeros_like(parameters), torch.zeros_like(parameters), count)

    @cached_property
    def by_lane(self) -> tuple[tuple[Tensor, ...], ...]:
        """Views of each lane: first moments, second moments, step counts."""
        return self.first.unbind(), self.second.unbind(), self.steps.unbind()


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

    m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  θ ← θ − α·m̂/(√v̂ + ε)
    with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)

    One pass over memory, by torch's fused kernel, which takes a list of tensors with one α:
    lanes that share theirs step together.  Every lane is a tensor of its own there, so that no
    other lane decides which of its entries fall into the remainder of a vector register.

    Args:
        parameters, gradient: ``[R, P]``.
        learning_rate: ``[R]``, α.
        adam_epsilon: ε.

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1; equal to ``torch.optim.Adam``.

    """
    state.steps.add_(1)
    rates = learning_rate.tolist()
    columns = (parameters.unbind(), gradient.unbind(), *state.by_lane)
    for rate in set(rates):
        together = [own == rate for own in rates]
        share = columns if all(together) else tuple(tuple(compress(c, together)) for c in columns)
        theta, g, first, second, steps = share
        torch._fused_adam_(
            theta,
            g,
            first,
            second,
            [],
            steps,
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=adam_epsilon,
            amsgrad=False,
            maximize=False,
        )
