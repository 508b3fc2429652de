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
    gradients,
    pieces,
    update_diagnostics,
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
from replicate.settings import RecipeSettings, TRPOSettings


def fisher_product(
    policy: Policy, parameters: Tensor, observations: Tensor, stride: int, damping: Tensor
) -> Product:
    """V ↦ (F + damping·I)·v, F = mean over every ``stride``-th state of Jᵀ F_π J.

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


def surrogate_gradient(policy: Policy, parameters: Tensor, batch: Batch) -> Tensor:
    """∇ mean(r·Â) at ``parameters``, ``[R, P]``."""
    gradient = torch.zeros_like(parameters)
    for part in pieces(batch.size):
        new, activations = policy.forward(parameters, batch.observations[:, part])
        actions, advantages = batch.actions[:, part], batch.advantages[:, part]
        old_log_prob = batch.old_log_prob[:, part]

        def objective(log_prob: Tensor) -> Tensor:
            return surrogate((log_prob - old_log_prob).exp(), advantages).sum(1) / batch.size  # noqa: B023

        (cotangent,), _ = gradients(objective, new.log_prob(actions))
        cotangents = new.log_prob_pullback(actions, cotangent)
        gradient += policy.pullback(parameters, activations, cotangents)
    return gradient


def update(
    learner: Learner, batch: Batch, algo: TRPOSettings, recipe: RecipeSettings, lane: Lanewise
) -> Lanewise:
    """One natural-gradient step inside the trust region, then the value fit.

    s = (F + damping)⁻¹ g by conjugate gradient; the full step √(2δ/sᵀFs)·s (F damped) shrinks
    until KL(old‖new) ≤ δ and the surrogate has improved, else nothing moves.

    Args:
        learner: changed in place.
        batch: ``[R, T, …]``.
        lane: ``max_kl``, ``accept_kl_factor``, ``damping``, ``value_learning_rate``, each ``[R]``.

    Returns:
        Diagnostics, each ``[R]``.

    """
    policy, state = learner.policy, learner.policy_state
    gradient = surrogate_gradient(policy, state.parameters, batch)
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
        log_ratio = new.log_prob(batch.actions[lanes]) - batch.old_log_prob[lanes]
        after = surrogate(log_ratio.exp(), batch.advantages[lanes]).mean(1)
        return old.kl(new).mean(1), after - before[lanes]

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
    unclipped = torch.full_like(lane["max_kl"], torch.inf)
    return {
        "gradient_norm": squared_norm(gradient).sqrt(),
        "step_accepted": search.accepted.to(gradient),
        "backtracks": search.backtracks.to(gradient),
        "cg_residual": relative_residual(residual, gradient),
        "expected_improvement": dot(gradient, step),
        "improvement": search.improvement,
        **value,
        **update_diagnostics(learner, batch, unclipped),
    }
