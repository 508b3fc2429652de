"""A batch is gymnasium's own environments, bit for bit."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.wrappers import TimeLimit, TransformReward

from replicate.envs import make_envs
from replicate.envs.comparison import first_difference
from replicate.envs.loop import EnvLoop
from replicate.envs.mujoco_batch import MujocoBatch
from replicate.envs.mujoco_tasks import TASKS, task_of
from replicate.envs.single import make_env
from replicate.settings import EnvSettings
from tests.conftest import runs_of

BATCHED = [
    *("half_cheetah", "hopper", "inverted_double_pendulum", "inverted_pendulum"),
    *("reacher", "swimmer", "walker2d"),
]
STEPS = 1200  # beyond the time limit of 1000
LANES = 3


def settings_of(env: str, *overrides: str) -> EnvSettings:
    (run,) = runs_of(f"env={env}", *overrides)
    return run.env


@pytest.fixture
def nothing_known() -> Iterator[None]:
    """Without MuJoCo's own handler, which writes a file."""
    mujoco.set_mju_user_warning(lambda _: None)
    yield
    mujoco.set_mju_user_warning(None)


def test_every_task_of_the_paper_steps_in_a_batch() -> None:
    envs = {env: make_env(settings_of(env)) for env in BATCHED}
    assert {type(env.unwrapped) for env in envs.values()} == set(TASKS)


@pytest.mark.parametrize("env", BATCHED)
def test_a_batch_gives_the_bits_of_gymnasiums_step(env: str) -> None:
    assert first_difference(settings_of(env), LANES, STEPS) is None


def test_any_number_of_threads_gives_the_same_bits() -> None:
    assert first_difference(settings_of("hopper"), 7, 300, threads=3) is None


@pytest.mark.parametrize(
    "change",
    [
        "env.kwargs.ctrl_cost_weight=0.5",
        "env.kwargs.forward_reward_weight=2.0",
        "env.kwargs.healthy_reward=3.0",
        "env.kwargs.terminate_when_unhealthy=false",
        "env.kwargs.frame_skip=2",
        "env.kwargs.max_episode_steps=20",
        "env.kwargs.reset_noise_scale=0.1",
    ],
)
def test_keyword_arguments_are_followed(change: str) -> None:
    assert first_difference(settings_of("walker2d", change), LANES, 60) is None


def test_a_wrong_reward_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("hopper")
    env_class = type(make_env(settings).unwrapped)
    task = TASKS[env_class]

    def altered(env: object, actions: object, before: object, after: object) -> object:
        observed, rewards, terminated = task.outcome(env, actions, before, after)
        return observed, np.nextafter(rewards, np.inf), terminated

    monkeypatch.setitem(TASKS, env_class, type(task)(altered, task.fields))
    difference = first_difference(settings, LANES, 5)
    assert difference is not None
    assert "other rewards" in difference and "step 0" in difference


def test_a_simulation_that_mujoco_resets_by_itself(nothing_known: None) -> None:
    settings = settings_of("hopper")
    env = make_env(settings)
    task = task_of(env, {})
    assert task is not None
    batch, single = MujocoBatch(env, task, [0, 1]), make_env(settings)
    loop = EnvLoop([make_env(settings), single], [0, 1])
    for envs in (batch, loop):
        envs.reset()
    single.unwrapped.data.qvel[:] = 1e11
    batch._fields["qvel"][1] = 1e11
    actions = np.full((2, 3), 0.3, np.float32)
    for _ in range(5):
        differences = []
        for envs in (batch, loop):
            arrays = np.empty(2), np.empty((2, 11)), np.empty(2, np.bool_), np.empty(2, np.bool_)
            envs.step([0, 1], 0, actions, *arrays)
            differences.append([array.tobytes() for array in arrays])
        assert differences[0] == differences[1]


@pytest.mark.parametrize("env", ["ant", "humanoid", "bipedal_walker"])
def test_other_environments_step_through_gymnasium(env: str) -> None:
    envs = make_envs(settings_of(env), [0])
    assert isinstance(envs, EnvLoop)
    envs.close()


@pytest.mark.parametrize("kwargs", [{"exclude_current_positions_from_observation": False}])
def test_what_the_table_does_not_cover_steps_through_gymnasium(kwargs: dict[str, bool]) -> None:
    assert isinstance(make_envs(EnvSettings(id="Hopper-v5", kwargs=kwargs), [0]), EnvLoop)


def halved(**kwargs: Any) -> gymnasium.Env:
    """HalfCheetah with half the reward."""
    return TransformReward(HalfCheetahEnv(**kwargs), lambda reward: reward / 2)


@pytest.mark.parametrize(
    ("entry_point", "kwargs"),
    [
        (halved, {}),
        (HalfCheetahEnv, {"exclude_current_positions_from_observation": False}),
        (lambda: HalfCheetahEnv(exclude_current_positions_from_observation=False), {}),
        (lambda: TimeLimit(HalfCheetahEnv(), 200), {}),
    ],
)
def test_a_task_that_was_registered_as_another_steps_through_gymnasium(
    entry_point: Any, kwargs: dict[str, Any]
) -> None:
    gymnasium.register("Own-v0", entry_point, max_episode_steps=1000, kwargs=kwargs)
    try:
        envs = make_envs(EnvSettings(id="Own-v0", kwargs={}), [0])
    finally:
        gymnasium.registry.pop("Own-v0")
    assert isinstance(envs, EnvLoop)
    envs.close()


def test_half_cheetahs_message_reaches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_env(settings_of("half_cheetah")).close()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_other_messages_of_mujoco_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gymnasium.make

    def talkative(*arguments: object, **options: object) -> gymnasium.Env:
        tell = mujoco.get_mju_user_warning()
        tell("something new")
        return made(*arguments, **options)

    monkeypatch.setattr(gymnasium, "make", talkative)
    with pytest.warns(RuntimeWarning, match="something new"):
        make_env(settings_of("half_cheetah")).close()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        make_env(settings_of("half_cheetah")).close()
    assert [str(warning.message) for warning in heard] == ["MuJoCo: something new"]
