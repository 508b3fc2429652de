"""Naive policy gradient: one gradient step a batch, as far as the step size takes it.

Source: PPO paper (arXiv 1707.06347) eq. 2; Spinning Up's VPG with an Adam step.
"""

import torch

from replicate.algorithms.learner import (
    Batch,
    Lanewise,
    Learner,
    fit_value,
    gradients,
    pieces,
    update_diagnostics,
)
from replicate.maths.adam import adam_step_
from replicate.maths.diagnostics import squared_norm
from replicate.maths.objectives import policy_gradient
from replicate.settings import RecipeSettings, VPGSettings


def update(
    learner: Learner, batch: Batch, algo: VPGSettings, recipe: RecipeSettings, lane: Lanewise
) -> Lanewise:
    """One Adam step on −mean(log π(a|s)·Â), then the value fit.

    Args:
        learner: changed in place.
        batch: ``[R, T, …]``.
        lane: ``learning_rate``, ``value_learning_rate``, each ``[R]``, schedules applied.

    Returns:
        Diagnostics, each ``[R]``.

    """
    policy, state = learner.policy, learner.policy_state
    gradient = torch.zeros_like(state.parameters)
    for part in pieces(batch.size):
        new, activations = policy.forward(state.parameters, batch.observations[:, part])
        advantages = batch.advantages[:, part]
        (cotangent,), _ = gradients(
            lambda log_prob: -policy_gradient(log_prob, advantages).sum(1) / batch.size,  # noqa: B023
            new.log_prob(batch.actions[:, part]),
        )
        cotangents = new.log_prob_pullback(batch.actions[:, part], cotangent)
        gradient += policy.pullback(state.parameters, activations, cotangents)
    adam_step_(state.parameters, gradient, state.adam, lane["learning_rate"], recipe.adam_epsilon)
    value = fit_value(learner, batch, algo, recipe, lane)
    unclipped = torch.full_like(lane["learning_rate"], torch.inf)
    return {
        "gradient_norm": squared_norm(gradient).sqrt(),
        **value,
        **update_diagnostics(learner, batch, unclipped),
    }
