"""What a recipe anneals: values of an update against the closed form."""

import pytest
import torch

from replicate.engine.cohort import lane_values, scheduled
from replicate.planning.composition import compose
from replicate.settings import Shared


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


def test_an_end_without_effect_is_no_other_run() -> None:
    """The end of a schedule counts only where there is one."""

    def digest(*overrides: str) -> str:
        return compose("env=hopper", *overrides).runs[0].digest

    end = "recipe.clip_epsilon_end=0.05"
    assert digest(end) == digest()
    assert digest("recipe=paper2017_august", end) != digest("recipe=paper2017_august")
    unclipped = ("recipe=paper2017_august", "algo.objective=none")
    assert digest(*unclipped, end) == digest(*unclipped)
