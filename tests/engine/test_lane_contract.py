"""The lane contract: a lane depends on its own settings and seed alone, bit for bit.

Every algorithm under every recipe, continuous and discrete, with hyper-parameters that differ
between lanes, network widths that are no multiple of anything, and one-column value heads.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from replicate.engine.cohort import Cohort, LaneRecords
from replicate.engine.state import CohortState
from replicate.maths.diagnostics import explained_variance
from replicate.settings import RunSettings
from tests import toy_envs
from tests.conftest import runs_of

assert toy_envs.TOYS  # registered

RECIPES = ("paper2017", "paper2017_july", "paper2017_august", "modern")
COHORTS_OF_THEIR_OWN = {
    "spo": "algo.objective=spo",
    "max": "algo.bound=max",
    "clipped": "algo.bound=clipped",
}
"""Options of ppo that no two lanes of a cohort may differ in."""
SMALL = ("algo.num_steps=128", "total_env_steps=384")


def lanes_of(env: str, algo: str, recipe: str, count: int) -> list[RunSettings]:
    """``count`` lanes that differ in seed and in kind: a method's options, with and without."""
    base = [f"env={env}", f"recipe={recipe}", *SMALL]
    if algo in COHORTS_OF_THEIR_OWN:
        base += ["algo=ppo", COHORTS_OF_THEIR_OWN[algo], "algo.update_epochs=2"]
        kinds = [["algo.clip_epsilon=0.1"], ["algo.clip_epsilon=0.3", "algo.learning_rate=1e-3"]]
    elif algo == "ppo":
        base += ["algo=ppo", "algo.update_epochs=2"]
        kinds = [
            ["algo.clip_epsilon=0.1"],
            ["algo.clip_epsilon=0.3", "algo.learning_rate=1e-3"],
            ["algo.objective=none"],
            ["algo.objective=fixed_kl", "algo.kl_beta=3"],
            ["algo.objective=adaptive_kl", "algo.kl_target=0.003"],
            ["algo.entropy_coefficient=0.01", "algo.value_learning_rate=3e-3"],
            ["algo.target_kl=0.003"],
            ["recipe.max_gradient_norm=0.3"],
        ]
    elif algo == "vpg":
        base += ["algo=vpg", "algo.value_epochs=2"]
        kinds = [["algo.learning_rate=3e-4"], ["algo.learning_rate=3e-2"]]
    else:
        base += ["algo=trpo", "algo.value_epochs=2"]
        kinds = [["algo.max_kl=0.01"], ["algo.max_kl=0.1", "algo.damping=0.01"]]
    return [
        run for i in range(count) for run in runs_of(*base, *kinds[i % len(kinds)], f"seed={i}")
    ]


def trained(runs: list[RunSettings]) -> tuple[CohortState, list[LaneRecords]]:
    cohort = Cohort(runs)
    cohort.train()
    return cohort.state, cohort.records.lanes


def lane(state: CohortState, index: int) -> dict[str, Tensor]:
    """Every tensor of one lane, generators and environment included."""
    results = {}
    for name, tensor in state.tensors().items():
        if name.startswith("actions."):
            if name == f"actions.{index}":
                results["actions"] = tensor
        elif name != "update":
            results[name] = tensor[index]
    return results


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """Names of what differs, in any bit (NaN equals NaN)."""
    assert a.keys() == b.keys()
    return [
        name
        for name in a
        if (a[name].shape, a[name].dtype, bits(a[name]))
        != (b[name].shape, b[name].dtype, bits(b[name]))
    ]


def same_records(a: LaneRecords, b: LaneRecords) -> bool:
    """Equal rows, NaN included."""

    def plain(records: LaneRecords) -> Any:
        return repr((records.episodes, records.updates, records.diverged_at_env_step))

    return bool(plain(a) == plain(b))


CASES = [
    *(("hopper", algo, recipe) for algo in ("ppo", "trpo", "vpg") for recipe in RECIPES),
    *(("hopper", algo, "modern") for algo in COHORTS_OF_THEIR_OWN),
    ("cart_pole", "ppo", "modern"),
    ("cart_pole", "trpo", "paper2017"),
    ("cart_pole", "vpg", "modern"),
    ("lunar_lander", "ppo", "paper2017"),
    ("inverted_pendulum", "trpo", "modern"),
]


@pytest.mark.parametrize(("env", "algo", "recipe"), CASES)
def test_a_lane_of_a_cohort_equals_the_run_alone(env: str, algo: str, recipe: str) -> None:
    runs = lanes_of(env, algo, recipe, 33)
    state, records = trained(runs)
    for index in (*range(8 if algo == "ppo" else 2), 16, 32):
        alone, alone_records = trained([runs[index]])
        assert same(lane(state, index), lane(alone, 0)) == []
        assert same_records(records[index], alone_records[0])


@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
def test_the_order_of_lanes_changes_nothing(algo: str) -> None:
    runs = lanes_of("hopper", algo, "modern", 7)
    order = [4, 0, 6, 2, 5, 1, 3]
    state, records = trained(runs)
    permuted, permuted_records = trained([runs[i] for i in order])
    for place, index in enumerate(order):
        assert same(lane(state, index), lane(permuted, place)) == []
        assert same_records(records[index], permuted_records[place])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 34])
def test_cohorts_of_odd_sizes(size: int) -> None:
    odd = {"hidden_sizes": (7, 13), "num_steps": 90, "minibatch_size": 15}
    runs = [
        run.model_copy(update={"algo": run.algo.model_copy(update=odd), "total_env_steps": 270})
        for run in lanes_of("hopper", "ppo", "paper2017", size)
    ]
    state, _ = trained(runs)
    alone, _ = trained([runs[-1]])
    assert same(lane(state, size - 1), lane(alone, 0)) == []


@pytest.mark.parametrize("env", ["hopper", "cart_pole"])
@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
@pytest.mark.parametrize("recipe", ["paper2017", "modern"])
def test_a_lane_forced_to_nan_ends_as_diverged_and_changes_no_other(
    algo: str, recipe: str, env: str
) -> None:
    runs = lanes_of(env, algo, recipe, 4)
    healthy, healthy_records = trained(runs)
    cohort = Cohort(runs)
    cohort.step()
    cohort.state.learner.policy_state.parameters[1] = math.nan
    episodes_before = list(cohort.records.lanes[1].episodes)
    cohort.train()
    records = cohort.records.lanes
    assert records[1].diverged_at_env_step == 128
    assert records[1].episodes == episodes_before
    assert cohort.state.alive.tolist() == [True, False, True, True]
    for index in (0, 2, 3):
        assert records[index].diverged_at_env_step is None
        assert same(lane(cohort.state, index), lane(healthy, index)) == []
        assert same_records(records[index], healthy_records[index])


def test_a_diverged_lane_stops_costing() -> None:
    cohort = Cohort(lanes_of("hopper", "ppo", "modern", 3))
    cohort.state.learner.policy_state.parameters[1] = math.nan
    cohort.step()
    envs = cohort.state.envs
    episode, actions = envs.episodes[1], len(envs.actions_of(1))
    cohort.step()
    assert (envs.episodes[1], len(envs.actions_of(1))) == (episode, actions)
    assert len(cohort.records.lanes[1].updates) == 1
    assert len(cohort.records.lanes[0].updates) == 2


def test_all_lanes_diverged_ends_the_cohort() -> None:
    cohort = Cohort(lanes_of("hopper", "ppo", "modern", 2))
    cohort.state.learner.policy_state.parameters[:] = math.nan
    cohort.train()
    assert cohort.state.update == 1
    assert [r.diverged_at_env_step for r in cohort.records.lanes] == [0, 0]


def test_a_value_function_forced_to_nan_diverges_at_the_end_of_the_update() -> None:
    cohort = Cohort(lanes_of("hopper", "vpg", "paper2017", 2))
    cohort.state.learner.value_state.parameters[0] = math.nan
    cohort.train()
    assert cohort.records.lanes[0].diverged_at_env_step == 128
    assert cohort.records.lanes[1].diverged_at_env_step is None


@pytest.mark.parametrize(
    ("reward", "at"),
    [
        ("-inf", 3 * 5 + 2),  # the third step of the fourth episode, counted from 0
        ("nan", 3 * 5 + 2),
        ("3e38", 3 * 5 + 4),  # its last: the sum is more than float32 holds
    ],
)
def test_a_return_that_cannot_be_recorded_is_where_the_lane_diverged(reward: str, at: int) -> None:
    """Naive policy gradient with a step size of 1e22 has returns of −∞ on Reacher."""
    windfall = ["env.id=Windfall-v0", f"env.kwargs.reward='{reward}'"]
    (run,) = runs_of("env=cart_pole", "algo=vpg", *SMALL, *windfall)
    _, (records,) = trained([run])
    assert records.diverged_at_env_step == at and len(records.updates) == 1
    assert [episode["episodic_return"] for episode in records.episodes] == [5.0] * 3


STOP_CHECKS = ["batch_each_epoch", "last_minibatch_each_epoch", "each_minibatch"]


STOPS = [
    *(("exact", check, stops) for check in STOP_CHECKS for stops in ("policy", "policy_and_value")),
    ("k1", "each_minibatch", "policy"),
    ("k3", "each_minibatch", "policy_and_value"),
]


@pytest.mark.parametrize(("estimator", "check", "stops"), STOPS)
def test_early_stopping_is_lane_wise(estimator: str, check: str, stops: str) -> None:
    base = ["env=hopper", "recipe=modern", *SMALL, f"algo.target_kl_check={check}"]
    base += [f"algo.target_kl_stops={stops}", f"algo.target_kl_estimator={estimator}"]
    strict = [*base, "algo.learning_rate=3e-3", "algo.target_kl=0.001"]
    never = [*base, "algo.learning_rate=1e-3", "algo.target_kl=1000"]
    runs = [*runs_of(*strict, "seed=range(0,3)"), *runs_of(*never, "seed=range(0,3)")]
    state, records = trained(runs)
    for index in (0, 2, 3, 5):
        alone, alone_records = trained([runs[index]])
        assert same(lane(state, index), lane(alone, 0)) == []
        assert same_records(records[index], alone_records[0])
    assert all(u["policy_epochs"] < 10 for r in records[:3] for u in r.updates)
    assert all(u["policy_epochs"] == 10 for r in records[3:] for u in r.updates)


def test_threads_of_the_physics_change_no_bit() -> None:
    runs = lanes_of("hopper", "ppo", "modern", 5)
    one, three = Cohort(runs, threads=1), Cohort(runs, threads=3)
    for cohort in (one, three):
        cohort.train()
    assert all(same(lane(one.state, i), lane(three.state, i)) == [] for i in range(5))
    for ours, theirs in zip(one.records.lanes, three.records.lanes, strict=True):
        assert same_records(ours, theirs)


def test_explained_variance_far_from_zero_is_that_of_the_lane_alone() -> None:
    """Value targets of a nearly solved task: torch's variance of a single row rounds otherwise."""
    generator = torch.Generator().manual_seed(0)
    values = 1000 + torch.randn(200, 2048, generator=generator)
    predictions = values + torch.randn(200, 2048, generator=generator)
    explained = explained_variance(predictions, values)
    for row in range(len(values)):
        here = slice(row, row + 1)
        assert torch.equal(explained_variance(predictions[here], values[here]), explained[here])
