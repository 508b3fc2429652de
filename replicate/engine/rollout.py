"""Collecting experience: all lanes take each step together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from replicate.algorithms.learner import Learner
from replicate.engine.seeding import action_noise
from replicate.engine.state import Filters
from replicate.envs import Envs, Episode
from replicate.maths.distributions import Distribution
from replicate.maths.moments import RunningMoments, affine_filter
from replicate.settings import RecipeSettings, Shared


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
        diverged_at: ``[R]``, first step with an action or a reward that is not finite, else −1.
        episodes: those that ended; their ``row`` is one of this rollout.

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
    moments: RunningMoments, recipe: Shared[RecipeSettings]
) -> Callable[[Tensor], Tensor]:
    """The function x ↦ clip((x − mean)/std, ±c) under the present moments, for ``[R, N, D]``."""
    if recipe.observation_filter == "none":
        return lambda observations: observations
    moved = affine_filter(moments, recipe.observation_variance_floor, recipe.norm_epsilon)
    shift, scale = (value[:, None] for value in moved)
    limit = recipe.observation_clip
    return lambda observations: (observations - shift).mul_(scale).clamp_(-limit, limit)


def start(envs: Envs, filters: Filters, recipe: Shared[RecipeSettings]) -> None:
    """Reset every environment and filter its first observation."""
    envs.reset()
    first = torch.from_numpy(envs.observations).to(filters.observations)
    if recipe.observation_filter == "per_step":
        filters.observation_moments.update_(first)
    see = observation_filter(filters.observation_moments, recipe)
    filters.observations.copy_(see(first[:, None])[:, 0])


def collect(
    learner: Learner,
    filters: Filters,
    envs: Envs,
    lanes: list[int],
    num_steps: int,
    recipe: Shared[RecipeSettings],
) -> Rollout:
    """``num_steps`` env steps of each of ``lanes``; no gradients, no parameter changes.

    Args:
        learner, filters: of these lanes only, in the order of ``lanes``; the filters' per-step
            statistics are updated.
        lanes: their places in ``envs``.

    """
    spec, count = envs.spec, len(lanes)
    device = learner.kl_beta.device
    policy, parameters = learner.policy, learner.policy_state.parameters
    moments = filters.observation_moments
    per_step = recipe.observation_filter == "per_step"
    clip_actions = recipe.clip_actions and spec.continuous

    raw = np.empty((num_steps + 1, count, 1, spec.observation_size), np.float32)
    following = np.empty((num_steps, count, spec.observation_size), np.float32)
    rewards = np.empty((num_steps, count), np.float32)
    terminated = np.empty((num_steps, count), np.bool_)
    ended = np.empty((num_steps, count), np.bool_)
    outputs: list[Tensor] = []
    drawn: list[Tensor] = []
    followed: list[Tensor] = []
    episodes: list[Episode] = []

    places = np.array(lanes)
    raw[0, :, 0] = envs.observations[places]
    raw_by_time = torch.from_numpy(raw)
    see = observation_filter(moments, recipe)
    now = filters.observations[:, None].clone() if per_step else see(raw_by_time[0].to(parameters))
    seen = [now]
    kind = "normal" if spec.continuous else "gumbel"
    noise = action_noise(learner.generators, kind, num_steps, spec.num_actions)
    act = policy.outputs_under(parameters)
    # Only the outputs of the network change from step to step.
    distribution = policy.distribution(parameters, act(now))
    shared = [parameter.clone() for parameter in distribution.parameters[1:]]
    noise = distribution.scaled(noise[:, :, None].to(device))

    # Between two steps the simulators fill the CPU's caches, so that every call here costs several
    # times what it costs in a loop of its own: what can wait is done after the rollout.
    for t, noise_now in enumerate(noise):
        output = act(now)
        action = distribution.at(output, *shared).sample_scaled(noise_now)
        outputs.append(output)
        drawn.append(action)

        native = action.cpu().numpy()[:, 0]
        if not spec.continuous:
            native = native[:, 0]
        elif not np.isfinite(native).all():
            # The lane has diverged; others go on, and no simulator is fed with NaN.
            native = np.where(np.isfinite(native), native, np.float32(0))
        if clip_actions:
            native = native.clip(spec.low, spec.high)
        episodes += envs.step(lanes, t, native, rewards[t], following[t], terminated[t], ended[t])

        raw[t + 1, :, 0] = envs.observations[places]
        raw_now = raw_by_time[t + 1].to(parameters)
        if per_step:
            moments.update_(raw_now[:, 0])
            see = observation_filter(moments, recipe)
            followed.append(see(torch.from_numpy(following[t, :, None]).to(parameters)))
        now = see(raw_now)
        seen.append(now)

    filters.observations.copy_(now[:, 0])
    means_or_logits, actions = torch.cat(outputs, 1), torch.cat(drawn, 1)
    finite = (means_or_logits.isfinite().all(-1) & actions.isfinite().all(-1)).cpu()
    finite &= torch.from_numpy(rewards).isfinite().t()
    first_bad = torch.where(finite.all(1), -1, (~finite).int().argmax(1))

    def lanes_first(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(device).transpose(0, 1).contiguous()

    if not per_step:
        followed = [see(lanes_first(following).to(parameters))]
    return Rollout(
        raw_observations=lanes_first(raw[:-1, :, 0]).to(parameters),
        observations=torch.cat(seen[:-1], 1),
        next_observations=torch.cat(followed, 1),
        actions=actions,
        rewards=lanes_first(rewards),
        terminated=lanes_first(terminated),
        ended=lanes_first(ended),
        behaviour=distribution.at(means_or_logits, *shared),
        diverged_at=first_bad,
        episodes=episodes,
    )


def scaled_rewards(
    rollout: Rollout, filters: Filters, gamma: Tensor, recipe: Shared[RecipeSettings]
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
    scaled: Tensor = (by_time / (scale + recipe.norm_epsilon).sqrt()).t()
    scaled = scaled.to(gamma.dtype).contiguous()
    limit: float | None = recipe.reward_clip
    return scaled if limit is None else scaled.clamp_(-limit, limit)
