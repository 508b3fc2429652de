"""Policy objectives (to be maximised) and value losses (to be minimised), per sample.

The names say which is which; nothing here changes a sign for an optimiser.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Surrogate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(ratio ``[R, B]``, advantages ``[R, B]``, ε ``[R]``) ↦ what is maximised, ``[R, B]``."""

SURROGATES: dict[str, Surrogate] = {}
"""Objectives that autograd differentiates, by their name in ``algo.objective``: one's own too."""


def policy_gradient(log_prob: Tensor, advantages: Tensor) -> Tensor:
    """log π(a|s)·Â: its gradient at π = π_old is the policy gradient.

    Args:
        log_prob, advantages: ``[R, B]``.

    Source: PPO paper (arXiv 1707.06347) eq. 2; Williams 1992.

    """
    return log_prob * advantages


def surrogate(ratio: Tensor, advantages: Tensor) -> Tensor:
    """r·Â, r = π(a|s)/π_old(a|s): the importance-weighted objective.

    Args:
        ratio, advantages: ``[R, B]``.

    Source: PPO paper eq. 6; TRPO paper (arXiv 1502.05477) eq. 14.

    """
    return ratio * advantages


def clipped_surrogate(
    ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor, bound: Literal["min", "max"] = "min"
) -> Tensor:
    """min(r·Â, clip(r, 1−ε, 1+ε)·Â): PPO's clipped objective.

    With ``bound="min"`` it is a lower bound of the surrogate, flat in r above 1+ε where Â > 0
    and below 1−ε where Â < 0, and nowhere else: on the side that pays.  ``bound="max"``, flat on
    the other side instead, is the ablation of claim C3.  ε = ∞ gives the plain surrogate.

    Args:
        ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``.

    Source: PPO paper eq. 7.

    """
    epsilon = clip_epsilon[:, None]
    plain = surrogate(ratio, advantages)
    clipped = surrogate(torch.clamp(ratio, 1 - epsilon, 1 + epsilon), advantages)
    return torch.minimum(plain, clipped) if bound == "min" else torch.maximum(plain, clipped)


def clipped_term(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
    """clip(r, 1−ε, 1+ε)·Â: the second term of PPO's objective alone, flat on both sides.

    The ablation beside claim C3 that does what min does on the side that pays, and does not pull
    back on the other.

    Args:
        ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``.

    """
    epsilon = clip_epsilon[:, None]
    return surrogate(torch.clamp(ratio, 1 - epsilon, 1 + epsilon), advantages)


def clipped_surrogate_slope(
    ratio: Tensor,
    advantages: Tensor,
    clip_epsilon: Tensor,
    bound: Literal["min", "max", "clipped"] = "min",
) -> Tensor:
    """∂ clipped_surrogate/∂ log π(a|s): r·Â where the bound is the surrogate itself, else 0.

    Derived by hand from ``clipped_surrogate``, the objective, and for ``"clipped"`` from
    ``clipped_term``; ``tests/maths/test_objectives.py`` compares it with autograd.

    Args:
        ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``.

    """
    epsilon = clip_epsilon[:, None]
    plain = surrogate(ratio, advantages)
    clipped = surrogate(torch.clamp(ratio, 1 - epsilon, 1 + epsilon), advantages)
    if bound == "min":
        flat = plain > clipped
    elif bound == "max":
        flat = plain < clipped
    else:
        flat = (plain > clipped) | (plain < clipped)  # not of a NaN
    return plain.masked_fill_(flat, 0.0)


def simple_policy_optimization(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
    """r·Â − |Â|·(r − 1)²/(2ε): SPO's objective, with a quadratic penalty instead of a clip.

    It is largest at r = 1 + ε where Â > 0 and at 1 − ε where Â < 0; beyond, it pulls back.

    Args:
        ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``.

    Source: Xie et al. 2024 (arXiv 2401.16025).

    """
    pull = advantages.abs() * (ratio - 1).square() / (2 * clip_epsilon[:, None])
    return surrogate(ratio, advantages) - pull


SURROGATES["spo"] = simple_policy_optimization

UPPER_OVER_LOWER = 0.28 / 0.2
"""How far the upper end of ``clip_higher`` is from 1, over how far the lower one is."""


def clip_higher_surrogate(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
    """min(r·Â, clip(r, 1−ε, 1+1.4ε)·Â): the clip with its upper end raised, "Clip-Higher".

    Args:
        ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``; 0.2 gives DAPO's 0.2 and 0.28.

    Source: DAPO (Yu et al. 2025, arXiv 2503.14476) section 3.1.

    """
    epsilon = clip_epsilon[:, None]
    held = torch.clamp(ratio, 1 - epsilon, 1 + UPPER_OVER_LOWER * epsilon)
    return torch.minimum(surrogate(ratio, advantages), surrogate(held, advantages))


SURROGATES["clip_higher"] = clip_higher_surrogate


def kl_penalty(kl: Tensor, kl_beta: Tensor) -> Tensor:
    """β·KL(old ‖ new), exactly 0 (value and gradient) where β = 0, however large the KL.

    Args:
        kl: ``[R, B]``.
        kl_beta: ``[R]``.

    Source: PPO paper eq. 8.

    """
    active = kl_beta[:, None] > 0
    # Masked before and after the product: 0·∞ would otherwise be NaN, in the gradient too.
    return torch.where(active, kl_beta[:, None] * torch.where(active, kl, 0.0), 0.0)


def adapt_kl_beta(kl_beta: Tensor, kl: Tensor, kl_target: Tensor) -> Tensor:
    """β/2 where KL < d_targ/1.5, 2β where KL > 1.5·d_targ, else β.

    Lanes without a target (NaN) keep their β.

    Args:
        kl_beta, kl, kl_target: ``[R]``.

    Source: PPO paper section 4.

    """
    halved = torch.where(kl < kl_target / 1.5, kl_beta / 2, kl_beta)
    return torch.where(kl > kl_target * 1.5, kl_beta * 2, halved)


def squared_value_error(values: Tensor, targets: Tensor) -> Tensor:
    """(V − R̂)², ``[R, B]``.  Source: PPO paper eq. 9."""
    return (values - targets).square()


def squared_value_slope(values: Tensor, targets: Tensor) -> Tensor:
    """∂/∂V (V − R̂)² = 2·(V − R̂), ``[R, B]``."""
    return 2 * (values - targets)


def clipped_value_error(
    values: Tensor, old_values: Tensor, targets: Tensor, clip_epsilon: Tensor
) -> Tensor:
    """max((V − R̂)², (V_old + clip(V − V_old, ±ε) − R̂)²), in the units of the return.

    Args:
        values, old_values, targets: ``[R, B]``.
        clip_epsilon: ``[R]``.

    Source: openai/baselines@da99706 pposgd_simple.py (July 2017), removed there in August 2017.

    """
    epsilon = clip_epsilon[:, None]
    clipped = old_values + torch.clamp(values - old_values, -epsilon, epsilon)
    return torch.maximum(
        squared_value_error(values, targets), squared_value_error(clipped, targets)
    )
