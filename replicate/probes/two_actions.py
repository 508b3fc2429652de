"""Claim N1: what one batch does to a two-action policy, for every batch that can be drawn.

python -m replicate.probes.two_actions OUT.csv [MANIFEST]

The policy takes the worse action with probability 0.6.  That action pays 1 with probability 0.2 and
else nothing, the better one always 0.5; advantages are rewards less the policy's value, 0.32.
"""

import itertools
import math
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from replicate import probes
from replicate.maths.distributions import Categorical
from replicate.maths.objectives import clipped_surrogate_slope, surrogate
from replicate.maths.trust_region import (
    backtracking_line_search,
    conjugate_gradient,
    dot,
    full_step,
)

POLICY = (0.6, 0.4)
"""Probability of the worse and of the better action."""
LUCK = 0.2
REWARDS = (1.0, 0.0, 0.5)
"""Of the worse action with luck and without, and of the better action."""
OF_KIND = (POLICY[0] * LUCK, POLICY[0] * (1 - LUCK), POLICY[1])
"""Probability of each kind of sample: the worse action with luck and without, the better one."""
SAMPLES = 4
STEP_SIZES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
MAX_KLS = (0.001, 0.01, 0.1)
EPOCHS = 10
"""Passes over the batch of what reuses it; a batch is one minibatch."""
CLIP_EPSILON = 0.2
DAMPING, CG_ITERATIONS, RESIDUAL_TOLERANCE = 0.1, 10, 1e-10
SHRINK, MAX_BACKTRACKS = 0.8, 10
COLUMNS = ["method", "setting", "lucky", "unlucky", "better", "probability", "worse_after", "kl"]


def two_actions() -> list[list[object]]:
    """Rows of ``COLUMNS``, in float64: a method's update at a setting from one batch.

    ``setting`` is the step size of plain gradient ascent, of ``trpo`` its max_kl.  ``lucky``,
    ``unlucky`` and ``better`` are how many of the batch's samples are of each kind, in any order,
    ``probability`` that of such a batch, ``worse_after`` the new policy's probability of the worse
    action and ``kl`` KL(old ‖ new), nats.  Methods: ``vpg`` makes one step on log π·Â, ``reuse``
    ten on r·Â, ``ppo_first_step`` one and ``ppo`` ten on the clipped objective.
    """
    counts = [
        (lucky, unlucky, SAMPLES - lucky - unlucky)
        for lucky, unlucky in itertools.product(range(SAMPLES + 1), repeat=2)
        if lucky + unlucky <= SAMPLES
    ]
    actions, advantages = batches(counts)
    old = torch.tensor(POLICY, dtype=torch.float64).log().expand(len(counts), 2)
    updates: list[tuple[str, float, Tensor]] = []
    for step_size in STEP_SIZES:
        for method, slope, steps in (
            ("vpg", surrogate, 1),
            ("reuse", surrogate, EPOCHS),
            ("ppo_first_step", clipped, 1),
            ("ppo", clipped, EPOCHS),
        ):
            new = ascent(old, actions, advantages, slope, step_size, steps)
            updates.append((method, step_size, new))
    for max_kl in MAX_KLS:
        updates.append(("trpo", max_kl, trust_region(old, actions, advantages, max_kl)))
    return [
        [method, setting, *count, probability_of(count, OF_KIND), worse, kl]
        for method, setting, logits in updates
        for count, worse, kl in zip(
            counts,
            logits.softmax(-1)[:, 0].tolist(),
            policy(old).kl(policy(logits))[:, 0].tolist(),
            strict=True,
        )
    ]


def policy(logits: Tensor) -> Categorical:
    """The policy of logits ``[R, A]`` at each sample of a batch."""
    return Categorical(logits[:, None].expand(-1, SAMPLES, -1))


def batches(counts: list[tuple[int, int, int]]) -> tuple[Tensor, Tensor]:
    """Actions ``[R, B, 1]`` and advantages ``[R, B]`` of batches with so many of each kind."""
    kinds = torch.tensor(
        [[kind for kind, count in enumerate(batch) for _ in range(count)] for batch in counts]
    )
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    value = POLICY[0] * LUCK * REWARDS[0] + POLICY[0] * (1 - LUCK) * REWARDS[1]
    value += POLICY[1] * REWARDS[2]
    return (kinds == 2).long()[..., None], rewards[kinds] - value


def probability_of(count: Sequence[int], of_kind: Sequence[float]) -> float:
    """Of a batch with so many samples of each kind, in any order: multinomial."""
    orders = math.factorial(sum(count)) // math.prod(map(math.factorial, count))
    return orders * math.prod(p**n for p, n in zip(of_kind, count, strict=True))


def clipped(ratio: Tensor, advantages: Tensor) -> Tensor:
    """∂/∂ log π of PPO's objective at ε = 0.2."""
    epsilon = torch.full(ratio.shape[:1], CLIP_EPSILON, dtype=ratio.dtype)
    return clipped_surrogate_slope(ratio, advantages, epsilon)


def ascent(
    old: Tensor,
    actions: Tensor,
    advantages: Tensor,
    slope: Callable[[Tensor, Tensor], Tensor],
    step_size: float,
    steps: int,
) -> Tensor:
    """Logits after steps of gradient ascent on the batch mean of an objective.

    Args:
        old: logits ``[R, A]``.
        actions, advantages: ``[R, B, 1]`` and ``[R, B]``.
        slope: (ratio, advantages), each ``[R, B]``, ↦ ∂ objective/∂ log π, ``[R, B]``; of r·Â it is
            r·Â itself, and at r = 1 that of log π·Â.

    """
    logits = old
    for _ in range(steps):
        ratio = (policy(logits).log_prob(actions) - policy(old).log_prob(actions)).exp()
        logits = logits + step_size * gradient(logits, actions, slope(ratio, advantages))
    return logits


def gradient(logits: Tensor, actions: Tensor, slope: Tensor) -> Tensor:
    """Of a batch mean, in the logits, ``[R, A]``; slopes ``[R, B]`` in log π."""
    return policy(logits).log_prob_pullback(actions, slope)[0].mean(1)


def trust_region(old: Tensor, actions: Tensor, advantages: Tensor, max_kl: float) -> Tensor:
    """Logits ``[R, A]`` after TRPO's step."""
    delta = torch.full(old.shape[:1], max_kl, dtype=old.dtype)
    here = policy(old)

    def product(vector: Tensor) -> Tensor:
        tangent = vector[:, None].expand(-1, SAMPLES, -1)
        return here.fisher(tangent)[0].mean(1) + DAMPING * vector

    def evaluate(candidates: Tensor, lanes: Tensor) -> tuple[Tensor, Tensor]:
        before, after = policy(old[lanes]), policy(candidates)
        ratio = (after.log_prob(actions[lanes]) - before.log_prob(actions[lanes])).exp()
        gain = surrogate(ratio, advantages[lanes]) - advantages[lanes]
        return before.kl(after).mean(1), gain.mean(1)

    slope = gradient(old, actions, advantages)
    direction, residual = conjugate_gradient(product, slope, CG_ITERATIONS, RESIDUAL_TOLERANCE)
    step = full_step(direction, dot(direction, slope - residual), delta)
    return backtracking_line_search(evaluate, old, step, delta, SHRINK, MAX_BACKTRACKS).parameters


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("two_actions", COLUMNS, two_actions, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
