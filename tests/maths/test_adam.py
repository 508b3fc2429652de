"""Lane-wise Adam against torch.optim.Adam, one optimiser per lane."""

import pytest
import torch
from torch import Tensor

from replicate.algorithms.learner import Trained, TrainingLanes
from replicate.maths.adam import AdamState, adam_step_
from tests.handmade import normal

RATES = [3e-4, 1e-2, 0.5]
STEPS = 20


def reference_path(
    start: Tensor, gradients: list[Tensor], rate: float, epsilon: float, betas: tuple[float, float]
) -> Tensor:
    leaf = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=rate, eps=epsilon, betas=betas)
    for gradient in gradients:
        leaf.grad = gradient.clone()
        optimiser.step()
    return leaf.detach()


@pytest.mark.parametrize("epsilon", [1e-8, 1e-5, 1.0])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.7)])
def test_equals_torch_lane_by_lane(epsilon: float, betas: tuple[float, float]) -> None:
    start = normal(3, 4, seed=0)
    scale = torch.tensor([1e-4, 1.0, 100.0], dtype=torch.float64)[:, None]
    gradients = [scale * normal(3, 4, seed=1 + k) for k in range(STEPS)]
    ours, state = start.clone(), AdamState.zeros_like(start)
    rates = torch.tensor(RATES, dtype=torch.float64)
    for gradient in gradients:
        adam_step_(ours, gradient, state, rates, epsilon, *betas)
    for r, rate in enumerate(RATES):
        expected = reference_path(start[r], [g[r] for g in gradients], rate, epsilon, betas)
        torch.testing.assert_close(ours[r], expected, rtol=1e-12, atol=1e-14)
    assert state.steps.tolist() == [STEPS] * 3


def test_float32_is_as_close_as_float32_can_be() -> None:
    start = normal(2, 5, seed=0).float()
    gradients = [normal(2, 5, seed=1 + k).float() for k in range(STEPS)]
    ours, state = start.clone(), AdamState.zeros_like(start)
    for gradient in gradients:
        adam_step_(ours, gradient, state, torch.tensor([1e-3, 1e-2]), 1e-8)
    for r, rate in enumerate((1e-3, 1e-2)):
        expected = reference_path(start[r], [g[r] for g in gradients], rate, 1e-8, (0.9, 0.999))
        torch.testing.assert_close(ours[r], expected, rtol=1e-6, atol=1e-7)


def test_first_step_has_the_length_of_the_learning_rate() -> None:
    ours = torch.zeros(2, 2, dtype=torch.float64)
    gradient = torch.tensor([[1e-3, -5.0], [70.0, -0.1]], dtype=torch.float64)
    adam_step_(ours, gradient, AdamState.zeros_like(ours), torch.tensor([0.1, 0.2]).double(), 1e-12)
    expected = torch.tensor([[-0.1, 0.1], [-0.2, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=0)


def test_a_stopped_lane_does_not_drift_on_its_momentum() -> None:
    """Lane 1 rests for five steps, then goes on: it has lost time and nothing else."""
    start = normal(2, 3, seed=0)
    gradients = [normal(2, 3, seed=1 + k) for k in range(10)]
    rates = torch.tensor([0.1, 0.2], dtype=torch.float64)
    whole = Trained.fresh(start.clone())

    def run(lanes: TrainingLanes, some: list[Tensor]) -> None:
        for gradient in some:
            now = lanes.now
            adam_step_(now.parameters, lanes.take(gradient), now.adam, lanes.take(rates), 1e-8)
        lanes.write_back()

    run(TrainingLanes(whole), gradients[:3])
    resting = whole.parameters[1].clone()
    some = TrainingLanes(whole)
    some.keep(torch.tensor([True, False]))
    run(some, gradients[3:8])
    assert torch.equal(whole.parameters[1], resting)
    assert whole.adam.steps.tolist() == [8, 3]
    run(TrainingLanes(whole), gradients[8:])
    seen = [[g[0] for g in gradients], [g[1] for g in gradients[:3] + gradients[8:]]]
    for r, rate in enumerate((0.1, 0.2)):
        expected = reference_path(start[r], seen[r], rate, 1e-8, (0.9, 0.999))
        torch.testing.assert_close(whole.parameters[r], expected, rtol=1e-12, atol=1e-14)


def test_fresh_state_is_zero() -> None:
    state = AdamState.zeros_like(torch.ones(2, 3))
    assert not state.first.any()
    assert not state.second.any()
    assert state.steps.dtype == torch.float32
    assert state.steps.tolist() == [0, 0]
