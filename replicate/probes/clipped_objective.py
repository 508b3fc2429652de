"""Claims C1, C2 and I2: PPO's clipped objective and its gradient against the policy ratio.

python -m replicate.probes.clipped_objective OUT.csv [MANIFEST]
"""

import itertools
import sys

import torch

from replicate import probes
from replicate.maths.objectives import clipped_surrogate, surrogate

EPSILONS = (0.05, 0.1, 0.2, 0.3, 0.5)
ADVANTAGES = (1.0, -1.0)
POINTS_PER_UNIT = 200
"""Of the ratio: 1 − ε, 1 and 1 + ε are among the points."""
COLUMNS = [
    "epsilon",
    "advantage",
    "ratio",
    "unclipped",
    "clipped",
    "gradient",
    "unclipped_log_gradient",
]


def clipped_objective() -> list[list[float]]:
    """Rows of ``COLUMNS`` for r = 0 … 2, in float64.

    ``unclipped`` is r·A, ``clipped`` min(r·A, clip(r, 1−ε, 1+ε)·A), ``gradient`` the derivative
    of ``clipped`` in r and ``unclipped_log_gradient`` that of ``unclipped`` in log π, both by
    autograd.  The two kinks have no derivative; autograd gives A there.

    Source: PPO paper (arXiv 1707.06347), Figure 1.
    """
    points = torch.arange(2 * POINTS_PER_UNIT + 1, dtype=torch.float64) / POINTS_PER_UNIT
    cases = torch.tensor(list(itertools.product(EPSILONS, ADVANTAGES)), dtype=torch.float64)
    epsilon, advantage = cases[:, 0], cases[:, 1:].expand(-1, len(points))
    ratio = points.repeat(len(cases), 1).requires_grad_()
    clipped = clipped_surrogate(ratio, advantage, epsilon)
    (gradient,) = torch.autograd.grad(clipped.sum(), ratio)
    log_ratio = ratio.detach().log().requires_grad_()  # −∞ at r = 0, where the slope is 0
    unclipped = surrogate(log_ratio.exp(), advantage)
    (log_gradient,) = torch.autograd.grad(unclipped.sum(), log_ratio)
    columns = [
        epsilon[:, None].expand_as(ratio),
        advantage,
        ratio,
        surrogate(ratio, advantage),
        clipped,
        gradient,
        log_gradient,
    ]
    rows: list[list[float]] = torch.stack(columns, -1).flatten(0, 1).tolist()
    return rows


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("clipped_objective", COLUMNS, clipped_objective, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
