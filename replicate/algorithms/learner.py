"""What the algorithms share: the learner, the batch, value fitting, gradients, diagnostics."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Self, TypeVar

import torch
from torch import Tensor

from replicate.maths import diagnostics
from replicate.maths.adam import AdamState, adam_step_
from replicate.maths.diagnostics import kl_k1, kl_k3
from replicate.maths.distributions import Distribution
from replicate.maths.lanes import put_lanes_, take_lanes
from replicate.maths.objectives import clipped_value_error, squared_value_error, squared_value_slope
from replicate.maths.returns import standardise
from replicate.networks import Policy, ValueFunction
from replicate.settings import RecipeSettings, Shared, ValueFit

SomeValueFit = TypeVar("SomeValueFit", bound=ValueFit)
Lanewise = dict[str, Tensor]
"""Values by name, each ``[R]``: hyper-parameters in, diagnostics out."""

# Long batches are walked in pieces that stay in the processor's cache; the length is fixed, so
# that a lane's sums do not depend on the cohort.
PIECE = 256

# The ε of `clip_fraction` in lanes that do not clip.
REFERENCE_CLIP_EPSILON = 0.2


@dataclass
class Trained:
    """A parameter tensor ``[R, P]`` and its optimiser."""

    parameters: Tensor
    adam: AdamState

    @staticmethod
    def fresh(parameters: Tensor) -> "Trained":
        """Parameters with an optimiser that has not stepped yet."""
        return Trained(parameters, AdamState.zeros_like(parameters))


class TrainingLanes:
    """The lanes of a ``Trained`` that still take steps.

    A lane that stops is taken out of the working copy: its parameters and moments cannot move,
    and it costs nothing.
    """

    def __init__(self, whole: Trained) -> None:
        self.whole = whole
        self.now = whole
        self.lanes: Tensor | None = None

    def take(self, tensor: Tensor) -> Tensor:
        """The rows of ``[R, …]`` that belong to the lanes left."""
        return tensor if self.lanes is None else tensor[self.lanes]

    def scatter(self, tensor: Tensor, rows: int) -> Tensor:
        """The inverse of ``take``: rows of the lanes left → ``[R, …]``, zero elsewhere."""
        if self.lanes is None:
            return tensor
        whole = tensor.new_zeros(rows, *tensor.shape[1:])
        whole[self.lanes] = tensor
        return whole

    def keep(self, mask: Tensor) -> None:
        """Go on with the lanes of ``mask`` ``[R]`` (bool) only."""
        mask = self.take(mask)
        if bool(mask.all()):
            return
        self.write_back()
        lanes = self.take(torch.arange(self.whole.parameters.shape[0], device=mask.device))
        self.lanes = lanes[mask]
        self.now = take_lanes(self.whole, self.lanes)

    def write_back(self) -> None:
        """Copy the working lanes into the whole."""
        if self.lanes is not None:
            put_lanes_(self.whole, self.lanes, self.now)

    @property
    def empty(self) -> bool:
        """Whether no lane is left."""
        return self.lanes is not None and self.lanes.numel() == 0


@dataclass
class Learner:
    """Networks and what is learnt, of some lanes."""

    policy: Policy
    value_function: ValueFunction
    policy_state: Trained
    value_state: Trained
    kl_beta: Tensor
    generators: list[torch.Generator]


@dataclass
class Batch:
    """What an algorithm optimises on.

    Args:
        observations: ``[R, T, D]``, filtered as the update sees them.
        actions: ``[R, T, A]`` or ``[R, T, 1]``.
        old: π_old on ``observations``.
        old_log_prob: ``[R, T]``, log π_old(a|s).
        advantages: ``[R, T]``.
        value_targets: ``[R, T]``, Â + V, both under the rollout's filter.
        old_values: ``[R, T]``, V before the update: under the rollout's filter, or where a value
            clip needs them under that of ``observations``.

    """

    observations: Tensor
    actions: Tensor
    old: Distribution
    old_log_prob: Tensor
    advantages: Tensor
    value_targets: Tensor
    old_values: Tensor

    @property
    def lanes(self) -> int:
        """R, the number of lanes."""
        return self.observations.shape[0]

    @property
    def size(self) -> int:
        """T, the samples of a lane."""
        return self.observations.shape[1]

    def take(self, lanes: TrainingLanes) -> Self:
        """The batch of the lanes that still train."""
        return self if lanes.lanes is None else take_lanes(self, lanes.lanes)


def random_order(generators: list[torch.Generator], size: int) -> Tensor:
    """A permutation of ``size`` samples for each lane, from its own generator: ``[R, size]``."""
    return torch.stack([torch.randperm(size, generator=g) for g in generators])


def shuffled_minibatches(
    columns: list[Tensor], minibatch_size: int
) -> Callable[[Tensor], Iterator[list[Tensor]]]:
    """Passes over samples in minibatches.

    Args:
        columns: ``[R, T, …]`` each; copied here, once for all passes.

    Returns:
        A pass: order ``[R, T]``, a permutation for each lane ↦ the columns restricted to each
        minibatch in turn, ``[R, B, …]`` each.

    """
    lanes, size = columns[0].shape[:2]
    widths = [column[0, 0].numel() for column in columns]
    # One row of memory per sample: a minibatch is gathered when it is needed, by one call.
    packed = torch.cat([column.reshape(lanes * size, -1) for column in columns], 1)
    first_rows = size * torch.arange(lanes, device=packed.device)[:, None]

    def one_pass(order: Tensor) -> Iterator[list[Tensor]]:
        rows = order.to(packed.device) + first_rows
        for start in range(0, size, minibatch_size):
            chosen = rows[:, start : start + minibatch_size]
            gathered = packed.index_select(0, chosen.flatten()).view(*chosen.shape, -1)
            parts = torch.split(gathered, widths, 2)
            yield [p if c.ndim == 3 else p[..., 0] for p, c in zip(parts, columns, strict=True)]

    return one_pass


def batch_minibatches(batch: Batch, minibatch_size: int) -> Callable[[Tensor], Iterator[Batch]]:
    """As ``shuffled_minibatches``, with a ``Batch`` for each minibatch.

    Parameters of π_old that all samples share (log σ) are handed on as they are.
    """
    names = [f.name for f in fields(batch) if f.name != "old"]
    varying, *shared = batch.old.parameters
    columns = [getattr(batch, name) for name in names]
    one_pass = shuffled_minibatches([varying, *columns], minibatch_size)

    def as_batch(varying: Tensor, *parts: Tensor) -> Batch:
        return Batch(old=batch.old.at(varying, *shared), **dict(zip(names, parts, strict=True)))

    return lambda order: (as_batch(*part) for part in one_pass(order))


def pieces(size: int, stride: int = 1) -> list[slice]:
    """Slices of at most ``PIECE`` of every ``stride``-th of ``size`` samples."""
    step = PIECE * stride
    return [slice(start, min(start + step, size), stride) for start in range(0, size, step)]


def distribution_on(policy: Policy, parameters: Tensor, observations: Tensor) -> Distribution:
    """π(·|s) on ``[R, T, D]``, walked in pieces."""
    parts = [
        policy.forward(parameters, observations[:, part])[0]
        for part in pieces(observations.shape[1])
    ]
    columns = zip(*(part.parameters for part in parts), strict=True)
    # A shared log σ is a view of the parameters, which an optimiser changes in place; a
    # distribution that is kept must not follow them.
    joined = [c[0].clone() if c[0].shape[1] == 1 else torch.cat(c, 1) for c in columns]
    return parts[0].at(*joined)


def values_on(value_function: ValueFunction, parameters: Tensor, observations: Tensor) -> Tensor:
    """V(s) on ``[R, T, D]``, walked in pieces: ``[R, T]``."""
    parts = pieces(observations.shape[1])
    return torch.cat([value_function.forward(parameters, observations[:, p])[0] for p in parts], 1)


def gradients(loss: Callable[..., Tensor], *arguments: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Gradients of the summed loss in the arguments, by autograd, and the loss itself.

    The arguments are quantities per sample (``[R, B]``: log-probability, KL, entropy, value), so
    that an objective can be any function of them and autograd sees nothing else.
    """
    leaves = [a.detach().requires_grad_() for a in arguments]
    with torch.enable_grad():
        losses = loss(*leaves)
    return torch.autograd.grad(losses, leaves, torch.ones_like(losses)), losses.detach()


def standardise_minibatch_(batch: Batch, recipe: Shared[RecipeSettings]) -> None:
    """Standardise the advantages of a minibatch, in place, if the recipe says ``minibatch``.

    For an algorithm that steps on the whole batch, the whole batch is the minibatch.
    """
    if recipe.advantage_normalization == "minibatch":
        batch.advantages = standardise(
            batch.advantages, recipe.advantage_epsilon, recipe.advantage_std
        )


def whole_batch_gradient(
    learner: Learner, batch: Batch, function: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """∇ mean over the batch of an objective or a loss at the policy's parameters: ``[R, P]``.

    Args:
        function: (log π(a|s), log π_old(a|s), Â), each ``[R, B]`` ↦ ``[R, B]``; autograd
            differentiates it in the first.

    """
    policy, parameters = learner.policy, learner.policy_state.parameters
    gradient = torch.zeros_like(parameters)
    for part in pieces(batch.size):
        new, activations = policy.forward(parameters, batch.observations[:, part])
        actions, advantages = batch.actions[:, part], batch.advantages[:, part]
        old_log_prob = batch.old_log_prob[:, part]

        def share(log_prob: Tensor) -> Tensor:
            return function(log_prob, old_log_prob, advantages).sum(1) / batch.size  # noqa: B023

        (cotangent,), _ = gradients(share, new.log_prob(actions))
        cotangents = new.log_prob_pullback(actions, cotangent)
        gradient += policy.pullback(parameters, activations, cotangents)
    return gradient


def fit_value(
    learner: Learner,
    batch: Batch,
    algo: Shared[SomeValueFit],
    recipe: Shared[RecipeSettings],
    lane: Lanewise,
) -> Lanewise:
    """Adam on the mean squared error to the value targets; returns the mean loss over the fit."""
    learning_rate = lane["value_learning_rate"]
    epochs, minibatch_size = algo.value_epochs, algo.value_minibatch_size
    value, state = learner.value_function, learner.value_state
    loss_sum = torch.zeros_like(learning_rate)
    one_pass = shuffled_minibatches([batch.observations, batch.value_targets], minibatch_size)
    for _ in range(epochs):
        for observations, targets in one_pass(random_order(learner.generators, batch.size)):
            predictions, activations = value.forward(state.parameters, observations)
            cotangent = squared_value_slope(predictions, targets) / targets.shape[1]
            gradient = value.pullback(state.parameters, activations, cotangent)
            adam_step_(state.parameters, gradient, state.adam, learning_rate, recipe.adam_epsilon)
            loss_sum += squared_value_error(predictions, targets).mean(1)
    return {"value_loss": loss_sum * (minibatch_size / (batch.size * max(epochs, 1)))}


def value_loss_slope(
    values: Tensor, part: Batch, value_clip_epsilon: Tensor | None, value_coefficient: Tensor
) -> tuple[Tensor, Tensor]:
    """∂/∂V of c·mean((V − R̂)²), ``[R, B]``, and that loss, ``[R]``.

    The error is clipped around the old value where an ε is given.
    """
    if value_clip_epsilon is None:
        errors = squared_value_error(values, part.value_targets)
        slope = squared_value_slope(values, part.value_targets)
    else:
        (slope,), errors = gradients(
            lambda v: clipped_value_error(
                v, part.old_values, part.value_targets, value_clip_epsilon
            ),
            values,
        )
    weight = value_coefficient / part.size
    return weight[:, None] * slope, value_coefficient * errors.mean(1)


def measured_kl(new: Distribution, part: Batch, estimator: str) -> Tensor:
    """KL(old‖new) on ``part``, ``[R]``, by the estimator that early stopping uses."""
    if estimator == "exact":
        return part.old.kl(new).mean(1)
    log_ratio = new.log_prob(part.actions) - part.old_log_prob
    return kl_k1(log_ratio) if estimator == "k1" else kl_k3(log_ratio)


def update_diagnostics(
    learner: Learner, batch: Batch, clip_epsilon: Tensor | None = None
) -> Lanewise:
    """What the update did to the policy, exactly and by its estimators, on its own batch.

    Args:
        clip_epsilon: ``[R]``, ∞ for a lane that does not clip; None: no lane clips.

    """
    if clip_epsilon is None:
        clip_epsilon = torch.full_like(learner.kl_beta, torch.inf)
    new = distribution_on(learner.policy, learner.policy_state.parameters, batch.observations)
    log_ratio = new.log_prob(batch.actions) - batch.old_log_prob
    shown = torch.where(clip_epsilon.isfinite(), clip_epsilon, REFERENCE_CLIP_EPSILON)
    return {
        "kl": batch.old.kl(new).mean(1),
        "entropy": new.entropy().mean(1),
        "explained_variance": diagnostics.explained_variance(batch.old_values, batch.value_targets),
        **diagnostics.ratio_diagnostics(log_ratio, shown),
    }
