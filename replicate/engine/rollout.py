"""Collecting experience: all lanes step once, then all lanes step again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from replicate.algorithms.learner import Learner
from replicate.engine.seeding import action_noise
from replicate.engine.state import Filters
from replicate.envs import EnvBatch, Episode
from replicate.maths.distributions import Distribution
from replicate.maths.moments import RunningMoments, affine_filter
from replicate.settings import RecipeSettings


@dataclass
class Rollout:
    """T steps of some lanes.

    Args:
        raw_observations: ``[R, T, D]`` as the environments gave them.
        observations: ``[R, T, D]`` as the policy saw them.
        next_observations: ``[R, T, D]``, what followed each action before any reset, filtered.
        actions: ``[R, T, A]`` or ``[R, T, 1]``, as drawn (before any clipping).
        rewards: ``[R, T]`` raw.
        terminated, ended: ``[R, T]`` bool.
        behaviour: the distributions the actions were drawn from.
        diverged_at: ``[R]``, first step with an action that is not finite, else −1.
        episodes: those that ended, ``lane`` counted among these lanes.

    """

    raw_observations: Tensor
    observations: Tensor
    next_observations: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    ended: Tensor
    behaviour: Distribution
    diverged_at: Tensor
    episodes: list[Episode]


def observation_filter(
    moments: RunningMoments, recipe: RecipeSettings
) -> Callable[[Tensor], Tensor]:
    """X ↦ clip((x − mean)/std, ±c) under the present moments, for ``[R, D]`` or ``[R, T, D]``."""
    if recipe.observation_filter == "none":
        return lambda observations: observations
    shift, scale = affine_filter(moments, recipe.observation_variance_floor, recipe.norm_epsilon)
    limit = recipe.observation_clip

    def apply(observations: Tensor) -> Tensor:
        a, b = (shift, scale) if observations.ndim == 2 else (shift[:, None], scale[:, None])
        return (observations - a).mul_(b).clamp_(-limit, limit)

    return apply


def start(envs: EnvBatch, filters: Filters, recipe: RecipeSettings) -> None:
    """Reset every environment and filter its first observation."""
    envs.reset()
    first = torch.from_numpy(envs.observations).to(filters.observations)
    if recipe.observation_filter == "per_step":
        filters.observation_moments.update_(first)
    filters.observations.copy_(observation_filter(filters.observation_moments, recipe)(first))


def collect(
    learner: Learner,
    filters: Filters,
    envs: EnvBatch,
    lanes: list[int],
    num_steps: int,
    recipe: RecipeSettings,
) -> Rollout:
    """``num_steps`` env steps of each of ``lanes``; no gradients, no parameter changes.

    Args:
        learner, filters: of these lanes only, in their order; the filters' per-step statistics
            move.
        lanes: their places in ``envs``.

    """
    spec, count = envs.spec, len(lanes)
    device = learner.kl_beta.device
    policy, parameters = learner.policy, learner.policy_state.parameters
    moments = filters.observation_moments
    per_step = recipe.observation_filter == "per_step"
    clip_actions = recipe.clip_actions and spec.continuous

    last = np.empty((count, spec.observation_size), np.float32)
    rewards = np.empty((num_steps, count), np.float32)
    terminated = np.empty((num_steps, count), np.bool_)
    ended = np.empty((num_steps, count), np.bool_)
    outputs: list[Tensor] = []
    drawn: list[Tensor] = []
    endings: list[tuple[int, Tensor, Tensor]] = []
    episodes: list[Episode] = []

    see = observation_filter(moments, recipe)
    raw = [torch.from_numpy(envs.observations[lanes]).to(parameters)]
    seen = [filters.observations.clone() if per_step else see(raw[0])]
    kind = "normal" if spec.continuous else "gumbel"
    noise = action_noise(learner.generators, kind, num_steps, spec.num_actions)
    noise = noise[:, :, None].to(device)

    for t, noise_now in enumerate(noise):
        distribution, _ = policy.forward(parameters, seen[-1][:, None])
        action = distribution.sample(noise_now)
        outputs.append(distribution.parameters[0])
        drawn.append(action)

        native = action.cpu().numpy()[:, 0]
        if not spec.continuous:
            native = native[:, 0]
        elif not np.isfinite(native).all():
            # The lane has diverged; others go on, and no simulator is fed with NaN.
            native = np.where(np.isfinite(native), native, np.float32(0))
        if clip_actions:
            native = native.clip(spec.low, spec.high)
        finished = envs.step(lanes, t, native, rewards[t], last, terminated[t], ended[t])

        raw.append(torch.from_numpy(envs.observations[lanes]).to(parameters))
        if per_step:
            moments.update_(raw[-1])
            see = observation_filter(moments, recipe)
        seen.append(see(raw[-1]))
        if finished:
            episodes += finished
            over = torch.from_numpy(ended[t])
            endings.append((t, over, see(torch.from_numpy(last).to(parameters))[over.to(device)]))

    filters.observations.copy_(seen[-1])
    seen_next = torch.stack(seen[1:], 1)
    for t, over, final in endings:
        seen_next[over.to(device), t] = final
    means_or_logits, actions = torch.cat(outputs, 1), torch.cat(drawn, 1)
    finite = (means_or_logits.isfinite().all(-1) & actions.isfinite().all(-1)).cpu()
    first_bad = torch.where(finite.all(1), -1, (~finite).int().argmax(1))

    shared = [parameter.clone() for parameter in distribution.parameters[1:]]

    def lanes_first(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(device).t().contiguous()

    return Rollout(
        raw_observations=torch.stack(raw[:-1], 1),
        observations=torch.stack(seen[:-1], 1),
        next_observations=seen_next,
        actions=actions,
        rewards=lanes_first(rewards),
        terminated=lanes_first(terminated),
        ended=lanes_first(ended),
        behaviour=distribution.at(means_or_logits, *shared),
        diverged_at=first_bad,
        episodes=episodes,
    )


def scaled_rewards(
    rollout: Rollout, filters: Filters, gamma: Tensor, recipe: RecipeSettings
) -> Tensor:
    """Rewards divided by the running std of the discounted return, clipped: ``[R, T]``.

    R_t = γ·R_{t−1}·(1 − ended_{t−1}) + r_t;  r̂_t = clip(r_t / √(Var[R_0 … R_t] + ε), ±c)

    The mean is not subtracted.  Moves the filters' return statistics.

    Source: openai/baselines VecNormalize; Engstrom et al. 2020 (arXiv 2005.12729), section 3.
    """
    if not recipe.reward_scaling:
        return rollout.rewards
    by_time = rollout.rewards.t().double()
    going_on = (~rollout.ended).t().double()
    scale = torch.empty_like(by_time)
    running = filters.discounted_return[:, 0]
    moments, discount = filters.return_moments, gamma.double()
    for t in range(by_time.shape[0]):
        running = running * discount + by_time[t]
        moments.update_(running[:, None])
        scale[t] = moments.variance()[:, 0]
        running = running * going_on[t]
    filters.discounted_return.copy_(running[:, None])
    scaled = (by_time / (scale + recipe.norm_epsilon).sqrt()).t()
    scaled = scaled.to(gamma.dtype).contiguous()
    limit = recipe.reward_clip
    return scaled if limit is None else scaled.clamp_(-limit, limit)
