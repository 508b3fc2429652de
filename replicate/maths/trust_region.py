"""The trust-region step: conjugate gradient, step length, backtracking line search.

The solver knows nothing of policies: the Fisher-vector product is passed in as a function
(``replicate.networks`` has the Jacobians that make it).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Σ_p a_p·b_p lane by lane: ``[R, P]`` × ``[R, P]`` → ``[R]``."""
    return (a * b).sum(-1)


def conjugate_gradient(
    product: Product, target: Tensor, iterations: int, residual_tolerance: float
) -> tuple[Tensor, Tensor]:
    """Approximate solution x of A·x = target for symmetric positive definite A, from x = 0.

    A lane whose squared residual falls below ``residual_tolerance`` stays where it is; lanes
    whose curvature pᵀAp is not positive stop there too.

    Args:
        product: v ``[R, P]`` ↦ A·v ``[R, P]``.
        target: ``[R, P]``.
        iterations: at most this many products.
        residual_tolerance: on ‖target − A·x‖².

    Returns:
        x and the residual target − A·x, each ``[R, P]``; the latter as the iteration knows it, so
        that xᵀA·x = xᵀ(target − residual) costs no further product.

    Source: Hestenes & Stiefel 1952; TRPO paper appendix C.

    """
    solution = torch.zeros_like(target)
    residual = target.clone()
    direction = target.clone()
    squared = dot(residual, residual)
    for _ in range(iterations):
        active = squared > residual_tolerance
        if not bool(active.any()):
            break
        image = product(direction)
        curvature = dot(direction, image)
        active &= curvature > 0
        alpha = torch.where(active, squared / curvature, 0.0)
        solution.addcmul_(alpha[:, None], torch.where(active[:, None], direction, 0.0))
        residual.addcmul_(alpha[:, None], torch.where(active[:, None], image, 0.0), value=-1.0)
        following = torch.where(active, dot(residual, residual), squared)
        beta = torch.where(active, following / squared, 0.0)
        direction = torch.where(
            active[:, None], torch.addcmul(residual, beta[:, None], direction), direction
        )
        squared = torch.where(active, following, squared)
    return solution, residual


def relative_residual(residual: Tensor, target: Tensor) -> Tensor:
    """‖target − A·x‖ / ‖target‖, ``[R]``; 0 where the target is 0.

    Args:
        residual, target: ``[R, P]``.

    """
    initial = dot(target, target)
    return (dot(residual, residual) / initial.clamp_min(torch.finfo(initial.dtype).tiny)).sqrt()


def full_step(direction: Tensor, curvature: Tensor, max_kl: Tensor) -> Tensor:
    """√(2δ / sᵀFs)·s: the longest step whose quadratic KL model ½sᵀFs stays at δ.

    A lane whose curvature is not positive gets the zero step.

    Args:
        direction: ``[R, P]``, s.
        curvature: ``[R]``, sᵀFs (damping included where F is damped).
        max_kl: ``[R]``, δ.

    Source: TRPO paper appendix C.

    """
    scale = torch.where(curvature > 0, (2 * max_kl / curvature).sqrt(), 0.0)
    return scale[:, None] * torch.where(curvature[:, None] > 0, direction, 0.0)


@dataclass
class LineSearch:
    """Outcome of a backtracking line search, per lane.

    Args:
        parameters: ``[R, P]``, the accepted ones or, bit for bit, the old ones.
        accepted: ``[R]`` bool.
        backtracks: ``[R]``, shrinkings before acceptance (all of them where none was accepted).
        kl: ``[R]``, measured at ``parameters``.
        improvement: ``[R]``, of the objective at ``parameters`` (0 where rejected).

    """

    parameters: Tensor
    accepted: Tensor
    backtracks: Tensor
    kl: Tensor
    improvement: Tensor


def backtracking_line_search(
    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    parameters: Tensor,
    step: Tensor,
    max_kl: Tensor,
    shrink: float,
    max_backtracks: int,
) -> LineSearch:
    """The first of θ + step·shrinkᵏ, k = 0 … max_backtracks − 1, with KL ≤ δ and improvement > 0.

    Where no k does, the old parameters are returned bit for bit.  A NaN is a rejection.

    Args:
        evaluate: (candidates ``[N, P]``, lanes ``[N]`` int64) ↦ (KL ``[N]``, improvement ``[N]``),
            for those lanes only: settled lanes are not evaluated again.
        parameters: ``[R, P]``, θ.
        step: ``[R, P]``.
        max_kl: ``[R]``, δ of the acceptance test.

    Source: TRPO paper appendix C.

    """
    lanes = parameters.shape[0]
    device = parameters.device
    search = LineSearch(
        parameters=parameters.clone(),
        accepted=torch.zeros(lanes, dtype=torch.bool, device=device),
        backtracks=torch.full((lanes,), max_backtracks, device=device),
        kl=torch.zeros(lanes, dtype=parameters.dtype, device=device),
        improvement=torch.zeros(lanes, dtype=parameters.dtype, device=device),
    )
    pending = torch.arange(lanes, device=device)
    for k in range(max_backtracks):
        candidates = parameters[pending] + step[pending] * shrink**k
        kl, improvement = evaluate(candidates, pending)
        accept = (kl <= max_kl[pending]) & (improvement > 0)
        winners = pending[accept]
        search.parameters[winners] = candidates[accept]
        search.accepted[winners] = True
        search.backtracks[winners] = k
        search.kl[winners] = kl[accept]
        search.improvement[winners] = improvement[accept]
        pending = pending[~accept]
        if pending.numel() == 0:
            break
    return search
