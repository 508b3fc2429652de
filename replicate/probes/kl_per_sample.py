"""Claim C8: the clip as a KL penalty with a coefficient of its own for each sample.

python -m replicate.probes.kl_per_sample OUT.csv [MANIFEST]

From the unclipped objective r·A a multiple β of one sample's KL is taken, β held fixed.  With
−log r as the KL (Colletti and Holzinger 2026, arXiv 2606.23932) its gradient in log π is r·A + β:
that of the clip where β is −r·A on the flat side and 0 elsewhere, which is below 0 for A > 0.  With
r − 1 − log r, which is never negative, it is r·A − β·(r − 1): that of the clip where β is
r·A/(r − 1) on the flat side, which is above 0 for either sign of A.  The two are the estimators k1
and k3 of KL(old‖new), of one sample.
"""

import itertools
import sys

import torch

from replicate import probes
from replicate.maths.objectives import clipped_surrogate, surrogate
from replicate.probes.clipped_objective import ADVANTAGES, EPSILONS, POINTS_PER_UNIT

KINK = 1e-9
"""A ratio within this of the edge of the clip is on it."""
COLUMNS = [
    "epsilon",
    "advantage",
    "ratio",
    "clipped_gradient",
    "k1_coefficient",
    "k1_gradient",
    "k3_coefficient",
    "k3_gradient",
]


def kl_per_sample() -> list[list[float]]:
    """Rows of ``COLUMNS`` for r above 0 up to 2 but for the kinks, in float64.

    Gradients are those in log π, by autograd: of PPO's clipped objective, and of r·A − β·KL with β
    as its coefficient and k1 = −log r or k3 = r − 1 − log r as the sample's KL.
    """
    points = torch.arange(1, 2 * POINTS_PER_UNIT + 1, dtype=torch.float64) / POINTS_PER_UNIT
    cases = torch.tensor(list(itertools.product(EPSILONS, ADVANTAGES)), dtype=torch.float64)
    epsilon, advantage = cases[:, :1], cases[:, 1:].expand(-1, len(points))
    ratio = points.repeat(len(cases), 1)
    beyond = (ratio - 1) * advantage.sign() - epsilon
    flat = beyond > 0
    k1 = torch.where(flat, -ratio * advantage, 0.0)
    k3 = torch.where(flat, ratio * advantage / (ratio - 1), 0.0)
    log_ratio = ratio.log().requires_grad_()
    r = log_ratio.exp()
    objectives = (
        clipped_surrogate(r, advantage, epsilon[:, 0]),
        surrogate(r, advantage) - k1 * -log_ratio,
        surrogate(r, advantage) - k3 * (r - 1 - log_ratio),
    )
    clipped, of_k1, of_k3 = (
        torch.autograd.grad(objective.sum(), log_ratio, retain_graph=True)[0]
        for objective in objectives
    )
    columns = [epsilon.expand_as(ratio), advantage, ratio, clipped, k1, of_k1, k3, of_k3]
    rows: list[list[float]] = torch.stack(columns, -1)[beyond.abs() > KINK].tolist()
    return rows


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("kl_per_sample", COLUMNS, kl_per_sample, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
