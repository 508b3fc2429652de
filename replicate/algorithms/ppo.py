"""Proximal policy optimisation: clipped, unclipped, and with fixed or adaptive KL penalty.

Source: Schulman et al. 2017 (arXiv 1707.06347), algorithm 1, eq. 6–9.
"""

import torch
from torch import Tensor

from replicate.algorithms.learner import (
    Batch,
    Lanewise,
    Learner,
    TrainingLanes,
    batch_minibatches,
    distribution_on,
    gradients,
    measured_kl,
    random_order,
    standardise_minibatch_,
    update_diagnostics,
    value_loss_slope,
)
from replicate.algorithms.own_objective import slope_in_log_ratio
from replicate.maths.adam import adam_step_
from replicate.maths.diagnostics import gradient_scale, squared_norm
from replicate.maths.objectives import (
    SURROGATES,
    adapt_kl_beta,
    clipped_surrogate_slope,
    kl_penalty,
)
from replicate.settings import PPOSettings, RecipeSettings, Shared


def policy_loss_slope(
    log_prob: Tensor, part: Batch, clip_epsilon: Tensor, algo: Shared[PPOSettings]
) -> Tensor:
    """∂/∂ log π of −mean(min(r·Â, clip(r, 1±ε)·Â)), ``[R, B]``, or of an objective of one's own.

    The loss is the mean of −``maths.objectives.clipped_surrogate``; ``clipped_surrogate_slope``,
    beside it, is its derivative.

    In the first minibatch of a batch r = 1: that step is a plain policy-gradient step, which
    the clip does not bound.
    """
    if algo.own_objective is None:
        ratio = (log_prob - part.old_log_prob).exp()
        slope = clipped_surrogate_slope(ratio, part.advantages, clip_epsilon, algo.bound)
    else:
        own = SURROGATES[algo.own_objective]
        slope = slope_in_log_ratio(own, log_prob - part.old_log_prob, part.advantages, clip_epsilon)
    return slope / -part.size


def update(
    learner: Learner,
    batch: Batch,
    algo: Shared[PPOSettings],
    recipe: Shared[RecipeSettings],
    lane: Lanewise,
) -> Lanewise:
    """``update_epochs`` passes of minibatch Adam on policy and value loss together.

    Args:
        learner: changed in place, β of adaptive lanes included.
        batch: ``[R, T, …]``.
        algo, recipe: what the lanes share.
        lane: ``learning_rate``, ``value_learning_rate``, ``kl_target``, … each ``[R]``, schedules
            applied.

    Returns:
        Diagnostics, each ``[R]``.

    """
    policy, value = learner.policy, learner.value_function
    policy_lanes = TrainingLanes(learner.policy_state)
    value_lanes = TrainingLanes(learner.value_state)
    stop_at = lane["target_kl"] * algo.target_kl_factor
    may_stop = bool(stop_at.isfinite().any())
    penalised = bool((learner.kl_beta > 0).any())
    rewards_entropy = bool((lane["entropy_coefficient"] > 0).any())
    may_scale = bool(lane["max_gradient_norm"].isfinite().any())
    rows = batch.lanes
    norm_sum, value_loss_sum, value_steps, epochs_done = torch.zeros(4, rows).to(stop_at)

    def stop_where_far(sample: Batch) -> None:
        part = sample.take(policy_lanes)
        new = distribution_on(policy, policy_lanes.now.parameters, part.observations)
        kl = measured_kl(new, part, algo.target_kl_estimator)
        going = ~(policy_lanes.scatter(kl, rows) > stop_at)
        policy_lanes.keep(going)
        if algo.target_kl_stops == "policy_and_value":
            value_lanes.keep(going)

    def policy_gradient_on(minibatch: Batch) -> Tensor:
        part = minibatch.take(policy_lanes)
        state = policy_lanes.now
        new, activations = policy.forward(state.parameters, part.observations)
        epsilon = policy_lanes.take(lane["clip_epsilon"])
        cotangent = policy_loss_slope(new.log_prob(part.actions), part, epsilon, algo)
        terms = [new.log_prob_pullback(part.actions, cotangent)]
        if penalised:
            beta = policy_lanes.take(learner.kl_beta)
            (cotangent,), _ = gradients(lambda kl: kl_penalty(kl, beta).mean(1), part.old.kl(new))
            penalty = new.kl_pullback(part.old, cotangent)
            # In a lane without penalty its derivative must not count: it may be infinite.
            terms.append(tuple(torch.where(beta[:, None, None] > 0, p, 0.0) for p in penalty))
        if rewards_entropy:
            weight = policy_lanes.take(lane["entropy_coefficient"]) / -part.size
            terms.append(new.entropy_pullback(weight[:, None].expand(-1, part.size)))
        cotangents = terms[0]
        for term in terms[1:]:
            cotangents = tuple(map(torch.add, cotangents, term))
        return policy.pullback(state.parameters, activations, cotangents)

    def value_gradient_on(minibatch: Batch) -> tuple[Tensor, Tensor]:
        part = minibatch.take(value_lanes)
        state = value_lanes.now
        predictions, activations = value.forward(state.parameters, part.observations)
        clip = value_lanes.take(lane["clip_epsilon"]) if recipe.value_clip else None
        weight = value_lanes.take(lane["value_coefficient"])
        cotangent, losses = value_loss_slope(predictions, part, clip, weight)
        return value.pullback(state.parameters, activations, cotangent), losses

    one_pass = batch_minibatches(batch, algo.minibatch_size)
    for _ in range(algo.update_epochs):
        # Drawn whether used or not: a lane's generator must not know who else has stopped.
        order = random_order(learner.generators, batch.size)
        if policy_lanes.empty and value_lanes.empty:
            continue
        epochs_done += policy_lanes.scatter(policy_lanes.take(torch.ones_like(stop_at)), rows)
        for minibatch in one_pass(order):
            standardise_minibatch_(minibatch, recipe)
            if may_stop and algo.target_kl_check == "each_minibatch" and not policy_lanes.empty:
                stop_where_far(minibatch)
            steps = []
            if not policy_lanes.empty:
                steps.append((policy_lanes, policy_gradient_on(minibatch), "learning_rate"))
            if not value_lanes.empty:
                gradient, losses = value_gradient_on(minibatch)
                value_loss_sum += value_lanes.scatter(losses, rows)
                value_steps += value_lanes.scatter(torch.ones_like(losses), rows)
                steps.append((value_lanes, gradient, "value_learning_rate"))
            if not steps:
                break
            squares = [lanes.scatter(squared_norm(g), rows) for lanes, g, _ in steps]
            norm = torch.stack(squares).sum(0).sqrt()
            norm_sum += norm
            if may_scale:
                scale = gradient_scale(norm, lane["max_gradient_norm"])
            for lanes, gradient, step_size in steps:
                if may_scale:
                    gradient *= lanes.take(scale)[:, None]
                adam_step_(
                    lanes.now.parameters,
                    gradient,
                    lanes.now.adam,
                    lanes.take(lane[step_size]),
                    recipe.adam_epsilon,
                )
        if may_stop and algo.target_kl_check != "each_minibatch" and not policy_lanes.empty:
            whole = algo.target_kl_check == "batch_each_epoch"
            stop_where_far(batch if whole else minibatch)
    policy_lanes.write_back()
    value_lanes.write_back()

    result = update_diagnostics(learner, batch, lane["clip_epsilon"])
    used_beta = learner.kl_beta.clone()
    learner.kl_beta = adapt_kl_beta(learner.kl_beta, result["kl"], lane["kl_target"])
    return {
        # None is made where every network stops before its first step.
        "gradient_norm": norm_sum / value_steps.clamp_min(1),
        "value_loss": value_loss_sum / value_steps.clamp_min(1),
        "kl_beta": used_beta,
        "policy_epochs": epochs_done,
        **result,
    }
