"""Bugs that other libraries shipped, one section each; the numbers are issues or pull requests."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as reference

from replicate.algorithms import ppo, trpo
from replicate.algorithms.learner import Batch, Lanewise, Learner, measured_kl, values_on
from replicate.engine import cohort as train
from replicate.engine.cohort import Cohort, lane_values, make_batch, update_algorithm
from replicate.engine.rollout import Rollout, collect
from replicate.maths.diagnostics import kl_k1, kl_k3
from replicate.maths.distributions import Categorical, DiagonalGaussian, Distribution
from replicate.maths.lanes import take_lanes
from replicate.maths.objectives import clipped_surrogate
from replicate.maths.returns import gae
from replicate.messages import ConfigError
from replicate.settings import PPOSettings, RunSettings
from tests import toy_envs
from tests.conftest import runs_of
from tests.handmade import handmade_batch, handmade_learner, normal

assert toy_envs.TOYS  # registered

SIZE = 48
SPACES = {True: "TargetMatching-v0", False: "TwoArmedBandit-v0"}
CONTINUOUS = pytest.mark.parametrize("continuous", [True, False], ids=["continuous", "discrete"])


pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def _float32(float64: None) -> None:
    """As in training, for tests whose answer does not depend on precision."""
    torch.set_default_dtype(torch.float32)


SINGLE = pytest.mark.usefixtures("_float32")


def toy_run(
    env: str, algo: str, *overrides: str, steps: int = SIZE, updates: int = 4
) -> RunSettings:
    minibatch = "minibatch_size" if algo == "ppo" else "value_minibatch_size"
    (run,) = runs_of(
        "env=cart_pole",
        f"env.id={env}",
        f"algo={algo}",
        f"algo.num_steps={steps}",
        f"algo.{minibatch}={max(2, steps // 4)}",
        "algo.hidden_sizes=[8]",
        # A solved bandit has equal advantages, and 0/0 is not what is tested here.
        "recipe.advantage_epsilon=1e-8",
        f"total_env_steps={steps * updates}",
        *overrides,
    )
    return run


def handmade_case(
    algo: str, continuous: bool, *overrides: str
) -> tuple[Learner, Batch, Lanewise, RunSettings]:
    """One lane with random networks and a random batch; sizes as in the run's settings."""
    run = toy_run(SPACES[continuous], algo, *overrides)
    learner = handmade_learner(1, continuous)
    return learner, handmade_batch(learner, SIZE), lane_values([run], "cpu"), run


def updated(algo: str, continuous: bool, *overrides: str) -> tuple[Tensor, Tensor, Lanewise]:
    """Policy parameters before and after one update of a hand-made case, and its diagnostics."""
    learner, batch, values, run = handmade_case(algo, continuous, *overrides)
    before = learner.policy_state.parameters.clone()
    with torch.no_grad():
        diagnostics = update_algorithm(learner, batch, run, values)
    return before, learner.policy_state.parameters, diagnostics


def as_torch(distribution: Distribution) -> reference.Distribution:
    if isinstance(distribution, Categorical):
        return reference.Categorical(logits=distribution.logits.clone())
    std = distribution.log_std.exp().expand_as(distribution.mean)
    return reference.Independent(reference.Normal(distribution.mean.clone(), std.clone()), 1)


@dataclass
class Seen:
    """One update as it happened inside a cohort, with copies of what may be changed in place."""

    before: Tensor
    after: Tensor
    value_before: Tensor
    value_after: Tensor
    old_to_new: float
    new_to_old: float
    old_moved: bool
    diagnostics: Lanewise


def watched(run: RunSettings, monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Train; every update is measured by torch.distributions from copies of what it was given."""
    seen: list[Seen] = []
    inner = train.update_algorithm

    def spy(learner: Learner, batch: Batch, run: RunSettings, lane: Lanewise) -> Lanewise:
        before = learner.policy_state.parameters.clone()
        value_before = learner.value_state.parameters.clone()
        old = as_torch(batch.old)
        kept = [p.clone() for p in batch.old.parameters]
        diagnostics = inner(learner, batch, run, lane)
        after = learner.policy_state.parameters
        new = as_torch(learner.policy.forward(after, batch.observations)[0])
        seen.append(
            Seen(
                before,
                after.clone(),
                value_before,
                learner.value_state.parameters.clone(),
                reference.kl_divergence(old, new).mean().item(),
                reference.kl_divergence(new, old).mean().item(),
                not all(map(torch.equal, kept, batch.old.parameters)),
                diagnostics,
            )
        )
        return diagnostics

    monkeypatch.setattr(train, "update_algorithm", spy)
    Cohort([run]).train()
    return seen


# 1 -----------------------------------------------------------------------------------------


@CONTINUOUS
def test_the_step_of_the_line_search_is_the_one_applied(continuous: bool) -> None:
    """Line search computed, full step applied anyway: wojzaremba/trpo#1, modular_rl#4, #7."""
    before, whole, _ = updated("trpo", continuous, "algo.accept_kl_factor=1e6")
    _, shrunk, diagnostics = updated("trpo", continuous, "algo.accept_kl_factor=0.1")
    backtracks = int(diagnostics["backtracks"].item())
    assert 0 < backtracks < 10
    assert diagnostics["step_accepted"].item() == 1
    torch.testing.assert_close(shrunk - before, 0.8**backtracks * (whole - before))


# 2 -----------------------------------------------------------------------------------------


@CONTINUOUS
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_kl_stays_inside_the_region_or_nothing_moves(
    continuous: bool, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance ignores the KL constraint: modular_rl#29, wojzaremba/trpo#2."""
    overrides = ["algo.max_kl=0.3", "algo.damping=0.001", f"algo.accept_kl_factor={factor}"]
    run = toy_run(SPACES[continuous], "trpo", *overrides, updates=12)
    seen = watched(run, monkeypatch)
    assert len(seen) == 12
    assert any(update.diagnostics["backtracks"].item() > 0 for update in seen)
    for update in seen:
        moved = not torch.equal(update.before, update.after)
        assert moved == bool(update.diagnostics["step_accepted"].item())
        assert update.old_to_new <= factor * 0.3 + 1e-9


# 3 -----------------------------------------------------------------------------------------


@CONTINUOUS
def test_failed_line_search_leaves_the_parameters_bit_for_bit(
    continuous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed line search leaves the last trial in place: tianshou#1287."""
    run = toy_run(SPACES[continuous], "trpo", "algo.accept_kl_factor=1e-12")
    for update in watched(run, monkeypatch):
        assert update.diagnostics["step_accepted"].item() == 0
        assert update.diagnostics["backtracks"].item() == run.algo.max_backtracks
        assert torch.equal(update.before, update.after)
        assert update.diagnostics["kl"].item() == pytest.approx(0, abs=1e-15)
        assert not torch.equal(update.value_before, update.value_after)


# 4 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
def test_log_std_is_part_of_the_vector_and_is_learnt(
    algo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-std missing from the policy vector: baselines#262."""
    run = toy_run(SPACES[True], algo, updates=2)
    state = Cohort([run]).state
    weights = 2 * 8 + 8 + 8 * 2 + 2
    assert state.learner.policy.num_parameters == weights + 2
    assert state.learner.policy_state.parameters.shape == (1, weights + 2)
    for update in watched(run, monkeypatch):
        assert (update.after - update.before)[:, -2:].abs().min() > 0


# 5 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
@pytest.mark.parametrize("normalization", ["batch", "minibatch", "none"])
def test_normalised_advantages_are_the_ones_used(
    algo: str, normalization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Normalised advantages computed but not used: baselines#64.

    A constant added to every advantage changes nothing but the values' targets.
    """
    setting = f"recipe.advantage_normalization={normalization}"
    run = toy_run(SPACES[True], algo, setting, updates=1)
    (plain,) = watched(run, monkeypatch)
    monkeypatch.undo()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(train, "gae", lambda *arguments: gae(*arguments) + 5.0)
    (shifted,) = watched(run, monkeypatch)
    assert not torch.equal(plain.before, plain.after)
    difference = (plain.after - shifted.after).abs().max()
    assert difference > 1e-4 if normalization == "none" else difference < 1e-9
    assert not torch.equal(plain.value_after, shifted.value_after)


# 6 -----------------------------------------------------------------------------------------


@CONTINUOUS
@pytest.mark.parametrize("stride", [1, 3])
def test_fisher_product_is_symmetric_positive_and_the_hessian_of_the_kl(
    continuous: bool, stride: int
) -> None:
    """KL Hessian of a distribution with itself, wrong graph: sb3-contrib#38, deep_rl#5."""
    learner = handmade_learner(1, continuous, observation_size=2, hidden_sizes=(3,))
    policy, parameters = learner.policy, learner.policy_state.parameters
    observations = normal(1, 10, 2, seed=7)
    damping = torch.tensor([0.0])
    product = trpo.fisher_product(policy, parameters, observations, stride, damping)
    size = policy.num_parameters
    matrix = torch.cat([product(row[None]) for row in torch.eye(size)])
    torch.testing.assert_close(matrix, matrix.t())
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12
    network = policy.network
    chosen = observations[0, ::stride]

    def distribution(flat: Tensor) -> reference.Distribution:
        (first, first_bias, second, second_bias, *log_std) = flat.split(
            [6, 3, 3 * network.sizes[-1], network.sizes[-1]] + [2] * continuous
        )
        hidden = (chosen @ first.view(2, 3) + first_bias).tanh()
        outputs = hidden @ second.view(3, -1) + second_bias
        if not continuous:
            return reference.Categorical(logits=outputs)
        return reference.Independent(reference.Normal(outputs, log_std[0].exp()), 1)

    old = distribution(parameters[0])
    for direction in (1, -1):

        def mean_kl(flat: Tensor, direction: int = direction) -> Tensor:
            pair = (old, distribution(flat))[::direction]
            return reference.kl_divergence(*pair).mean()

        hessian = torch.autograd.functional.hessian(mean_kl, parameters[0])
        torch.testing.assert_close(matrix, hessian, rtol=1e-7, atol=1e-9)
    damped = trpo.fisher_product(policy, parameters, observations, stride, torch.tensor([0.3]))
    vector = normal(1, size, seed=8)
    torch.testing.assert_close(damped(vector), product(vector) + 0.3 * vector)


# 7 -----------------------------------------------------------------------------------------


@CONTINUOUS
def test_kl_is_measured_from_old_to_new_in_both_action_spaces(continuous: bool) -> None:
    """KL direction differs from the paper, or between action spaces: spinningup#192."""
    huge = ["algo.max_kl=0.1", "algo.damping=0.1", "algo.max_backtracks=1"]
    learner, batch, values, run = handmade_case("trpo", continuous, *huge)
    values["accept_kl_factor"] = torch.tensor([math.inf])
    old = as_torch(batch.old)
    with torch.no_grad():
        diagnostics = update_algorithm(learner, batch, run, values)
    assert diagnostics["step_accepted"].item() == 1
    new = as_torch(learner.policy.forward(learner.policy_state.parameters, batch.observations)[0])
    forward = reference.kl_divergence(old, new).mean().item()
    backward = reference.kl_divergence(new, old).mean().item()
    assert abs(forward - backward) > 1e-3 * forward
    assert diagnostics["kl"].item() == pytest.approx(forward)
    # A limit between the two tells them apart.
    accepted = f"algo.accept_kl_factor={0.5 * (forward + backward) / 0.1}"
    _, _, diagnostics = updated("trpo", continuous, *huge, accepted)
    assert diagnostics["step_accepted"].item() == float(forward < backward)


@CONTINUOUS
@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
def test_old_policy_stands_still_and_the_recorded_kl_is_true(
    algo: str, continuous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A π_old that shares memory with the parameters follows them; its KL forgets the log std."""
    rates = [] if algo == "trpo" else ["algo.learning_rate=0.02"]
    extra = ["algo.objective=fixed_kl"] if algo == "ppo" else []
    for update in watched(toy_run(SPACES[continuous], algo, *rates, *extra), monkeypatch):
        assert not update.old_moved
        assert update.old_to_new > 1e-6
        assert update.diagnostics["kl"].item() == pytest.approx(update.old_to_new, rel=1e-6)


# 8 -----------------------------------------------------------------------------------------


@CONTINUOUS
def test_entropy_bonus_raises_the_entropy(continuous: bool) -> None:
    diagnostics = [
        updated("ppo", continuous, f"algo.entropy_coefficient={c}", "algo.learning_rate=1e-3")[2]
        for c in (0.0, 5.0)
    ]
    assert diagnostics[1]["entropy"].item() > diagnostics[0]["entropy"].item() + 1e-3


# 9 -----------------------------------------------------------------------------------------


@CONTINUOUS
def test_policy_and_value_parameters_are_apart(
    continuous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Critic parameters recognised by name: sb3-contrib trpo.py."""
    learner = Cohort([toy_run(SPACES[continuous], "trpo")]).state.learner
    tensors = [learner.policy_state.parameters, learner.value_state.parameters]
    assert len({t.untyped_storage().data_ptr() for t in tensors}) == 2
    assert tensors[1].shape[1] == learner.value_function.network.num_parameters
    for update in watched(toy_run(SPACES[continuous], "trpo", "algo.value_epochs=0"), monkeypatch):
        assert torch.equal(update.value_before, update.value_after)
        assert not torch.equal(update.before, update.after)


@CONTINUOUS
def test_value_loss_does_not_reach_the_policy(continuous: bool) -> None:
    diagnostics = [
        updated("ppo", continuous, f"algo.value_coefficient={c}")[1] for c in (0.0, 0.5, 100.0)
    ]
    assert torch.equal(diagnostics[0], diagnostics[1])
    assert torch.equal(diagnostics[0], diagnostics[2])


# 10 ----------------------------------------------------------------------------------------


def test_k1_may_be_negative_where_k3_and_the_exact_kl_are_not() -> None:
    """k1 goes negative, early stop never fires: spinningup#137, SB3#417, #419."""
    learner = handmade_learner(1, continuous=True)
    batch = handmade_batch(learner, SIZE)
    moved = DiagonalGaussian(batch.old.mean + 1.0, batch.old.log_std)
    batch.actions = batch.old.mean + 0.9
    batch.old_log_prob = batch.old.log_prob(batch.actions)
    log_ratio = moved.log_prob(batch.actions) - batch.old_log_prob
    diagnostics = {name: measured_kl(moved, batch, name).item() for name in ("k1", "k3", "exact")}
    assert diagnostics["k1"] == pytest.approx(kl_k1(log_ratio).item())
    assert diagnostics["k3"] == pytest.approx(kl_k3(log_ratio).item())
    assert diagnostics["k1"] < 0 < diagnostics["k3"]
    expected = 0.5 * (2 * batch.old.log_std).neg().exp().sum().item()
    assert diagnostics["exact"] == pytest.approx(expected)


@pytest.mark.parametrize(("estimator", "epochs"), [("k1", 10), ("k3", 1), ("exact", 1)])
@pytest.mark.parametrize("check", ["batch_each_epoch", "last_minibatch_each_epoch"])
def test_early_stop_fires_by_estimators_that_cannot_be_negative(
    estimator: str, epochs: int, check: str
) -> None:
    """Every sampled action grows more likely, so k1 stays negative however far the policy goes."""
    learner, batch, values, run = handmade_case(
        "ppo",
        True,
        "algo.target_kl=1e-6",
        "algo.learning_rate=1e-3",
        "recipe.advantage_normalization=none",
        f"algo.target_kl_estimator={estimator}",
        f"algo.target_kl_check={check}",
    )
    batch.advantages = torch.ones_like(batch.advantages)
    # The actions lie close together, off the mean: one step makes all of them more likely.
    batch.actions = batch.old.mean + 0.7 * batch.old.log_std.exp()
    batch.old_log_prob = batch.old.log_prob(batch.actions)
    with torch.no_grad():
        diagnostics = update_algorithm(learner, batch, run, values)
    assert diagnostics["policy_epochs"].item() == epochs


# 11 ----------------------------------------------------------------------------------------

ENDLESS = [
    "recipe=modern",
    "recipe.observation_filter=none",
    "recipe.reward_scaling=false",
    "recipe.learning_rate_schedule=constant",
    "env.kwargs.max_episode_steps=6",
    "algo.gamma=0.9",
]


@SINGLE
@pytest.mark.parametrize("bootstrap", [True, False])
def test_value_of_endless_reward_is_the_geometric_series_only_with_a_bootstrap(
    bootstrap: bool,
) -> None:
    """Time limit treated as terminal: cleanrl#198, PettingZoo#1126, skrl#224, #449, Stoix#147."""
    run = toy_run(
        "EndlessReward-v0",
        "vpg",
        *ENDLESS,
        f"recipe.bootstrap_truncated={str(bootstrap).lower()}",
        "algo.value_learning_rate=0.02",
        "algo.learning_rate=1e-9",
        steps=60,
        updates=60,
    )
    cohort = Cohort([run])
    cohort.train()
    learner = cohort.state.learner
    value, _ = learner.value_function.forward(learner.value_state.parameters, torch.ones(1, 1, 1))
    if bootstrap:
        assert value.item() == pytest.approx(1 / (1 - 0.9), rel=0.01)
    else:
        assert 2 < value.item() < sum(0.9**k for k in range(6)) + 0.1


# 12 ----------------------------------------------------------------------------------------


def rollout_of(run: RunSettings) -> tuple[Cohort, Rollout]:
    cohort = Cohort([run])
    state = cohort.state
    with torch.no_grad():
        rollout = collect(
            state.learner, state.filters, state.envs, [0], run.algo.num_steps, run.recipe
        )
    return cohort, rollout


PLAIN = ["recipe.observation_filter=none", "recipe.bootstrap_truncated=true"]


@SINGLE
def test_true_last_observation_reaches_the_return() -> None:
    """Bootstrapping from the pre-transition or post-reset observation: EmbodiChain#610, #612."""
    overrides = [*PLAIN, "env.kwargs.max_episode_steps=3", "algo.gae_lambda=0.0"]
    overrides += ["recipe.advantage_normalization=none"]
    run = toy_run("Counter-v0", "vpg", *overrides, steps=8)
    cohort, rollout = rollout_of(run)
    assert rollout.observations.flatten().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert rollout.next_observations.flatten().tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert rollout.ended.flatten().tolist() == [False, False, True] * 2 + [False, False]
    assert not rollout.terminated.any()
    learner, filters = cohort.state.learner, cohort.state.filters
    with torch.no_grad():
        batch = make_batch(rollout, learner, filters, cohort.lane_values, run.recipe)
    states = torch.arange(4.0).view(1, 4, 1)
    value = values_on(learner.value_function, learner.value_state.parameters, states)[0].tolist()
    counts = [0, 1, 2, 0, 1, 2, 0, 1]
    expected = [(n + 1) ** 2 + 0.99 * value[n + 1] - value[n] for n in counts]
    assert batch.advantages[0].tolist() == pytest.approx(expected, rel=1e-5)


@SINGLE
def test_true_last_observation_is_filtered_like_the_others() -> None:
    """Of a filter that moves at every step; of one that waits see tests/engine/test_rollout.py."""
    limits = ["recipe.observation_filter=per_step", "env.kwargs.max_episode_steps=3"]
    run = toy_run("Counter-v0", "vpg", *limits, "recipe.observation_clip=1e6", steps=6)
    _, rollout = rollout_of(run)
    seen, following = rollout.observations.flatten(), rollout.next_observations.flatten()
    assert torch.equal(seen[[1, 2, 4, 5]], following[[0, 1, 3, 4]])
    # The count at the end exceeds the one before it; that of the reset state is the smallest.
    assert following[2] > seen[2]
    assert following[2] > seen[3]


# 13 ----------------------------------------------------------------------------------------


@SINGLE
@pytest.mark.parametrize("limit", ["env.kwargs.max_episode_steps=2", "env.kwargs.length=2"])
def test_advantages_do_not_leak_from_one_episode_into_the_one_before(limit: str) -> None:
    """Advantages leak over episode boundaries when truncated: skrl#449.

    Two episodes of two steps, rewards 1 and 4 each, computed by hand.
    """
    plain = [*PLAIN, "recipe.advantage_normalization=none", "algo.gamma=0.5"]
    run = toy_run("Counter-v0", "vpg", limit, *plain, "algo.gae_lambda=0.8", steps=4)
    cohort, rollout = rollout_of(run)
    learner, filters = cohort.state.learner, cohort.state.filters
    with torch.no_grad():
        batch = make_batch(rollout, learner, filters, cohort.lane_values, run.recipe)
    states = torch.arange(3.0).view(1, 3, 1)
    v0, v1, v2 = values_on(learner.value_function, learner.value_state.parameters, states)[
        0
    ].tolist()
    beyond = 0.0 if "length" in limit else v2
    second = 4 + 0.5 * beyond - v1
    first = 1 + 0.5 * v1 - v0 + 0.5 * 0.8 * second
    assert batch.advantages[0].tolist() == pytest.approx([first, second] * 2, rel=1e-5)
    assert batch.value_targets[0].tolist() == pytest.approx([first + v0, second + v1] * 2, rel=1e-5)


# 14 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algo", "key"),
    [("ppo", "minibatch_size"), ("vpg", "value_minibatch_size"), ("trpo", "value_minibatch_size")],
)
def test_minibatch_of_one_is_a_config_error(algo: str, key: str) -> None:
    """Minibatch of one, standard deviation NaN: SB3#325, #440."""
    with pytest.raises(ConfigError, match=rf"algo\.{key}.*at least 2"):
        runs_of(f"algo={algo}", f"algo.{key}=1")


@pytest.mark.parametrize("algo", ["ppo", "vpg", "trpo"])
def test_batch_of_one_is_a_config_error(algo: str) -> None:
    with pytest.raises(ConfigError, match=r"algo\.num_steps.*at least 2"):
        runs_of(f"algo={algo}", "algo.num_steps=1")


def test_smallest_minibatch_allowed_is_finite() -> None:
    before, after, diagnostics = updated("ppo", True, "recipe=modern", "algo.minibatch_size=2")
    assert not torch.equal(before, after)
    assert after.isfinite().all()
    assert diagnostics["gradient_norm"].isfinite().all()


# 15 ----------------------------------------------------------------------------------------


def test_objectives_are_maximised_and_losses_minimised() -> None:
    """Sign of the loss confuses readers: baselines#1156, ray#37334, tensorforce#106."""
    learner = handmade_learner(1, continuous=True)
    batch = handmade_batch(learner, 4)
    batch.advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0]])
    ratio = torch.tensor([[1.1, 1.5, 0.9, 0.5]])
    objective = clipped_surrogate(ratio, batch.advantages, torch.tensor([0.2]))
    assert objective[0].tolist() == pytest.approx([2.2, 2.4, -1.8, -1.6])
    log_prob = ratio.log() + batch.old_log_prob
    algo = runs_of("algo=ppo")[0].algo
    assert isinstance(algo, PPOSettings)
    slope = ppo.policy_loss_slope(log_prob, batch, torch.tensor([0.2]), algo)
    assert slope[0].tolist() == pytest.approx([-2.2 / 4, 0.0, 1.8 / 4, 0.0])


@CONTINUOUS
@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
def test_actions_with_positive_advantage_become_more_likely(algo: str, continuous: bool) -> None:
    learner, batch, values, run = handmade_case(
        algo, continuous, "recipe.advantage_normalization=none"
    )
    with torch.no_grad():
        update_algorithm(learner, batch, run, values)
        new, _ = learner.policy.forward(learner.policy_state.parameters, batch.observations)
        ratio = (new.log_prob(batch.actions) - batch.old_log_prob).exp()
    assert (ratio * batch.advantages).mean() > batch.advantages.mean() + 1e-5


# 16 ----------------------------------------------------------------------------------------


def next_actions(cohort: Cohort) -> tuple[Tensor, Tensor]:
    """Actions and filtered observations of the steps that would follow."""
    state, run = cohort.state, cohort.runs[0]
    lanes = list(range(len(cohort.runs)))
    with torch.no_grad():
        rollout = collect(state.learner, state.filters, state.envs, lanes, 16, run.recipe)
    return rollout.actions, rollout.observations


def check_restored(env: str, recipe: str, lanes: int) -> None:
    """Identical actions after a round trip; other observations with everything but the filter."""
    run = toy_run(env, "ppo", f"recipe={recipe}", "algo.learning_rate=0.01")
    runs = [run.model_copy(update={"seed": seed}) for seed in range(lanes)]
    trained = Cohort(runs)
    trained.step()
    trained.step()
    saved = trained.state.tensors()
    restored, without_filter = Cohort(runs), Cohort(runs)
    restored.state.restore(saved)
    fresh = without_filter.state.tensors()
    kept = {name: fresh[name] if name.startswith("filters") else saved[name] for name in saved}
    without_filter.state.restore(kept)
    for name, tensor in restored.state.tensors().items():
        assert torch.equal(tensor, saved[name]), name
    expected, seen = next_actions(trained)
    actions, observations = next_actions(restored)
    assert torch.equal(observations, seen)
    assert torch.equal(actions, expected)
    _, unfiltered = next_actions(without_filter)
    assert not torch.equal(unfiltered, seen)


@SINGLE
@pytest.mark.parametrize("env", ["TargetMatching-v0", "Counter-v0"])
@pytest.mark.parametrize("recipe", ["modern", "paper2017"])
def test_restored_state_gives_identical_actions(env: str, recipe: str) -> None:
    """Evaluation under un-normalised or re-estimated observations: cleanrl#532."""
    check_restored(env, recipe, lanes=1)


@SINGLE
@pytest.mark.parametrize("kind", ["none", "per_batch_before_update", "per_batch_after_update"])
def test_collecting_leaves_the_statistics_of_a_batch_filter_frozen(kind: str) -> None:
    run = toy_run("Counter-v0", "ppo", f"recipe.observation_filter={kind}")
    cohort = Cohort([run])
    cohort.step()
    filters = cohort.state.filters
    before = take_lanes(filters, torch.tensor([0]))
    next_actions(cohort)
    for name in ("count", "total", "total_square"):
        kept = getattr(before.observation_moments, name)
        assert torch.equal(getattr(filters.observation_moments, name), kept)
    assert np.isfinite(before.observation_moments.total.numpy()).all()
