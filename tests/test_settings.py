"""Identity of a run: what changes its digest and what does not."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from replicate.messages import ConfigError
from replicate.planning.cohorts import cohorts, missing
from replicate.planning.composition import compose
from replicate.planning.studies import StudySettings
from replicate.settings import (
    ALGORITHMS,
    ChangeSettings,
    Shared,
    ValueFit,
    lane_keys,
    validated,
)
from replicate.store.checkpoints import cohort_name
from tests.conftest import runs_of


def digest(*overrides: str) -> str:
    (run,) = runs_of(*overrides)
    return run.digest


def test_labels_and_folders_are_no_part_of_the_identity() -> None:
    assert digest("recipe.name=mine") == digest()
    assert digest("out=elsewhere", "device=cuda") == digest()
    assert digest("algo.clip_epsilon=0.20") == digest("algo.clip_epsilon=2e-1")


@pytest.mark.parametrize(
    ("without_effect", "base"),
    [
        ("algo.kl_beta=7", "algo.objective=clip"),
        ("algo.clip_epsilon=0.3", "algo.objective=none"),
        ("algo.kl_target=0.03", "algo.objective=fixed_kl"),
        ("algo.target_kl_factor=2", "algo.target_kl=null"),
        ("algo.value_learning_rate=1e-3", "algo.learning_rate=1e-3"),
        ("total_env_steps=999424", "total_env_steps=1000000"),
        ("algo.bound=max", "algo.objective=none"),
        ("recipe.value_clip=true", "algo=trpo"),
        ("recipe.max_gradient_norm=0.5", "algo=vpg"),
        ("recipe.reward_clip=5", "recipe.reward_scaling=false"),
        ("recipe.advantage_std=sample", "recipe.advantage_normalization=none"),
        ("recipe.observation_clip=3", "recipe.observation_filter=none"),
    ],
)
def test_keys_without_effect_are_no_part_of_the_identity(without_effect: str, base: str) -> None:
    assert digest(base, without_effect) == digest(base)


@pytest.mark.parametrize(
    ("changed", "base"),
    [
        ("seed=1", "seed=0"),
        ("algo.clip_epsilon=0.3", "algo.objective=clip"),
        ("algo.kl_beta=7", "algo.objective=adaptive_kl"),
        ("algo.target_kl_factor=2", "algo.target_kl=0.01"),
        ("algo.value_learning_rate=1e-3", "algo.learning_rate=3e-4"),
        ("recipe.clip_actions=true", "recipe=paper2017"),
        ("env=walker2d", "env=hopper"),
        ("algo.bound=max", "algo.bound=min"),
        ("recipe.observation_prior_count=1", "recipe.reward_scaling=true"),
        ("recipe.value_clip=true", "algo.objective=none"),
    ],
)
def test_what_changes_a_run_changes_its_digest(changed: str, base: str) -> None:
    overrides = [changed] if base.split("=")[0] == changed.split("=")[0] else [base, changed]
    assert digest(*overrides) != digest(base)


def test_a_key_that_has_an_effect_after_a_change_is_part_of_the_identity() -> None:
    stops = "algo.target_kl=null", "change.at_share=0.5", "change.algo.target_kl=0.01"
    assert digest(*stops, "algo.target_kl_factor=2") != digest(*stops, "algo.target_kl_factor=1")
    rate = "algo.learning_rate=1e-3", "change.at_share=0.5", "change.algo.learning_rate=0.1"
    assert digest(*rate, "algo.value_learning_rate=1e-3") != digest(*rate)
    later = "algo.learning_rate=1e-3", "change.at_share=0.5", "change.algo.value_learning_rate=0.1"
    assert digest(*later, "algo.value_learning_rate=1e-3") == digest(*later)
    back = "algo.learning_rate=1e-3", "change.at_share=0.5", "change.algo.value_learning_rate=1e-3"
    assert digest(*back, "algo.value_learning_rate=0.1") != digest(*back)
    other = "algo.target_kl=null", "change.at_share=0.5", "change.algo.clip_epsilon=0.1"
    assert digest(*other, "algo.target_kl_factor=2") == digest(*other, "algo.target_kl_factor=1")


class SGDSettings(ValueFit):
    """An algorithm of one's own."""

    name: Literal["sgd"]


class SharedSize(ValueFit):
    """One whose lanes share the value function's step size."""

    value_learning_rate: float


def test_an_algorithm_of_ones_own_may_read_every_key() -> None:
    (run,) = runs_of("algo=vpg")
    values = {k: v for k, v in run.algo.model_dump().items() if k in SGDSettings.model_fields}
    assert SGDSettings(**{**values, "name": "sgd"}).without_effect() == ([], [])
    # One that lanes share is no lane value, and counts all the same.
    assert not run.model_copy(update={"algo": SharedSize(**values)})._has_one_step_size
    assert {"max_gradient_norm", "value_clip"} <= set(run.algo.without_effect()[1])


@pytest.mark.parametrize(
    ("base", "key"),
    [("algo.objective=none", "clip_epsilon"), ("algo.objective=fixed_kl", "kl_target")],
)
def test_a_change_of_what_makes_no_difference_is_refused(base: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"change.algo.{key}: [^\n]* makes no use of it$"):
        runs_of(base, "change.at_share=0.5", f"change.algo.{key}=0.1")


@pytest.mark.parametrize("updates", [100, 300, 700])
def test_a_share_of_the_updates_is_not_cut_by_rounding(updates: int) -> None:
    for before in range(updates):
        change = ChangeSettings(at_share=before / updates, mass=2.0)
        assert change.first_update(updates) == before
    assert ChangeSettings(at_share=0.29, mass=2.0).first_update(updates) == 29 * updates // 100


def test_an_id_with_a_namespace_makes_no_folder() -> None:
    (run,) = runs_of("env=hopper", "env.id=my-suite/Corridor-v0")
    assert run.run_id.startswith("my_suite_corridor_v0-ppo-s0-")
    assert cohort_name([run]).startswith("my_suite_corridor_v0_ppo_")


def test_digests_stay_what_they_were() -> None:
    """Stored results are found by digest: a changed value here orphans all of them."""
    assert digest("env=hopper", "algo=ppo", "recipe=paper2017")[:12] == "8fd7aa3b8492"
    assert digest("env=hopper", "algo=trpo", "recipe=modern")[:12] == "34f2f03762fa"
    assert digest("env=hopper", "algo=vpg", "recipe=modern")[:12] == "37719451799b"


def test_table_1_is_one_cohort() -> None:
    clip = runs_of("algo.clip_epsilon=0.1,0.2,0.3", "seed=range(0,3)")
    none = runs_of("algo.objective=none", "seed=range(0,3)")
    fixed = runs_of("algo.objective=fixed_kl", "algo.kl_beta=0.3,1,3,10", "seed=range(0,3)")
    adaptive = runs_of(
        "algo.objective=adaptive_kl", "algo.kl_target=0.003,0.01,0.03", "seed=range(0,3)"
    )
    groups = cohorts([*clip, *none, *fixed, *adaptive])
    assert [len(group) for group in groups] == [33]


def test_cohorts_are_split_evenly_and_by_shape() -> None:
    runs = [*runs_of("seed=range(0,70)"), *runs_of("algo=trpo", "seed=range(0,2)")]
    assert [len(group) for group in cohorts(runs)] == [24, 23, 23, 2]
    assert [run for group in cohorts(runs) for run in group] == runs


@pytest.mark.parametrize("variant", ["ppo", "trpo"])
def test_a_variant_may_have_the_name_of_an_algorithm(variant: str) -> None:
    data = {
        **{"title": "t", "question": "q", "figures": [], "tables": [], "envs": ["hopper"]},
        **{"name": "n", "overrides": [], "variants": {variant: {"lable": "l", "overrides": []}}},
    }
    with pytest.raises(ConfigError, match=rf"^variants\.{variant}\.lable: unknown key"):
        validated(StudySettings, data)


def test_a_list_is_no_argument_of_an_environment() -> None:
    with pytest.raises(ConfigError, match=r"^env\.kwargs\.healthy_z_range: \[0.8, 2.0\] is not "):
        compose("env=hopper", "+env.kwargs.healthy_z_range=[0.8,2.0]")


def test_seeds_beyond_31_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="less than"):
        runs_of(f"seed={2**31}")


def test_composing_needs_no_torch() -> None:
    program = "import sys, replicate.planning.composition; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_run_that_two_variants_share_is_trained_once(tmp_path: Path) -> None:
    twice = [*runs_of("algo.objective=none"), *runs_of("algo.objective=none", "algo.kl_beta=7")]
    assert len(missing(twice, tmp_path)) == 1


def test_what_lanes_share_has_no_lane_wise_key_and_lane_values_have_them_all() -> None:
    for algo in ALGORITHMS:
        (run,) = runs_of(f"algo={algo}")
        handed = {*lane_keys(type(run.algo)), *lane_keys(type(run.recipe))}
        # β changes in training, the objective is told by ε, β and d_targ.
        assert set(run.lane_values()) == handed - {"kl_beta", "objective"}
        for section in (run.algo, run.recipe):
            for key in type(section).model_fields:
                if key in handed:
                    with pytest.raises(AttributeError, match="differ between lanes"):
                        getattr(Shared(section), key)
                else:
                    assert getattr(Shared(section), key) == getattr(section, key)


def test_off_is_a_number_in_a_lane() -> None:
    clip, none = runs_of("algo.objective=clip,none")
    assert clip.lane_values()["clip_epsilon"] == 0.2
    assert none.lane_values()["clip_epsilon"] == math.inf
    assert clip.lane_values()["target_kl"] == math.inf
    assert math.isnan(clip.lane_values()["kl_target"])
