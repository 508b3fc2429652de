"""Changes in mid-run: other physics, other values, and what is to stay as it was."""

from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from replicate.engine.cohort import Cohort
from replicate.envs import episode_seed, make_envs
from replicate.envs.single import change_physics, make_env
from replicate.messages import ConfigError
from replicate.planning.composition import compose
from replicate.settings import ChangeSettings, RunSettings

SHORT = ("algo.num_steps=32", "algo.minibatch_size=16", "total_env_steps=128", "env=hopper")


def runs(*overrides: str) -> list[RunSettings]:
    return compose(*SHORT, *overrides).runs


def updates(cohort: Cohort, lane: int = 0) -> list[dict[str, float]]:
    return cohort.train().lanes[lane].updates


def test_before_the_change_all_is_as_without_one() -> None:
    plain = updates(Cohort(runs()))
    changed = updates(Cohort(runs("change.at_share=0.5", "change.gravity=2.0")))
    assert plain[:2] == changed[:2] and plain[2] != changed[2]


def test_values_change_for_as_many_updates_as_are_named() -> None:
    given = ("change.at_share=0.6", "change.algo.clip_epsilon=0.5", "change.updates=1")
    assert [row["clip_epsilon"] for row in updates(Cohort(runs(*given)))] == pytest.approx(
        [0.2, 0.2, 0.5, 0.2]
    )
    assert [row["clip_epsilon"] for row in updates(Cohort(runs(*given[:2])))] == pytest.approx(
        [0.2, 0.2, 0.5, 0.5]
    )


def test_lanes_of_a_cohort_may_change_differently() -> None:
    both = runs("change.at_share=0.5", "change.algo.clip_epsilon=0.05,0.5")
    assert len({run.cohort_key() for run in both}) == 1
    together = Cohort(both).train()
    for run, lane in zip(both, together.lanes, strict=True):
        assert lane.updates == Cohort([run]).train().lanes[0].updates


@pytest.mark.parametrize("env", ["hopper", "ant"])
def test_new_episodes_begin_in_the_new_physics(env: str) -> None:
    """Step for step what gymnasium does with such a model; Ant steps through gymnasium itself."""
    settings = compose(f"env={env}").runs[0].env
    change = ChangeSettings(at_share=0.5, gravity=0.5, friction=2.0, mass=1.5)
    envs = make_envs(settings, [7])
    envs.change_physics(change)
    envs.reset()
    own: Any = make_env(settings)
    model = own.unwrapped.model
    factors = {"geom_friction": 2.0, "body_mass": 1.5, "body_inertia": 1.5}
    derived = ["body_subtreemass", "dof_invweight0"]  # by mj_setConst, of masses and inertias
    before = {name: getattr(model, name).copy() for name in [*factors, *derived]}
    gravity = model.opt.gravity.copy()
    change_physics(own, change)
    np.testing.assert_array_equal(gravity * 0.5, model.opt.gravity)
    for name, factor in factors.items():
        np.testing.assert_array_equal(before[name] * factor, getattr(model, name))
    after = {name: getattr(model, name).copy() for name in derived}
    for name in derived:
        assert not np.array_equal(before[name], after[name])
    observation, _ = own.reset(seed=episode_seed(7, 0))
    generator = np.random.default_rng(0)
    for step in range(20):
        np.testing.assert_array_equal(envs.observations[0], observation.astype(np.float32))
        action = generator.uniform(-1, 1, (1, envs.spec.num_actions)).astype(np.float32)
        rewards, flags = np.empty(1), np.zeros((2, 1), np.bool_)
        envs.step([0], step, action, rewards, np.empty((1, len(observation))), *flags)
        observation, reward, terminated, *_ = own.step(action[0])
        assert rewards[0] == reward and flags[0, 0] == terminated
        if terminated:
            break
    mujoco.mj_setConst(model, own.unwrapped.data)  # was done: it changes nothing any more
    for name in derived:
        np.testing.assert_array_equal(after[name], getattr(model, name))
    envs.close()
    own.close()


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_it_goes_on_to_the_same_end_from_before_and_after(stop: int) -> None:
    given = runs("change.at_share=0.5", "change.mass=1.5", "algo.clip_epsilon=0.1,0.2")
    whole = Cohort(given).train()
    first = Cohort(given)
    for _ in range(stop):
        first.step()
    state = first.state.tensors()
    rest = Cohort(given)
    rest.restore(state)
    ends = rest.train()
    for lane, end in zip(whole.lanes, ends.lanes, strict=True):
        assert lane.updates[stop:] == end.updates
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_an_episode_that_the_change_cuts_is_no_episode() -> None:
    cohort = Cohort(runs("change.at_share=0.5", "change.gravity=1.5"))
    for _ in range(3):
        cohort.step()
    lengths = sum(row["episodic_length"] for row in cohort.records.lanes[0].episodes)
    assert lengths < 96 - len(cohort.state.envs.actions_of(0))


def test_other_values_cut_no_episode() -> None:
    cohort = Cohort(runs("change.at_share=0.5", "change.algo.clip_epsilon=0.5"))
    for _ in range(3):
        cohort.step()
    lengths = sum(row["episodic_length"] for row in cohort.records.lanes[0].episodes)
    assert lengths == 96 - len(cohort.state.envs.actions_of(0))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["change.gravity=2.0"], "change.at_share: missing"),
        (["change.at_share=1.0"], "less than 1"),
        (["change.at_share=0.5", "change.gravity=0.0"], "at least 1e-30"),
        (["change.at_share=0.5", "change.algo.clip=1"], "did you mean 'clip_epsilon'"),
        (["change.at_share=0.5", "change.algo.clip_epsilon=0.0"], "at least 1e-30"),
        (["change.at_share=0.5", "change.updates=0"], "at least 1"),
        (["change.at_share=0.5"], "nothing changes there"),
        (["change.at_share=0.5", "change.gravity=2.0", "change.updates=3"], "it has none"),
        (["change.at_shar=0.5"], "did you mean 'change.at_share'"),
    ],
)
def test_what_cannot_be_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        runs(*overrides)
    assert "\n" not in str(error.value)


def test_only_mujoco_has_gravity() -> None:
    with pytest.raises(ConfigError, match="no task of MuJoCo"):
        Cohort(runs("env=cart_pole", "change.at_share=0.5", "change.gravity=2.0"))


def test_without_a_change_the_identity_is_the_old_one() -> None:
    (plain,) = runs()
    assert "change" not in plain.canonical()
    (other,) = runs("change.at_share=0.5", "change.gravity=2.0")
    assert other.digest != plain.digest
