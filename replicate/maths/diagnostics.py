"""What an update did to the policy, measured on the batch it was made from."""

import torch
from torch import Tensor

from replicate.maths.lanes import beside_itself


def kl_k1(log_ratio: Tensor) -> Tensor:
    """E[−log r]: unbiased estimate of KL(old ‖ new) from old samples; may be negative.

    Args:
        log_ratio: ``[R, B]``, log π_new − log π_old.

    Returns:
        ``[R]``.  Source: Schulman, "Approximating KL divergence" (2020).

    """
    return -log_ratio.mean(1)


def kl_k3(log_ratio: Tensor) -> Tensor:
    """E[(r − 1) − log r]: unbiased for KL(old ‖ new) and never negative.

    Args:
        log_ratio: ``[R, B]``.

    Returns:
        ``[R]``.  Source: Schulman, "Approximating KL divergence" (2020).

    """
    return (torch.expm1(log_ratio) - log_ratio).mean(1)


def effective_sample_size(ratio: Tensor) -> Tensor:
    """(Σr)² / (B·Σr²), as a share of the batch, ``[R]``: 1 when all ratios are equal.

    Source: Kong 1992.
    """
    # Divided by the largest first, so that squares of huge ratios do not overflow.
    weights = ratio / ratio.amax(1, keepdim=True)
    return weights.sum(1).square() / (weights.square().sum(1) * ratio.shape[1])


def clip_fraction(ratio: Tensor, clip_epsilon: Tensor) -> Tensor:
    """Share of samples with |r − 1| > ε, ``[R]``.

    Args:
        ratio: ``[R, B]``.
        clip_epsilon: ``[R]``.

    """
    return ((ratio - 1).abs() > clip_epsilon[:, None]).to(ratio.dtype).mean(1)


def explained_variance(predictions: Tensor, targets: Tensor) -> Tensor:
    """1 − Var[targets − predictions]/Var[targets], ``[R]``; NaN where the targets are constant."""
    variance, residual = (
        beside_itself(values).var(1, correction=0)[: len(values)]
        for values in (targets, targets - predictions)
    )
    return torch.where(variance > 0, 1 - residual / variance, torch.nan)


def ratio_diagnostics(log_ratio: Tensor, clip_epsilon: Tensor) -> dict[str, Tensor]:
    """All that one pass over the policy ratios tells, each ``[R]``.

    Args:
        log_ratio: ``[R, B]``, log π_new − log π_old.
        clip_epsilon: ``[R]``, the interval of ``clip_fraction``.

    """
    ratio = log_ratio.exp()
    deviation = (ratio - 1).abs()
    return {
        "clip_fraction": clip_fraction(ratio, clip_epsilon),
        "ratio_max": ratio.amax(1),
        "ratio_mean_abs_deviation": deviation.mean(1),
        # An entry of the batch, not between two: ∞ − ∞ would be NaN.
        "ratio_deviation_99": deviation.quantile(0.99, 1, interpolation="higher"),
        "effective_sample_size": effective_sample_size(ratio),
    }


def squared_norm(gradient: Tensor) -> Tensor:
    """‖g‖² per lane: ``[R, P]`` → ``[R]``."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return norm.square()


def gradient_scale(norm: Tensor, max_gradient_norm: Tensor) -> Tensor:
    """min(1, c / (‖g‖ + 1e-6)), as ``torch.nn.utils.clip_grad_norm_``; 1 where c = ∞."""
    scale = (max_gradient_norm / (norm + 1e-6)).clamp_max(1.0)
    return torch.where(max_gradient_norm.isinf(), 1.0, scale)  # ∞/∞ is NaN
