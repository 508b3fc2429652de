"""One update of each algorithm against a slow reference in torch.nn, autograd and torch.optim.

The references know one lane, walk samples one by one, and share no code with the suite but the
order of samples; the suite's update runs with two lanes that differ in all that may differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as reference
from torch.distributions import Distribution

from replicate.algorithms import ppo, trpo, vpg
from replicate.algorithms.learner import Batch, Lanewise, Learner
from replicate.engine.cohort import lane_values
from replicate.maths.lanes import take_lanes
from replicate.settings import RecipeSettings, RunSettings
from tests.conftest import runs_of
from tests.handmade import as_flat, as_module, handmade_batch, handmade_learner

SIZE, MINIBATCH, EPOCHS = 24, 8, 3
CLOSE = 1e-9


pytestmark = pytest.mark.usefixtures("float64")


def two_runs(algo: str, first: list[str], second: list[str], both: list[str]) -> list[RunSettings]:
    shapes = [f"algo={algo}", f"algo.num_steps={SIZE}", f"total_env_steps={SIZE}"]
    size = "minibatch_size" if algo == "ppo" else "value_minibatch_size"
    epochs = "update_epochs" if algo == "ppo" else "value_epochs"
    shapes += [f"algo.{size}={MINIBATCH}", f"algo.{epochs}={EPOCHS}"]
    return [run for own in (first, second) for run in runs_of(*shapes, *both, *own)]


@dataclass
class Reference:
    """One lane's networks and its batch, as lists of samples."""

    actor: nn.Sequential
    log_std: nn.Parameter | None
    critic: nn.Sequential
    old_actor: nn.Sequential
    old_log_std: Tensor | None
    batch: Batch
    generator: torch.Generator = field(default_factory=torch.Generator)

    @staticmethod
    def of(learner: Learner, batch: Batch, lane: int) -> "Reference":
        policy = learner.policy
        flat = learner.policy_state.parameters[lane]
        log_std = flat[-policy.num_actions :].clone() if policy.continuous else None
        reference = Reference(
            as_module(policy.network, flat),
            None if log_std is None else nn.Parameter(log_std.clone()),
            as_module(learner.value_function.network, learner.value_state.parameters[lane]),
            as_module(policy.network, flat),
            log_std,
            take_lanes(batch, torch.tensor([lane])),
        )
        reference.generator.set_state(learner.generators[lane].get_state())
        return reference

    def policy_parameters(self) -> list[nn.Parameter]:
        extra = [] if self.log_std is None else [self.log_std]
        return [*self.actor.parameters(), *extra]

    def flat_policy(self) -> Tensor:
        extra = [] if self.log_std is None else [self.log_std.detach()]
        return torch.cat([as_flat(self.actor), *extra])

    def new(self, sample: int) -> Distribution:
        return self._distribution(self.actor, self.log_std, sample)

    def old(self, sample: int) -> Distribution:
        with torch.no_grad():
            return self._distribution(self.old_actor, self.old_log_std, sample)

    def _distribution(
        self, network: nn.Sequential, log_std: Tensor | None, sample: int
    ) -> Distribution:
        outputs = network(self.batch.observations[0, sample])
        if log_std is None:
            return reference.Categorical(logits=outputs)
        return reference.Independent(reference.Normal(outputs, log_std.exp()), 1)

    def log_ratio(self, sample: int) -> Tensor:
        action = self.batch.actions[0, sample]
        if self.log_std is None:
            action = action[0]
        return self.new(sample).log_prob(action) - self.old(sample).log_prob(action)

    def kl(self, sample: int) -> Tensor:
        return reference.kl_divergence(self.old(sample), self.new(sample))

    def mean_kl(self) -> float:
        with torch.no_grad():
            return sum(self.kl(i).item() for i in range(SIZE)) / SIZE

    def minibatches(self, size: int) -> Iterator[list[int]]:
        order = torch.randperm(SIZE, generator=self.generator).tolist()
        for start in range(0, SIZE, size):
            yield order[start : start + size]


def minibatch_advantages(advantages: list[float], recipe: RecipeSettings) -> list[float]:
    if recipe.advantage_normalization != "minibatch":
        return advantages
    mean = sum(advantages) / len(advantages)
    divisor = len(advantages) - (recipe.advantage_std == "sample")
    std = math.sqrt(sum((a - mean) ** 2 for a in advantages) / divisor)
    return [(a - mean) / (std + recipe.advantage_epsilon) for a in advantages]


def reference_ppo(lane: Reference, run: RunSettings) -> float:
    """Algorithm 1 of the PPO paper; returns the β of the next update."""
    algo, recipe = run.algo, run.recipe
    epsilon = algo.clip_epsilon
    beta = algo.kl_beta if algo.objective in ("fixed_kl", "adaptive_kl") else 0.0
    parameters = {"policy": lane.policy_parameters(), "value": [*lane.critic.parameters()]}
    sizes = {"policy": algo.learning_rate, "value": algo.value_learning_rate or algo.learning_rate}
    optimisers = {
        network: torch.optim.Adam(parameters[network], lr=size, eps=recipe.adam_epsilon)
        for network, size in sizes.items()
    }
    for _ in range(algo.update_epochs):
        for samples in lane.minibatches(algo.minibatch_size):
            advantages = minibatch_advantages(
                [lane.batch.advantages[0, i].item() for i in samples], recipe
            )
            gain = bonus = value_loss = torch.zeros(())
            for i, advantage in zip(samples, advantages, strict=True):
                ratio = lane.log_ratio(i).exp()
                if algo.objective in ("clip", "clip_higher"):
                    upper = epsilon * (1.4 if algo.objective == "clip_higher" else 1)
                    clipped = min(max(ratio, torch.tensor(1 - epsilon)), torch.tensor(1 + upper))
                    bound = {"min": min, "max": max, "clipped": lambda plain, clip: clip}
                    gain = gain + bound[algo.bound](ratio * advantage, clipped * advantage)
                elif algo.objective == "spo":
                    pull = abs(advantage) * (ratio - 1) ** 2 / (2 * epsilon)
                    gain = gain + ratio * advantage - pull
                else:
                    gain = gain + ratio * advantage - beta * lane.kl(i)
                bonus = bonus + lane.new(i).entropy()
                value = lane.critic(lane.batch.observations[0, i])[0]
                target, old = lane.batch.value_targets[0, i], lane.batch.old_values[0, i]
                error = (value - target) ** 2
                if recipe.value_clip and algo.objective == "clip":
                    near = old + (value - old).clamp(-epsilon, epsilon)
                    error = max(error, (near - target) ** 2)
                value_loss = value_loss + error
            policy_loss = -gain - algo.entropy_coefficient * bonus
            loss = (policy_loss + algo.value_coefficient * value_loss) / len(samples)
            for optimiser in optimisers.values():
                # Where every sample is clipped, Adam still moves by its momentum.
                optimiser.zero_grad(set_to_none=False)
            loss.backward()
            if recipe.max_gradient_norm is not None:
                everything = [*lane.policy_parameters(), *lane.critic.parameters()]
                nn.utils.clip_grad_norm_(everything, recipe.max_gradient_norm)
            for optimiser in optimisers.values():
                optimiser.step()
        if algo.target_kl is not None and lane.mean_kl() > algo.target_kl_factor * algo.target_kl:
            optimisers.pop("policy", None)
    if algo.objective != "adaptive_kl":
        return beta
    kl = lane.mean_kl()
    if kl < algo.kl_target / 1.5:
        return beta / 2
    return beta * 2 if kl > algo.kl_target * 1.5 else beta


def prepared(runs: list[RunSettings], continuous: bool) -> tuple[Learner, Batch, Lanewise]:
    learner = handmade_learner(2, continuous)
    learner.kl_beta = torch.tensor([run.algo.initial_kl_beta for run in runs])
    return learner, handmade_batch(learner, SIZE), lane_values(runs, "cpu")


def assert_same_parameters(learner: Learner, lanes: list[Reference]) -> None:
    for r, lane in enumerate(lanes):
        for ours, theirs in (
            (learner.policy_state.parameters[r], lane.flat_policy()),
            (learner.value_state.parameters[r], as_flat(lane.critic)),
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=CLOSE)


BIG_STEPS = ["algo.learning_rate=0.02"]
PPO_CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "clip": (["algo.clip_epsilon=0.05"], ["algo.clip_epsilon=0.2"], ["algo.objective=clip"]),
    "max": (["algo.clip_epsilon=0.05"], ["algo.clip_epsilon=0.2"], ["algo.bound=max"]),
    "clipped": (["algo.clip_epsilon=0.05"], ["algo.clip_epsilon=0.2"], ["algo.bound=clipped"]),
    "spo": (["algo.clip_epsilon=0.05"], ["algo.clip_epsilon=0.2"], ["algo.objective=spo"]),
    "clip_higher": (
        ["algo.clip_epsilon=0.05"],
        ["algo.clip_epsilon=0.2"],
        ["algo.objective=clip_higher"],
    ),
    "none": ([], ["algo.learning_rate=0.03"], ["algo.objective=none"]),
    "value step size": ([], ["algo.value_learning_rate=0.005"], ["algo.objective=none"]),
    "fixed_kl": (["algo.kl_beta=0.3"], ["algo.kl_beta=3.0"], ["algo.objective=fixed_kl"]),
    "adaptive_kl": (
        ["algo.kl_target=1e-5"],
        ["algo.kl_target=10.0"],
        ["algo.objective=adaptive_kl"],
    ),
    "objectives side by side": (["algo.objective=clip"], ["algo.objective=fixed_kl"], []),
    "value clip": (
        ["algo.clip_epsilon=0.05"],
        ["algo.objective=none"],
        ["recipe.value_clip=true"],
    ),
    "modern details": (
        ["recipe.max_gradient_norm=0.1"],
        ["recipe.max_gradient_norm=0.5", "algo.entropy_coefficient=0.05"],
        ["recipe=modern", "algo.value_coefficient=0.7"],
    ),
    "early stop": (["algo.target_kl=1e-4"], ["algo.target_kl=100.0"], []),
}


@pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "discrete"])
@pytest.mark.parametrize("name", PPO_CASES)
def test_ppo_update(name: str, continuous: bool) -> None:
    first, second, both = PPO_CASES[name]
    runs = two_runs("ppo", first, second, BIG_STEPS + both)
    learner, batch, values = prepared(runs, continuous)
    before = learner.policy_state.parameters.clone()
    lanes = [Reference.of(learner, batch, r) for r in range(2)]
    betas = [reference_ppo(lane, run) for lane, run in zip(lanes, runs, strict=True)]
    with torch.no_grad():
        diagnostics = ppo.update(learner, batch, runs[0].algo, runs[0].recipe, values)
    assert (learner.policy_state.parameters - before).abs().amax(1).min() > 0.01
    assert_same_parameters(learner, lanes)
    assert learner.kl_beta.tolist() == pytest.approx(betas)
    expected_kl = [lane.mean_kl() for lane in lanes]
    assert diagnostics["kl"].tolist() == pytest.approx(expected_kl)
    if name == "early stop":
        assert diagnostics["policy_epochs"].tolist() == [1, EPOCHS]
    if name == "adaptive_kl":
        assert betas == [2.0, 0.5]


def reference_value_fit(lane: Reference, run: RunSettings) -> None:
    optimiser = torch.optim.Adam(
        lane.critic.parameters(), lr=run.algo.value_learning_rate, eps=run.recipe.adam_epsilon
    )
    for _ in range(run.algo.value_epochs):
        for samples in lane.minibatches(run.algo.value_minibatch_size):
            errors = [
                (lane.critic(lane.batch.observations[0, i])[0] - lane.batch.value_targets[0, i])
                ** 2
                for i in samples
            ]
            optimiser.zero_grad()
            (torch.stack(errors).sum() / len(samples)).backward()
            optimiser.step()


@pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "discrete"])
def test_vpg_update(continuous: bool) -> None:
    runs = two_runs("vpg", ["algo.learning_rate=0.03"], ["algo.value_learning_rate=0.01"], [])
    learner, batch, values = prepared(runs, continuous)
    lanes = [Reference.of(learner, batch, r) for r in range(2)]
    for lane, run in zip(lanes, runs, strict=True):
        options = {"lr": run.algo.learning_rate, "eps": run.recipe.adam_epsilon}
        optimiser = torch.optim.Adam(lane.policy_parameters(), **options)
        gains = [lane.log_ratio(i) * lane.batch.advantages[0, i] for i in range(SIZE)]
        (-torch.stack(gains).sum() / SIZE).backward()
        optimiser.step()
        reference_value_fit(lane, run)
    with torch.no_grad():
        vpg.update(learner, batch, runs[0].algo, runs[0].recipe, values)
    assert_same_parameters(learner, lanes)


def with_flat_policy(lane: Reference, learner: Learner, flat: Tensor) -> None:
    lane.actor = as_module(learner.policy.network, flat)
    if lane.log_std is not None:
        lane.log_std.data = flat[-learner.policy.num_actions :].clone()


def explicit_fisher(lane: Reference, rows: range) -> Tensor:
    """Mean over states of Σ_a π(a|s)·∇log π ∇log πᵀ (discrete), or JᵀΣ⁻¹J and 2 per log std."""
    parameters = lane.policy_parameters()

    def gradient(scalar: Tensor) -> Tensor:
        gradients = torch.autograd.grad(scalar, parameters, retain_graph=True, allow_unused=True)
        pairs = zip(gradients, parameters, strict=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in pairs]
        # A weight of torch.nn is outputs × inputs, ours inputs × outputs.
        return torch.cat([(g.t() if g.ndim == 2 else g).reshape(-1) for g in parts])

    size = sum(p.numel() for p in parameters)
    fisher = torch.zeros(size, size)
    for i in rows:
        new = lane.new(i)
        if lane.log_std is None:
            for action, probability in enumerate(new.probs.detach()):
                score = gradient(new.log_prob(torch.tensor(action)))
                fisher += probability * torch.outer(score, score) / len(rows)
        else:
            for a, mean in enumerate(new.mean):
                slope = gradient(mean)
                precision = (-2 * lane.log_std[a]).exp().detach()
                fisher += precision * torch.outer(slope, slope) / len(rows)
    if lane.log_std is not None:
        actions = lane.log_std.numel()
        fisher[-actions:, -actions:] += 2 * torch.eye(actions)
    return fisher


@dataclass
class NaturalStep:
    direction: Tensor
    full: Tensor
    backtracks: int


def reference_trpo(lane: Reference, learner: Learner, run: RunSettings) -> NaturalStep:
    """Appendix C of the TRPO paper with a dense Fisher matrix, solved exactly."""
    algo = run.algo
    fisher = explicit_fisher(lane, range(0, SIZE, algo.fisher_stride))
    damped = fisher + algo.damping * torch.eye(len(fisher))

    def objective() -> Tensor:
        gains = [lane.log_ratio(i).exp() * lane.batch.advantages[0, i] for i in range(SIZE)]
        return torch.stack(gains).sum() / SIZE

    before = objective()
    gradients = torch.autograd.grad(before, lane.policy_parameters())
    gradient = torch.cat([(g.t() if g.ndim == 2 else g).reshape(-1) for g in gradients])
    direction = torch.linalg.solve(damped, gradient)
    full = math.sqrt(2 * algo.max_kl / (direction @ damped @ direction)) * direction
    start = lane.flat_policy()
    for k in range(algo.max_backtracks):
        with_flat_policy(lane, learner, start + algo.backtrack_shrink**k * full)
        inside = lane.mean_kl() <= algo.accept_kl_factor * algo.max_kl
        if inside and objective() > before:
            return NaturalStep(direction, full, k)
    with_flat_policy(lane, learner, start)
    return NaturalStep(direction, full, algo.max_backtracks)


TRPO_CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "radius": (["algo.max_kl=0.001"], ["algo.max_kl=0.05"], []),
    "damping": (["algo.damping=0.01"], ["algo.damping=1.0"], []),
    "line search": (["algo.accept_kl_factor=0.03"], ["algo.accept_kl_factor=1e-9"], []),
    "Fisher on every third sample": ([], ["algo.max_kl=0.02"], ["algo.fisher_stride=3"]),
}


@pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "discrete"])
@pytest.mark.parametrize("name", TRPO_CASES)
def test_trpo_update(name: str, continuous: bool) -> None:
    first, second, both = TRPO_CASES[name]
    enough = ["algo.cg_iterations=300", "algo.cg_residual_tolerance=1e-26"]
    runs = two_runs("trpo", first, second, enough + both)
    learner = handmade_learner(2, continuous, observation_size=2, hidden_sizes=(3,))
    batch, values = handmade_batch(learner, SIZE), lane_values(runs, "cpu")
    start = learner.policy_state.parameters.clone()
    lanes = [Reference.of(learner, batch, r) for r in range(2)]
    steps = []
    for lane, run in zip(lanes, runs, strict=True):
        steps.append(reference_trpo(lane, learner, run))
        reference_value_fit(lane, run)
    with torch.no_grad():
        diagnostics = trpo.update(learner, batch, runs[0].algo, runs[0].recipe, values)
    assert diagnostics["backtracks"].tolist() == [step.backtracks for step in steps]
    assert_same_parameters(learner, lanes)
    moves = learner.policy_state.parameters - start
    for step, move, run in zip(steps, moves, runs, strict=True):
        if step.backtracks < run.algo.max_backtracks:
            cosine = torch.nn.functional.cosine_similarity(move, step.direction, 0)
            assert cosine.item() == pytest.approx(1.0, abs=1e-10)
        else:
            assert not move.any()
    if name == "line search":
        assert 0 < steps[0].backtracks < 10 == steps[1].backtracks
