"""Claim C7: what the ends of the clip do to entropy where rewards mean nothing, by enumeration.

python -m replicate.probes.entropy_bias OUT.csv [MANIFEST]

A policy takes a rare action with some probability and a frequent one else.  Each sample has the
advantage +1 or −1, each as likely, whatever the action: in expectation no action is better.
Source: Park et al. 2025 (arXiv 2509.26114), with language models.
"""

import itertools
import math
import sys
from functools import partial

import torch
from torch import Tensor

from replicate import probes
from replicate.maths.objectives import surrogate
from replicate.probes.two_actions import EPOCHS, SAMPLES, ascent, clipped, policy, probability_of

RARE = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Probability of the rare action under the old policy."""
STEP_SIZES = (0.1, 0.2, 0.5, 1.0, 2.0)
CLIPS = {"none": (False, False), "low": (True, False), "high": (False, True), "both": (True, True)}
"""Whether the lower end of the clip, 1 − ε, and its upper end, 1 + ε, are there."""
KINDS = ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0))
"""Action (0: the rare one) and advantage of a sample."""
COLUMNS = ["rare", "step_size", "clip", "entropy", "entropy_change"]


def entropy_bias() -> list[list[object]]:
    """Rows of ``COLUMNS``, in float64.

    ``entropy`` is that of the old policy and ``entropy_change`` the expectation of new − old over
    every batch of ``SAMPLES``, nats, after ten steps of gradient ascent on the batch mean.
    """
    counts = torch.tensor(
        [
            count
            for count in itertools.product(range(SAMPLES + 1), repeat=len(KINDS))
            if sum(count) == SAMPLES
        ]
    )
    kinds = torch.stack([torch.arange(len(KINDS)).repeat_interleave(count) for count in counts])
    actions = torch.tensor([action for action, _ in KINDS])[kinds][..., None]
    advantages = torch.tensor([advantage for _, advantage in KINDS], dtype=torch.float64)[kinds]
    rows: list[list[object]] = []
    for rare, step_size, (name, (low, high)) in itertools.product(RARE, STEP_SIZES, CLIPS.items()):
        old = torch.tensor([rare, 1 - rare], dtype=torch.float64).log().expand(len(counts), 2)
        slope = partial(clipped_at, low=low, high=high)
        new = ascent(old, actions, advantages, slope, step_size, EPOCHS)
        before, after = (policy(logits).entropy()[:, 0] for logits in (old, new))
        of_kind = [(rare if action == 0 else 1 - rare) / 2 for action, _ in KINDS]
        changes = zip(counts.tolist(), (after - before).tolist(), strict=True)
        change = math.fsum(probability_of(count, of_kind) * moved for count, moved in changes)
        rows.append([rare, step_size, name, float(before[0]), change])
    return rows


def clipped_at(ratio: Tensor, advantages: Tensor, low: bool, high: bool) -> Tensor:
    """∂/∂ log π of PPO's objective, ``[R, B]``, with one end of the clip, both or none.

    The upper end is where it stops an advantage above 0, the lower end one below.
    """
    has_end = torch.where(advantages > 0, high, low)
    return torch.where(has_end, clipped(ratio, advantages), surrogate(ratio, advantages))


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("entropy_bias", COLUMNS, entropy_bias, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
