"""What an update costs: the counts against counts by hand, the explicit matrix against TRPO's."""

import math

import pandas as pd
import pytest
import torch

from replicate.algorithms.trpo import fisher_product
from replicate.networks import make_networks
from replicate.probes import update_cost
from replicate.probes.update_cost import COLUMNS, METHODS, peak_and_flops

SAMPLES = 128


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("continuous", [True, False])
def test_the_explicit_matrix_is_the_one_that_trpo_multiplies_with(continuous: bool) -> None:
    policy, _ = make_networks(3, 2, continuous, (5, 4))
    generator = torch.Generator().manual_seed(1)
    parameters = torch.randn(1, policy.num_parameters, generator=generator)
    observations = torch.randn(1, 20, 3, generator=generator)  # three chunks
    matrix = update_cost.explicit_fisher(policy, parameters, observations)
    product = fisher_product(policy, parameters, observations, 1, torch.zeros(1))
    columns = [product(unit[None])[0] for unit in torch.eye(policy.num_parameters)]
    torch.testing.assert_close(matrix, torch.stack(columns, 1))
    assert matrix.equal(matrix.mT) or (matrix - matrix.mT).abs().max() < 1e-12


def test_memory_and_operations_by_hand() -> None:
    """Two squares live at once, 400 bytes each; a product of [10, 10] is 10³ pairs."""
    a = torch.ones(10, 10)

    def work() -> float:
        first = a @ a
        del first
        second = a @ a
        return float((second @ a).sum())

    peak, flops = peak_and_flops(work)
    assert flops == 3 * 2 * 10**3
    assert 800 <= peak < 1000
    keep = []
    peak, _ = peak_and_flops(lambda: keep.append(torch.empty(1000)))
    assert peak == 4000


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    with torch.no_grad():
        cases = [update_cost.update_case(name, h, SAMPLES) for h in (4, 8) for name in METHODS]
        cases += [update_cost.fisher_case(h, 8) for h in (4, 8, 309)]
        found = list(update_cost.measured(cases, repeats=2))
    return pd.DataFrame(found, columns=COLUMNS).replace("", math.nan)


def test_every_case_has_its_rows(rows: pd.DataFrame) -> None:
    made = rows.dropna(subset=["seconds"])
    counts = made.groupby(["method", "hidden"]).repeat.apply(list)
    assert len(counts) == 2 * 5 and all(found == [0, 1] for found in counts)
    # (11 + 1)·4 + (4 + 1)·4 + (4 + 1)·3 and three log standard deviations.
    assert set(made.parameters[made.hidden == 4]) == {48 + 20 + 15 + 3}
    assert (made.seconds.astype(float) > 0).all() and (made.peak_bytes > 0).all()


def test_what_does_not_fit_is_said_and_not_built(rows: pd.DataFrame) -> None:
    (left_out,) = rows[rows.seconds.isna()].itertuples()
    assert (left_out.method, left_out.hidden) == ("explicit_fisher", 309)
    assert 4 * left_out.parameters**2 > update_cost.MEMORY_LIMIT
    kept = [h for h in update_cost.FISHER_HIDDEN if 4 * (h * h + 16 * h + 6) ** 2 <= 8e9]
    assert kept == list(update_cost.FISHER_HIDDEN[:-1])
    assert sum(h * h + 16 * h + 6 >= 1e4 for h in kept) >= 5


def test_counts_are_those_of_the_work(rows: pd.DataFrame) -> None:
    """Ten passes are ten times the products of one, but for the diagnostics after both."""
    of = rows.dropna(subset=["seconds"]).drop_duplicates(["method", "hidden"])
    of = of.set_index(["method", "hidden"])
    layers = 11 * 8 + 8 * 8 + 8 * 3
    # A lane is computed beside a copy of itself, but for products that have one row or column.
    diagnostics = of.flops["ppo_pass", 8] - (of.flops["ppo", 8] - of.flops["ppo_pass", 8]) / 9
    assert diagnostics == 2 * (2 * SAMPLES * layers)
    assert of.flops["trpo", 8] > of.flops["trpo_step", 8] > 10 * diagnostics
    # Six outputs of eight states, each a matrix of its own; networks cost little beside them.
    outer = 2 * 48 * of.parameters["explicit_fisher", 8] ** 2
    assert outer < of.flops["explicit_fisher", 8] < 1.2 * outer
    assert of.peak_bytes["explicit_fisher", 8] >= 4 * of.parameters["explicit_fisher", 8] ** 2


def test_a_case_leaves_its_learner_as_it_was() -> None:
    with torch.no_grad():
        case = update_cost.update_case("trpo_step", 4, SAMPLES)
        first, second = case.work(), case.work()
    assert isinstance(first, dict) and isinstance(second, dict)
    assert first["improvement"].equal(second["improvement"]) and bool(first["step_accepted"])
