"""Values that a recipe anneals and batches that it makes, against the closed forms."""

import pytest
import torch

from replicate.algorithms.learner import distribution_on, values_on
from replicate.engine.cohort import (
    Cohort,
    filter_kl,
    lane_values,
    make_batch,
    scheduled,
    update_of,
)
from replicate.engine.rollout import collect, observation_filter
from replicate.maths.lanes import take_lanes
from replicate.maths.returns import gae
from replicate.messages import ConfigError
from replicate.planning.composition import compose
from replicate.settings import Shared
from tests.conftest import runs_of


def epsilons(*overrides: str, fraction_left: float) -> list[float]:
    runs = compose("env=hopper", "algo.clip_epsilon=choice(0.3,0.2)", *overrides).runs
    values = scheduled(lane_values(runs, "cpu"), Shared(runs[0].recipe), fraction_left)
    return sorted(values["clip_epsilon"].tolist())


def test_epsilon_falls_to_its_end() -> None:
    """ε = end + (start − end)·(fraction left): each lane has its own."""
    falling = ("recipe.clip_epsilon_schedule=linear",)
    floor = (*falling, "recipe.clip_epsilon_end=0.1")
    assert epsilons(fraction_left=0.25) == pytest.approx([0.2, 0.3])
    assert epsilons(*falling, fraction_left=0.25) == pytest.approx([0.05, 0.075])
    assert epsilons(*floor, fraction_left=1.0) == pytest.approx([0.2, 0.3])
    assert epsilons(*floor, fraction_left=0.25) == pytest.approx([0.125, 0.15])


def test_without_a_clip_it_stays_without() -> None:
    run = compose("env=hopper", "algo.objective=none", "recipe=paper2017_august").runs[0]
    values = scheduled(lane_values([run], "cpu"), Shared(run.recipe), 0.5)
    assert values["clip_epsilon"].tolist() == [torch.inf]
    assert values["learning_rate"].tolist() == pytest.approx([1.5e-4])


def test_ppos_value_function_has_its_policys_step_size_or_one_of_its_own() -> None:
    """Both fall where step sizes fall; a change of the policy's is one of both."""
    own, change = "algo.value_learning_rate=1e-3", "change.algo.learning_rate=0.1"
    common = "env=hopper", "recipe=paper2017_august", "change.at_share=0.5"
    kinds = (["change.mass=2"], ["change.mass=2", own], [change], [change, own])
    runs = [compose(*common, *kind).runs[0] for kind in kinds]
    values = scheduled(lane_values(runs, "cpu"), Shared(runs[0].recipe), 0.5)
    assert values["learning_rate"].tolist() == pytest.approx([1.5e-4] * 4)
    assert values["value_learning_rate"].tolist() == pytest.approx([1.5e-4, 5e-4, 1.5e-4, 5e-4])
    changed = [run.lane_values(changed=True)["value_learning_rate"] for run in runs]
    assert changed == pytest.approx([3e-4, 1e-3, 0.1, 1e-3])


def test_an_end_without_effect_is_no_other_run() -> None:
    """The end of a schedule counts only where there is one."""

    def digest(*overrides: str) -> str:
        return compose("env=hopper", *overrides).runs[0].digest

    end = "recipe.clip_epsilon_end=0.05"
    assert digest(end) == digest()
    assert digest("recipe=paper2017_august", end) != digest("recipe=paper2017_august")
    unclipped = ("recipe=paper2017_august", "algo.objective=none")
    assert digest(*unclipped, end) == digest(*unclipped)


@pytest.mark.parametrize("kind", ["per_batch_before_update", "per_batch_after_update"])
def test_a_batch_of_2017_is_seen_under_the_filter_that_has_moved(kind: str) -> None:
    """Advantages and targets are of the rollout's filter; policy and old values of the new one."""
    given = ["env=hopper", "recipe=paper2017_july", f"recipe.observation_filter={kind}"]
    short = ["algo.num_steps=64", "algo.learning_rate=0.02", "total_env_steps=640"]
    cohort = Cohort(compose(*given, *short).runs)
    learner, filters, run = cohort.state.learner, cohort.state.filters, cohort.runs[0]
    recipe = Shared(run.recipe)
    with torch.no_grad():
        cohort.step()
        rollout = collect(learner, filters, cohort.state.envs, [0], 64, recipe)
        before = take_lanes(filters.observation_moments, torch.tensor([0]))
        batch = make_batch(rollout, learner, filters, lane_values([run], "cpu"), recipe)
        added = filter_kl(learner, rollout, batch, filters, recipe)

        raw = rollout.raw_observations.double()[0]
        count = before.count[0] + len(raw)
        mean = (before.total[0] + raw.sum(0)) / count
        variance = (before.total_square[0] + raw.square().sum(0)) / count - mean**2
        seen = ((raw - mean) / variance.clamp_min(0.01).sqrt()).clamp(-5, 5).float()[None]
        policy = distribution_on(learner.policy, learner.policy_state.parameters, seen)
        value = learner.value_function, learner.value_state.parameters
        old_values = values_on(*value, rollout.observations)
        targets = old_values + gae(
            rollout.rewards,
            old_values,
            values_on(*value, rollout.next_observations),
            rollout.ended,
            rollout.ended,
            torch.tensor([run.algo.gamma]),
            torch.tensor([run.algo.gae_lambda]),
        )
    moved = kind == "per_batch_before_update"
    near = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(batch.value_targets, targets, **near)
    torch.testing.assert_close(batch.observations, seen if moved else rollout.observations, **near)
    values = values_on(*value, seen) if moved else old_values
    torch.testing.assert_close(batch.old_values, values, **near)
    log_prob = (policy if moved else rollout.behaviour).log_prob(rollout.actions)
    torch.testing.assert_close(batch.old_log_prob, log_prob, rtol=0, atol=1e-4)
    assert added.item() == pytest.approx(rollout.behaviour.kl(policy).mean().item(), rel=1e-2)
    assert added.item() > 1e-4


def test_the_filter_ends_at_its_clip() -> None:
    cohort = Cohort(compose("env=hopper", "recipe=paper2017", "algo.num_steps=64").runs)
    cohort.step()
    see = observation_filter(
        cohort.state.filters.observation_moments, Shared(cohort.runs[0].recipe)
    )
    far = torch.full((1, 1, 11), 1e6)
    assert see(torch.cat([far, -far], 1)).tolist() == [[[5.0] * 11, [-5.0] * 11]]


@pytest.mark.parametrize("algo", ["trpo", "vpg"])
def test_a_key_that_the_algorithm_does_not_read_changes_no_number(algo: str) -> None:
    """``value_clip`` moves the old values of a batch, and the explained variance is of these."""
    rows = []
    for clips in ("false", "true"):
        cohort = Cohort(
            runs_of(
                *("env=hopper", f"algo={algo}", "recipe=paper2017", f"recipe.value_clip={clips}"),
                *("recipe.observation_filter=per_batch_before_update", "algo.num_steps=128"),
                *("total_env_steps=256", "algo.value_epochs=2"),
            )
        )
        cohort.train()
        rows.append(repr(cohort.records.lanes[0].updates))
    assert rows[0] == rows[1]


def test_an_algorithm_without_its_module_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^algo=sgd: no replicate\.algorithms\.sgd\.update \("):
        update_of("sgd")
    with pytest.raises(ConfigError, match=r"^algo=learner: no replicate"):
        update_of("learner")
