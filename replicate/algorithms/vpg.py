"""Naive policy gradient: one gradient step a batch, as far as the step size takes it.

Source: PPO paper (arXiv 1707.06347) eq. 2; Spinning Up's VPG with an Adam step.
"""

from torch import Tensor

from replicate.algorithms.learner import (
    Batch,
    Lanewise,
    Learner,
    fit_value,
    standardise_minibatch_,
    update_diagnostics,
    whole_batch_gradient,
)
from replicate.maths.adam import adam_step_
from replicate.maths.diagnostics import squared_norm
from replicate.maths.objectives import policy_gradient
from replicate.settings import RecipeSettings, Shared, VPGSettings


def policy_loss(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
    """−log π(a|s)·Â, ``[R, B]``."""
    return -policy_gradient(log_prob, advantages)


def update(
    learner: Learner,
    batch: Batch,
    algo: Shared[VPGSettings],
    recipe: Shared[RecipeSettings],
    lane: Lanewise,
) -> Lanewise:
    """One Adam step on −mean(log π(a|s)·Â), then the value fit.

    Args:
        learner: changed in place.
        batch: ``[R, T, …]``; advantages are standardised in place where the recipe says so.
        algo, recipe: what the lanes share.
        lane: ``learning_rate``, ``value_learning_rate``, each ``[R]``, schedules applied.

    Returns:
        Diagnostics, each ``[R]``.

    """
    standardise_minibatch_(batch, recipe)
    state = learner.policy_state
    gradient = whole_batch_gradient(learner, batch, policy_loss)
    adam_step_(state.parameters, gradient, state.adam, lane["learning_rate"], recipe.adam_epsilon)
    value = fit_value(learner, batch, algo, recipe, lane)
    return {
        "gradient_norm": squared_norm(gradient).sqrt(),
        **value,
        **update_diagnostics(learner, batch),
    }
