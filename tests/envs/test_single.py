"""Environments of one's own: what is refused, and what is done with actions."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from numpy.typing import NDArray

from replicate.__main__ import main
from replicate.engine.cohort import Cohort
from replicate.envs import check_env
from replicate.messages import ConfigError
from replicate.settings import EnvSettings
from tests.conftest import runs_of
from tests.toy_envs import Step

VECTOR = np.zeros(3, np.float32)


class Own(gymnasium.Env):
    """Three numbers, two actions; episodes of four steps."""

    observation_space = Box(-1.0, 1.0, (3,), np.float32)
    action_space: Any = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, target: Any = None) -> None:
        self.target = target

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.taken: list[Any] = []
        return VECTOR, {}

    def step(self, action: Any) -> Step:
        self.taken.append(action)
        return VECTOR, 1.0, len(self.taken) == 4, False, {}


class OldReset(Own):
    def reset(self) -> Any:
        return VECTOR


class ResetWithoutInfo(Own):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset()
        return VECTOR


class OldStep(Own):
    def step(self, action: Any) -> Any:
        return VECTOR, 1.0, False, {}


class OtherShape(Own):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset()
        return np.zeros(1, np.float32), {}


class OtherShapeLater(Own):
    def step(self, action: Any) -> Any:
        return np.zeros((3, 1), np.float32), 1.0, False, False, {}


class RewardInAList(Own):
    def step(self, action: Any) -> Any:
        return VECTOR, np.ones(1), False, False, {}


class Fails(Own):
    def step(self, action: Any) -> Any:
        raise RuntimeError("no road here\nand more")


class Image(Own):
    observation_space = Box(0, 255, (8, 8), np.uint8)  # type: ignore[assignment]


class Parts(Own):
    observation_space = Dict({"a": Box(-1.0, 1.0, (3,), np.float32)})  # type: ignore[assignment]


class Choices(Own):
    action_space = MultiDiscrete([2, 3])


class Matrix(Own):
    action_space = Box(-1.0, 1.0, (2, 2), np.float32)


REFUSED = {
    OldReset: "reset(seed=0) fails: ",
    ResetWithoutInfo: "reset(seed=0) gives ndarray, not a tuple of 2",
    OldStep: "step(action) gives 4 values, not a tuple of 5",
    OtherShape: "reset gives an observation of shape (1,), and observation_space is of shape (3,)",
    OtherShapeLater: "step gives an observation of shape (3, 1)",
    RewardInAList: "step gives array([1.]) as a reward, no number",
    Fails: "step(action) fails: no road here",
    Image: "vectors are needed",
    Parts: "vectors are needed",
    Choices: "a vector or a choice is needed",
    Matrix: "a vector or a choice is needed",
}


class InPlace(Own):
    """Makes the actions it is given its own."""

    def step(self, action: NDArray[np.float32]) -> Step:
        action *= 0.1
        return super().step(action)


class FromFive(Own):
    action_space = Discrete(3, start=5)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    classes = [Own, InPlace, FromFive, *REFUSED]
    for made in classes:
        gymnasium.register(f"{made.__name__}-v0", entry_point=made)
    yield
    for made in classes:
        gymnasium.registry.pop(f"{made.__name__}-v0")


def settings(made: type[Own], **kwargs: Any) -> EnvSettings:
    return EnvSettings(id=f"{made.__name__}-v0", kwargs=kwargs)


@pytest.mark.parametrize("limit", [{}, {"max_episode_steps": 9}])
@pytest.mark.parametrize("made", REFUSED)
def test_what_cannot_be_trained_on_is_refused_in_one_line(
    made: type[Own], limit: dict[str, int]
) -> None:
    with pytest.raises(ConfigError) as raised:
        check_env(settings(made, **limit))
    line = str(raised.value)
    assert re.match(f"env[.](id|kwargs): {made.__name__}-v0(, made with {{.*}})?: ", line)
    assert "\n" not in line
    if not limit:  # gymnasium's time limit takes the step apart before we see it
        assert REFUSED[made] in line


def test_the_command_line_says_so(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env=hopper", "env.id=OldReset-v0", f"out={tmp_path / 'runs'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: env.id: OldReset-v0: reset(seed=0) fails: ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("made", [Own, InPlace, FromFive])
def test_what_is_not_refused_trains(made: type[Own]) -> None:
    check_env(settings(made))
    cohort = Cohort(own_runs(made))
    cohort.train()
    assert [len(lane.episodes) for lane in cohort.records.lanes] == [32, 32]


def own_runs(made: type[Own]) -> Any:
    short = ["algo.num_steps=64", "total_env_steps=128", "seed=range(0,2)"]
    return runs_of("env=hopper", f"env.id={made.__name__}-v0", *short)


def test_a_module_that_registers_an_environment_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "corridors.py"
    file.write_text(
        "import gymnasium\nfrom tests.envs.test_single import Own\n"
        "gymnasium.register('Corridor-v0', entry_point=Own)\n"
    )
    command = ["env.id=corridors:Corridor-v0", "total_env_steps=2048", f"out={tmp_path}/runs"]
    shell = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}."}
    arguments = [sys.executable, "-m", "replicate", *command]
    done = subprocess.run(arguments, env=shell, capture_output=True, text=True, check=True)
    assert "/corridors_corridor_v0-ppo-s0-" in done.stdout


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("no_such_module:Corridor-v0", "no_such_module: No module named 'no_such_module'"),
        ("tests.toy_envs:TwoArmedBandt-v0", "unknown environment 'TwoArmedBandt-v0'; did you"),
    ],
)
def test_a_module_without_the_environment_is_one_line(env_id: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^env\.id: [^\n]*{re.escape(message)}[^\n]*$"):
        check_env(EnvSettings(id=env_id, kwargs={}))


def test_arguments_that_no_run_can_record_are_refused_before_training() -> None:
    gymnasium.register("Arrays-v0", Own, kwargs={"target": np.zeros(2)})
    try:
        with pytest.raises(ConfigError, match=r"^env\.id: Arrays-v0: [^\n]* cannot record"):
            check_env(EnvSettings(id="Arrays-v0", kwargs={}))
    finally:
        gymnasium.registry.pop("Arrays-v0")


def test_an_action_changed_in_place_is_the_environments_own_affair() -> None:
    """The recipe does not clip actions, so that no copy was made of them."""
    records = []
    for made in (Own, InPlace):
        cohort = Cohort(own_runs(made))
        assert not cohort.runs[0].recipe.clip_actions
        cohort.train()
        records.append([(lane.episodes, lane.updates) for lane in cohort.records.lanes])
    assert repr(records[0]) == repr(records[1])


def test_discrete_actions_begin_where_their_space_does(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    step = FromFive.step
    monkeypatch.setattr(FromFive, "step", lambda self, a: (taken.append(a), step(self, a))[1])
    Cohort(own_runs(FromFive)).train()
    assert set(taken) == {5, 6, 7}
