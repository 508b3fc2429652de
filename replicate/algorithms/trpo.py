"""Trust region policy optimisation.

Source: Schulman et al. 2015 (arXiv 1502.05477), appendix C.
"""

import torch
from torch import Tensor

from replicate.algorithms.learner import (
    Batch,
    Lanewise,
    Learner,
    distribution_on,
    fit_value,
    pieces,
    standardise_minibatch_,
    update_diagnostics,
    whole_batch_gradient,
)
from replicate.maths.diagnostics import squared_norm
from replicate.maths.objectives import surrogate
from replicate.maths.trust_region import (
    Product,
    backtracking_line_search,
    conjugate_gradient,
    dot,
    full_step,
    relative_residual,
)
from replicate.networks import Policy
from replicate.settings import RecipeSettings, Shared, TRPOSettings


def fisher_product(
    policy: Policy, parameters: Tensor, observations: Tensor, stride: int, damping: Tensor
) -> Product:
    """The function v ↦ (F + damping·I)·v, F = mean over every ``stride``-th state of Jᵀ F_π J.

    F is the Hessian of the mean KL(old‖new) at new = old (and of KL(new‖old) there).

    Args:
        parameters: ``[R, P]``.
        observations: ``[R, T, D]``.
        damping: ``[R]``.

    """
    samples = observations[:, ::stride].shape[1]
    walked = [
        policy.forward(parameters, observations[:, part])
        for part in pieces(observations.shape[1], stride)
    ]

    def product(vector: Tensor) -> Tensor:
        result = torch.zeros_like(vector)
        for distribution, activations in walked:
            change = policy.pushforward(parameters, activations, vector)
            result += policy.pullback(parameters, activations, distribution.fisher(*change))
        return result / samples + damping[:, None] * vector

    return product


def policy_objective(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
    """r·Â, ``[R, B]``, r = π(a|s)/π_old(a|s)."""
    return surrogate((log_prob - old_log_prob).exp(), advantages)


def update(
    learner: Learner,
    batch: Batch,
    algo: Shared[TRPOSettings],
    recipe: Shared[RecipeSettings],
    lane: Lanewise,
) -> Lanewise:
    """One natural-gradient step inside the trust region, then the value fit.

    s = (F + damping)⁻¹ g by conjugate gradient; the full step √(2δ/sᵀFs)·s (F damped) shrinks
    until KL(old‖new) ≤ ``accept_kl_factor``·δ and the surrogate has improved, else nothing moves.

    Args:
        learner: changed in place.
        batch: ``[R, T, …]``; advantages are standardised in place where the recipe says so.
        algo, recipe: what the lanes share.
        lane: ``max_kl``, ``accept_kl_factor``, ``damping``, ``value_learning_rate``, each ``[R]``.

    Returns:
        Diagnostics, each ``[R]``.

    """
    standardise_minibatch_(batch, recipe)
    policy, state = learner.policy, learner.policy_state
    gradient = whole_batch_gradient(learner, batch, policy_objective)
    product = fisher_product(
        policy, state.parameters, batch.observations, algo.fisher_stride, lane["damping"]
    )
    direction, residual = conjugate_gradient(
        product, gradient, algo.cg_iterations, algo.cg_residual_tolerance
    )
    step = full_step(direction, dot(direction, gradient - residual), lane["max_kl"])
    before = surrogate(torch.ones_like(batch.advantages), batch.advantages).mean(1)

    def evaluate(candidates: Tensor, lanes: Tensor) -> tuple[Tensor, Tensor]:
        old = batch.old.at(*(p[lanes] for p in batch.old.parameters))
        new = distribution_on(policy, candidates, batch.observations[lanes])
        log_prob = new.log_prob(batch.actions[lanes])
        after = policy_objective(log_prob, batch.old_log_prob[lanes], batch.advantages[lanes])
        return old.kl(new).mean(1), after.mean(1) - before[lanes]

    search = backtracking_line_search(
        evaluate,
        state.parameters,
        step,
        lane["max_kl"] * lane["accept_kl_factor"],
        algo.backtrack_shrink,
        algo.max_backtracks,
    )
    state.parameters.copy_(search.parameters)
    value = fit_value(learner, batch, algo, recipe, lane)
    return {
        "gradient_norm": squared_norm(gradient).sqrt(),
        "step_accepted": search.accepted.to(gradient),
        "backtracks": search.backtracks.to(gradient),
        "cg_residual": relative_residual(residual, gradient),
        "expected_improvement": dot(gradient, step),
        "improvement": search.improvement,
        **value,
        **update_diagnostics(learner, batch),
    }
