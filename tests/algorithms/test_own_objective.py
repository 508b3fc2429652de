"""An objective of one's own is right, or refused in one line before the first step."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from replicate import settings
from replicate.__main__ import main
from replicate.algorithms import own_objective
from replicate.algorithms.own_objective import check_objective, slope_in_log_ratio
from replicate.engine.cohort import Cohort
from replicate.maths.objectives import (
    SURROGATES,
    Surrogate,
    clipped_surrogate,
    clipped_surrogate_slope,
    surrogate,
)
from replicate.messages import ConfigError
from tests.conftest import runs_of


@pytest.fixture(autouse=True)
def _no_objective_stays() -> Iterator[None]:
    yield
    SURROGATES.pop("mine", None)


def refusal(objective: Surrogate) -> str:
    SURROGATES["mine"] = objective
    with pytest.raises(ConfigError) as refused:
        check_objective("mine")
    text = str(refused.value)
    assert text.startswith("algo.objective=mine: ") and "\n" not in text
    return text


def rollback(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
    """The README's."""
    epsilon = clip_epsilon[:, None]
    plain = surrogate(ratio, advantages)
    clipped = surrogate(torch.clamp(ratio, 1 - epsilon, 1 + epsilon), advantages)
    return torch.minimum(plain, 1.3 * clipped - 0.3 * plain)


def per_lane_baseline(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
    """Reduces a lane's own samples, which is allowed."""
    return ratio * (advantages - advantages.mean(1, keepdim=True)) + 0 * clip_epsilon[:, None]


@pytest.mark.parametrize("objective", [clipped_surrogate, rollback])
def test_a_right_one_passes(objective: Surrogate) -> None:
    SURROGATES["mine"] = objective
    check_objective("mine")


def test_one_that_reduces_a_lanes_own_samples_passes() -> None:
    SURROGATES["mine"] = per_lane_baseline
    check_objective("mine")


def test_it_trains_as_the_built_in_clip_if_it_is_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SURROGATES, "spo", clipped_surrogate)
    short = "algo.learning_rate=0.02", "algo.num_steps=64", "total_env_steps=192"
    own, built_in = (
        Cohort(runs_of("env=hopper", f"algo.objective={name}", *short)).train().lanes[0].updates
        for name in ("spo", "clip")
    )
    assert own == built_in and built_in[0]["clip_fraction"] > 0


def test_those_of_the_suite_are_all_that_settings_name() -> None:
    """A name that is only in settings would train the plain clip."""
    known = {*own_objective.BUILT_IN, *SURROGATES}
    assert known == set(settings.Objective.__args__)  # type: ignore[attr-defined]
    for name in known:
        check_objective(name)


def test_what_leaves_out_bad_actions_or_is_small_passes() -> None:
    for objective in (lambda r, a, e: r * a.relu(), lambda r, a, e: 1e-6 * r * (a + a.abs())):
        SURROGATES["mine"] = objective
        check_objective("mine")


def test_a_ratio_that_is_infinite_has_no_slope_where_it_is_clipped() -> None:
    """log r = 100: 0 where the clip is flat, as by hand; not finite where nothing bounds it."""
    log_ratio, advantages = torch.tensor([[100.0, 100.0, 0.0]]), torch.tensor([[1.0, -1.0, 2.0]])
    epsilon = torch.tensor([0.2])
    own = slope_in_log_ratio(clipped_surrogate, log_ratio, advantages, epsilon)
    by_hand = clipped_surrogate_slope(log_ratio.exp(), advantages, epsilon)
    assert own.tolist() == by_hand.tolist() == [[0.0, -math.inf, 2.0]]


def test_a_choice_that_is_not_registered_does_not_train_the_clip() -> None:
    with pytest.raises(ConfigError, match=r"algo\.objective=mine: a choice without a function"):
        check_objective("mine")


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (lambda r, a, e: (r * a).mean(), "returned shape []"),
        (lambda r, a, e: (r * a).mean(1), "returned shape [3]"),
        (lambda r, a, e: (r * a).T, "returned shape [64, 3]"),
        (lambda r, a, e: (r * a).sum(1, keepdim=True), "returned shape [3, 1]"),
        (lambda r, a, e: (r * a).double(), "returned torch.float64"),
        (lambda r, a, e: 1.0, "returned a float, not a tensor"),
        (lambda r, a, e: None, "returned a NoneType"),
        (lambda r, a, e: (r - 2).log() * a, "not finite"),
        (lambda r, a, e: r * a - (r * a).mean(), "mixes lanes: the value of lane 0"),
        (lambda r, a, e: r * a * (e / e.max())[:, None], "mixes lanes"),
        (lambda r, a, e: r * a * (r.detach() / r.mean()), "mixes lanes"),
        (lambda r, a, e: r * (a.mul_(2)), "changes its argument advantages"),
        (lambda r, a, e: r.clamp_(0.8, 1.2) * a, "changes its argument ratio"),
        (lambda r, a, e: r * a + e.add_(1)[:, None], "changes its argument clip_epsilon"),
        (lambda r, a, e: r.detach() * a, "autograd sees"),
        (lambda r, a, e: a + 0 * e[:, None], "autograd sees"),
        (lambda r, a, e: (r - 1).abs().sqrt() * a, "gradient in the ratio that is not finite"),
        (lambda r, a, e: -torch.minimum(r * a, r.clamp(0.8, 1.2) * a), "better actions"),
        (lambda r, a, e: r + 0 * a, "better actions"),
        (lambda r, a, e: 0.3 * r - a, "better actions"),
        (lambda r, a, e: r @ a, "raised RuntimeError: "),
        (lambda r, a: r * a, "raised TypeError: "),
        (lambda r, a, e: {}["no"], "raised KeyError: 'no' ("),
    ],
)
def test_a_wrong_one_is_refused(objective: Surrogate, says: str) -> None:
    text = refusal(objective)
    assert says in text and "<lambda>" in text


def test_a_gradient_that_mixes_lanes_behind_right_values_is_refused() -> None:
    def sneaky(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
        shared = ratio.mean().square()
        return ratio * advantages + shared - shared.detach()

    assert "the gradient of lane 0 is another" in refusal(sneaky)


def test_the_place_of_an_exception_is_named() -> None:
    def broken(ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor) -> Tensor:
        raise ValueError("first line\nsecond line")

    assert "raised ValueError: first line (" in refusal(broken)
    assert Path(__file__).name in refusal(broken)


def test_on_the_command_line_it_is_one_line_and_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(own_objective.SURROGATES, "none", lambda r, a, e: (r * a).mean(1))
    for module in (own_objective, settings):
        monkeypatch.setattr(module, "BUILT_IN", ("clip",))
    code = main(["algo=ppo", "algo.objective=none", "env=cart_pole", f"out={tmp_path}"])
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [
        "error: algo.objective=none: <lambda> returned shape [3] for ratios [3, 64] (lanes, "
        "samples); it must return a number for each sample"
    ]
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_made_up_batch_has_a_ratio_of_one_and_both_signs() -> None:
    log_ratio, advantages, epsilon = own_objective._made_up()
    assert (log_ratio == 0).any(1).all() and len(epsilon.unique()) == 3
    for lane in advantages:
        assert (lane > 0).any() and (lane < 0).any()
    assert torch.equal(own_objective._made_up()[0], log_ratio)
