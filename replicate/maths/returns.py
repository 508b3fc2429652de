"""Advantages and returns, with terminated and truncated kept apart."""

from typing import Literal

import torch
from torch import Tensor


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    gamma: Tensor,
    gae_lambda: Tensor,
) -> Tensor:
    """Generalised advantage estimation.

    δ_t = r_t + γ·(1 − terminated_t)·V(s'_t) − V(s_t)
    Â_t = δ_t + γλ·(1 − ended_t)·Â_{t+1},  with Â_T = 0

    ``s'_t`` is the observation that followed action t *before* any reset, so a truncated
    episode is bootstrapped from its own last observation and the sum never crosses an
    episode boundary.  To treat a time limit as terminal, pass ``terminated = ended``.

    Args:
        rewards: ``[R, T]``.
        values: ``[R, T]``, V(s_t).
        next_values: ``[R, T]``, V(s'_t).
        terminated: ``[R, T]`` bool, s'_t is absorbing (its value is 0).
        ended: ``[R, T]`` bool, the episode ended at t for whatever reason.
        gamma: ``[R]``, discount per env step.
        gae_lambda: ``[R]``.

    Returns:
        ``[R, T]`` advantages.

    Source: Schulman et al. 2016 (arXiv 1506.02438), eq. 16; PPO paper eq. 11–12.

    """
    # Not a product with 0: the value of what followed may be infinite where it does not count.
    following_values = torch.where(terminated, 0.0, next_values)
    deltas = rewards + gamma[:, None] * following_values - values
    decay = (gamma * gae_lambda)[:, None] * (~ended).to(rewards.dtype)
    # Time-major copies: one contiguous row of lanes per step of the recursion.
    deltas_by_time, decay_by_time = deltas.t().contiguous(), decay.t().contiguous()
    advantages = torch.empty_like(deltas_by_time)
    following = torch.zeros_like(deltas_by_time[0])
    for t in range(deltas_by_time.shape[0] - 1, -1, -1):
        following = torch.addcmul(deltas_by_time[t], decay_by_time[t], following)
        advantages[t] = following
    return advantages.t().contiguous()


def standardise(
    values: Tensor, epsilon: float, std: Literal["population", "sample"] = "population"
) -> Tensor:
    """(x − mean) / (std + ε), lane by lane.

    Args:
        values: ``[R, B]``.
        epsilon: added to the standard deviation.
        std: divides by B (population) or B − 1 (sample).

    Returns:
        ``[R, B]``.

    """
    mean = values.mean(1, keepdim=True)
    spread = values.std(1, correction=int(std == "sample"), keepdim=True)
    return (values - mean) / (spread + epsilon)
