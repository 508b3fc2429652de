"""Conjugate gradient, step length and line search against dense algebra and plain loops."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from replicate.maths.trust_region import (
    Product,
    backtracking_line_search,
    conjugate_gradient,
    dot,
    full_step,
    relative_residual,
)
from tests.handmade import PROPERTY, normal


def positive_definite(lanes: int, size: int, seed: int) -> Tensor:
    root = normal(lanes, size, size, seed=seed)
    return root @ root.transpose(1, 2) + 0.5 * torch.eye(size, dtype=torch.float64)


def product_with(matrices: Tensor) -> Product:
    return lambda vector: torch.einsum("rij,rj->ri", matrices, vector)


def test_dot() -> None:
    a, b = normal(3, 4, seed=0), normal(3, 4, seed=1)
    torch.testing.assert_close(dot(a, b), torch.einsum("rp,rp->r", a, b))


@PROPERTY
@given(lanes=st.integers(1, 3), size=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_conjugate_gradient_solves_in_as_many_steps_as_dimensions(
    lanes: int, size: int, seed: int
) -> None:
    matrices, target = positive_definite(lanes, size, seed), normal(lanes, size, seed=seed + 1)
    solution, residual = conjugate_gradient(product_with(matrices), target, 2 * size, 0.0)
    torch.testing.assert_close(solution, torch.linalg.solve(matrices, target), rtol=1e-6, atol=1e-6)
    assert relative_residual(residual, target).max() < 1e-6


@PROPERTY
@given(size=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_error_in_the_norm_of_the_matrix_never_grows(size: int, seed: int) -> None:
    matrix, target = positive_definite(1, size, seed), normal(1, size, seed=seed + 1)
    exact = torch.linalg.solve(matrix, target)
    errors = []
    for iterations in range(size + 1):
        solution, residual = conjugate_gradient(product_with(matrix), target, iterations, 0.0)
        error = solution - exact
        errors.append(dot(error, product_with(matrix)(error)).item())
        expected = (target - product_with(matrix)(solution)).norm() / target.norm()
        relative = relative_residual(residual, target)
        assert relative.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-9)
        curvature = dot(solution, product_with(matrix)(solution))
        torch.testing.assert_close(dot(solution, target - residual), curvature)
    assert all(b <= a + 1e-9 for a, b in pairwise(errors))
    assert errors[-1] < 1e-8 * errors[0] + 1e-12


def test_one_iteration_is_steepest_descent() -> None:
    matrix, target = positive_definite(1, 4, 0), normal(1, 4, seed=1)
    solution, _ = conjugate_gradient(product_with(matrix), target, 1, 0.0)
    length = dot(target, target) / dot(target, product_with(matrix)(target))
    torch.testing.assert_close(solution, length[:, None] * target)


def test_tolerance_is_on_the_squared_residual() -> None:
    matrices, target = positive_definite(1, 5, 3), normal(1, 5, seed=4)
    after_two, _ = conjugate_gradient(product_with(matrices), target, 2, 0.0)
    squared = (target - product_with(matrices)(after_two)).square().sum().item()
    stopped, _ = conjugate_gradient(product_with(matrices), target, 9, 1.0001 * squared)
    assert torch.equal(stopped, after_two)
    further, _ = conjugate_gradient(product_with(matrices), target, 9, 0.9999 * squared)
    assert not torch.equal(further, after_two)


def test_a_lane_that_stops_does_not_change_its_neighbours() -> None:
    """Solved, zero target, negative curvature, NaN: each beside a lane that goes on."""
    matrices, target = positive_definite(5, 4, 0), normal(5, 4, seed=1)
    matrices[1] = torch.eye(4)
    target[2] = 0
    matrices[3] = -torch.eye(4)
    matrices[4] = torch.nan
    together, residual = conjugate_gradient(product_with(matrices), target, 8, 1e-20)
    alone, _ = conjugate_gradient(product_with(matrices[:1]), target[:1], 8, 1e-20)
    torch.testing.assert_close(together[0], alone[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(together[1], target[1])
    for stopped in (2, 3, 4):
        assert torch.equal(together[stopped], torch.zeros(4, dtype=torch.float64))
    assert relative_residual(residual, target)[2] == 0
    assert relative_residual(residual, target)[3] == 1


def test_full_step_has_exactly_the_quadratic_kl_asked_for() -> None:
    matrices, direction = positive_definite(3, 4, 0), normal(3, 4, seed=1)
    max_kl = torch.tensor([0.01, 0.1, 1.0], dtype=torch.float64)
    step = full_step(direction, dot(direction, product_with(matrices)(direction)), max_kl)
    torch.testing.assert_close(0.5 * dot(step, product_with(matrices)(step)), max_kl)
    cosine = torch.nn.functional.cosine_similarity(step, direction)
    torch.testing.assert_close(cosine, torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("curvature", [0.0, -1.0, math.nan])
def test_full_step_is_zero_without_positive_curvature(curvature: float) -> None:
    direction = torch.tensor([[math.inf, 1.0]])
    step = full_step(direction, torch.tensor([curvature]), torch.tensor([0.01]))
    assert torch.equal(step, torch.zeros(1, 2))


class Landscape:
    """KL = ½‖θ‖², improvement as given; counts which lanes were evaluated when."""

    def __init__(self, improvement: Tensor) -> None:
        self.improvement = improvement
        self.evaluated: list[list[int]] = []

    def __call__(self, candidates: Tensor, lanes: Tensor) -> tuple[Tensor, Tensor]:
        assert candidates.shape[0] == lanes.shape[0]
        self.evaluated.append(lanes.tolist())
        return 0.5 * candidates.square().sum(1), self.improvement[lanes]


def test_line_search_accepts_the_first_point_inside_the_region_lane_by_lane() -> None:
    landscape = Landscape(torch.tensor([1.0, 2.0, 3.0]))
    step = torch.tensor([[1.0], [2.0], [8.0]])
    limit = torch.full((3,), 0.5)
    search = backtracking_line_search(landscape, torch.zeros(3, 1), step, limit, 0.5, 10)
    assert search.accepted.all()
    assert search.backtracks.tolist() == [0, 1, 3]
    assert torch.equal(search.parameters, torch.ones(3, 1))
    assert torch.equal(search.kl, torch.full((3,), 0.5))  # a KL equal to the limit is inside
    assert search.improvement.tolist() == [1.0, 2.0, 3.0]
    assert landscape.evaluated == [[0, 1, 2], [1, 2], [2], [2]]


@pytest.mark.parametrize("improvement", [0.0, -1.0, math.nan])
def test_without_improvement_the_old_parameters_stay_bit_for_bit(improvement: float) -> None:
    old = torch.tensor([[0.1, -0.3]])
    landscape = Landscape(torch.tensor([improvement]))
    search = backtracking_line_search(
        landscape, old, torch.ones(1, 2), torch.tensor([math.inf]), 0.5, 4
    )
    assert torch.equal(search.parameters, old)
    assert not search.accepted.any()
    assert search.backtracks.tolist() == [4]
    assert (search.kl.item(), search.improvement.item()) == (0.0, 0.0)
    assert len(landscape.evaluated) == 4


def test_number_of_trials_is_limited() -> None:
    """Three trials reach step/4; the region begins at step/8."""
    arguments = (torch.zeros(1, 1), torch.tensor([[8.0]]), torch.tensor([0.5]), 0.5)
    assert not backtracking_line_search(Landscape(torch.ones(1)), *arguments, 3).accepted.item()
    assert backtracking_line_search(Landscape(torch.ones(1)), *arguments, 4).accepted.item()


def test_nan_in_the_kl_is_a_rejection() -> None:
    step = torch.tensor([[math.nan], [0.5]])
    search = backtracking_line_search(
        Landscape(torch.ones(2)), torch.zeros(2, 1), step, torch.ones(2), 0.5, 3
    )
    assert search.accepted.tolist() == [False, True]
    assert search.parameters.tolist() == [[0.0], [0.5]]
