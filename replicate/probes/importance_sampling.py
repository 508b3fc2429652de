"""Claim I1: averages of old data, weighted by the policy ratio, where all batches can be listed.

python -m replicate.probes.importance_sampling OUT.csv [MANIFEST]
"""

import sys

import torch
from torch import Tensor

from replicate import probes
from replicate.maths.objectives import surrogate

RATIOS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
RARE = 0.005
"""Probability of the rare action under the old policy; under the new one r times as much."""
VALUES = (1.0, 0.1, -0.1)
"""Of the rare action and of the two others: what is averaged."""
SAMPLES = 3
COLUMNS = [
    "ratio",
    "samples",
    "target",
    "expectation",
    "variance",
    "fresh_variance",
    "effective_sample_size",
]


def importance_sampling() -> list[list[float]]:
    """Rows of ``COLUMNS``, in float64, one for each ratio of the rare action.

    Every batch of ``SAMPLES`` actions is enumerated with its probability under the policy that
    draws it.  ``target`` is E_new[f], ``expectation`` and ``variance`` those of the average of
    r·f over a batch of the old policy, ``fresh_variance`` that of the average of f over a batch
    of the new policy, ``effective_sample_size`` (E r)²/E r² of the old policy, a share.
    """
    values = torch.tensor(VALUES, dtype=torch.float64)
    old = torch.tensor([RARE, (1 - RARE) / 2, (1 - RARE) / 2], dtype=torch.float64)
    rows = []
    for rare_ratio in RATIOS:
        rest = (1 - rare_ratio * RARE) / 2
        new = torch.tensor([rare_ratio * RARE, rest, rest], dtype=torch.float64)
        ratio = new / old
        mean, variance = moments(old, surrogate(ratio, values))
        _, fresh = moments(new, values)
        target = (new * values).sum()
        effective = (old * ratio).sum().square() / (old * ratio.square()).sum()
        numbers = [target, mean, variance, fresh, effective]
        rows.append([rare_ratio, float(SAMPLES), *(float(number) for number in numbers)])
    return rows


def moments(probability: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the average of ``SAMPLES`` draws, over every batch there is.

    Args:
        probability, values: of each action, ``[A]``.

    """
    actions = torch.arange(len(values))
    batches = torch.cartesian_prod(*[actions] * SAMPLES)  # [A^SAMPLES, SAMPLES]
    weight = probability[batches].prod(1)
    average = values[batches].mean(1)
    mean = (weight * average).sum()
    return mean, (weight * (average - mean).square()).sum()


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("importance_sampling", COLUMNS, importance_sampling, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
