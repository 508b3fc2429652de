"""Running mean and variance, as sums in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class RunningMoments:
    """Count, sum and sum of squares of a stream, per lane.

    The prior (``count = sum of squares = prior_count``, sum 0) makes the first estimate
    mean 0, variance 1.

    Args:
        count: ``[R, 1]``.
        total: ``[R, D]``.
        total_square: ``[R, D]``.

    Source: openai/baselines@da99706 common/mpi_running_mean_std.py (prior 0.01); the same
    numbers as Stable-Baselines3's ``RunningMeanStd`` (prior 1e-4), which stores mean and variance.

    """

    count: Tensor
    total: Tensor
    total_square: Tensor

    @staticmethod
    def prior(lanes: int, size: int, prior_count: float, device: str = "cpu") -> "RunningMoments":
        """Moments of an empty stream of ``size``-vectors."""
        count = torch.full((lanes, 1), prior_count, dtype=torch.float64, device=device)
        total = torch.zeros(lanes, size, dtype=torch.float64, device=device)
        return RunningMoments(count, total, torch.full_like(total, prior_count))

    def update_(self, values: Tensor) -> None:
        """Add values ``[R, D]`` (one each) or ``[R, T, D]`` (T each), in place."""
        values = values.double()
        if values.ndim == 2:
            self.count += 1
            self.total += values
            self.total_square.addcmul_(values, values)
        else:
            self.count += values.shape[1]
            self.total += values.sum(1)
            self.total_square += values.square().sum(1)

    def mean(self) -> Tensor:
        """E[x], ``[R, D]`` float64."""
        return self.total / self.count

    def variance(self) -> Tensor:
        """E[x²] − E[x]², never below 0, ``[R, D]`` float64."""
        return (self.total_square / self.count - self.mean().square()).clamp_min(0.0)


def affine_filter(
    moments: RunningMoments, variance_floor: float, norm_epsilon: float
) -> tuple[Tensor, Tensor]:
    """Shift and scale, both ``[R, D]`` in the default precision, of x ↦ (x − shift)·scale.

    shift = mean, scale = 1/√(max(variance, floor) + ε).
    """
    variance = moments.variance().clamp_min(variance_floor) + norm_epsilon
    precision = torch.get_default_dtype()
    return moments.mean().to(precision), variance.rsqrt().to(precision)
