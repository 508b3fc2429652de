"""T2, P2: what an update costs: time and memory against parameters, lines of code."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from analysis.claims.configuration import Claim
from analysis.claims.parts import EXPONENT, FACTOR, LEVEL, Data, Evidence, Part, Table
from analysis.statistics import Estimate, mean_estimate, mean_over_environments

LANGUAGE_MODEL = 7e10
"""Parameters to which the table extrapolates."""
OF_RUNS = 5_000
"""About the parameters that a policy of the trainings has."""
FISHER = "explicit_fisher"
METHODS = {
    "ppo_pass": "PPO, one pass",
    "ppo": "PPO",
    "trpo_step": "TRPO without its value fit",
    "trpo": "TRPO",
    FISHER: "explicit Fisher matrix",
}
QUANTITIES = {
    "seconds": "time, s",
    "peak_bytes": "memory, bytes",
    "flops": "floating-point operations",
}


# --------------------------------------------------------------------------------------------- T2


def t2(data: Data, claim: Claim) -> Evidence:
    """An explicit Fisher matrix's memory grows with the square of the parameters.

    Beside it TRPO's cost over PPO's, as ratios, and the fitted exponents of all.  Fits and ratios
    are of the sizes from ``parameters`` on: below, calls and the batch itself cost more than the
    parameters do.
    """
    rows = data.probes["update_cost"].dropna(subset=["seconds"])
    large = rows[rows.parameters >= claim.margins["parameters"]]
    exponent = fitted(large, FISHER, "peak_bytes")
    label = "explicit Fisher matrix's memory, exponent less 2"
    difference = exponent and Estimate(
        exponent.value - claim.margins["exponent"],
        exponent.standard_error,
        exponent.df,
        exponent.n,
        EXPONENT,
    )
    of_each = _ratios(rows, ("trpo", "ppo"), "seconds")
    sizes = [min(of_each, key=lambda size: abs(size - OF_RUNS)), max(of_each)] if of_each else []
    at_sizes = [f"×{math.exp(of_each[size].value):.2g} (at {size:,})" for size in sizes]
    return Evidence(
        [
            Part("squared", label, "within", difference, claim.margins["tolerance"]),
            over(large, "per_pass", ("trpo", "ppo_pass"), "seconds"),
            over(large, "whole", ("trpo", "ppo"), "seconds"),
            over(large, "step_per_pass", ("trpo_step", "ppo_pass"), "seconds"),
            over(large, "memory", ("trpo", "ppo"), "peak_bytes"),
        ],
        told={"by_size": " and ".join(at_sizes) or "not measured,"},
        tables=lambda: [
            ratios_by_size(rows),
            exponents(large),
            *(by_size(rows, large, quantity) for quantity in QUANTITIES),
        ],
    )


def _cells(rows: pd.DataFrame, method: str, quantity: str) -> "pd.Series[float]":
    """Parameters → mean over repeats of the quantity's logarithm."""
    mine = rows[rows.method == method]
    logarithm: pd.Series[float] = np.log(mine[quantity].astype(float))
    return logarithm.groupby(mine.parameters).mean()


def _line(cells: "pd.Series[float]") -> tuple[float, float, float]:
    """Least squares of cells on the logarithm of their parameters: slope, its error, level at 0.

    The error is of the cells' scatter about the line, with two degrees of freedom fewer than there
    are cells: what is no power law widens it as noise does.
    """
    line = stats.linregress(np.log(cells.index.to_numpy(np.float64)), cells.to_numpy(np.float64))
    return float(line.slope), float(line.stderr), float(line.intercept)


def fitted(rows: pd.DataFrame, method: str, quantity: str) -> Estimate | None:
    """Exponent b of quantity ∝ parametersᵇ over sizes; None with fewer than three."""
    cells = _cells(rows, method, quantity)
    if len(cells) < 3:
        return None
    slope, error, _ = _line(cells)
    return Estimate(slope, error, len(cells) - 2.0, len(cells), EXPONENT)


def _ratios(rows: pd.DataFrame, pair: tuple[str, str], quantity: str) -> dict[int, Estimate]:
    """Parameters → mean log ratio of two methods, paired by repeat: they took turns."""
    first, second = (
        np.log(
            rows[rows.method == name].set_index(["parameters", "repeat"])[quantity].astype(float)
        )
        for name in pair
    )
    log_ratio = (first - second).dropna()
    return {
        int(parameters): mean_estimate(values.to_numpy(), FACTOR)
        for parameters, values in log_ratio.groupby("parameters")
    }


def over(rows: pd.DataFrame, key: str, pair: tuple[str, str], quantity: str) -> Part:
    """Geometric mean over sizes, which are fixed, of one method's cost over another's; shown."""
    what = "memory" if quantity == "peak_bytes" else "time"
    first, second = (METHODS[name] for name in pair)
    ratios = list(_ratios(rows, pair, quantity).values())
    estimate = mean_over_environments(ratios) if ratios else None
    return Part(key, f"{what}, {first} over {second}", "shown", estimate)


def ratios_by_size(rows: pd.DataFrame) -> Table:
    """The ratios of :func:`t2` at every size, each with its interval over repeats."""
    rows_of_ratios: list[list[object]] = []
    for pair in (("trpo", "ppo_pass"), ("trpo", "ppo"), ("trpo_step", "ppo_pass")):
        for parameters, estimate in _ratios(rows, pair, "seconds").items():
            numbers = (estimate.value, *estimate.bounds(LEVEL))
            labels = (METHODS[name] for name in pair)
            rows_of_ratios.append([parameters, " over ".join(labels), *map(math.exp, numbers)])
    columns = ["parameters", "time", "ratio", "low", "high"]
    return Table(
        "TRPO's time over PPO's, 95 % intervals over repeats", columns, sorted(rows_of_ratios)
    )


def exponents(rows: pd.DataFrame) -> Table:
    """Of each method's time, memory and operations, with intervals and what they were fitted to."""
    exponents: list[list[object]] = []
    for method, label in METHODS.items():
        for quantity, name in QUANTITIES.items():
            estimate = fitted(rows, method, quantity)
            if estimate is not None:
                numbers = estimate.value, *estimate.bounds(LEVEL)
                smallest, largest = _range(rows[rows.method == method].parameters)
                exponents.append([label, name, *numbers, smallest, largest])
    columns = ["what", "quantity", "exponent", "low", "high", "parameters from", "to"]
    return Table("Fitted exponents against parameters, 95 % intervals", columns, exponents)


def _range(values: Iterable[int]) -> tuple[int, int]:
    known = list(values)
    return min(known), max(known)


def by_size(rows: pd.DataFrame, large: pd.DataFrame, quantity: str) -> Table:
    """Geometric means over repeats; the last row is what the fitted lines would come to.

    None where the exponent's whole interval is below 1: the cost of what reads every parameter ends
    up growing at least in proportion, whatever it does at these sizes.
    """
    cells = {method: _cells(rows, method, quantity) for method in METHODS}
    sizes = sorted({size for of_method in cells.values() for size in of_method.index})
    made: list[list[object]] = [
        [f"{size:,}", *(math.exp(c[size]) if size in c.index else None for c in cells.values())]
        for size in sizes
    ]
    beyond: list[float | None] = []
    for method in METHODS:
        exponent = fitted(large, method, quantity)
        if exponent is None or exponent.bounds(LEVEL)[1] < 1:
            beyond.append(None)
        else:
            slope, _, level = _line(_cells(large, method, quantity))
            beyond.append(math.exp(level + slope * math.log(LANGUAGE_MODEL)))
    made.append([f"{LANGUAGE_MODEL:,.0f}, extrapolated", *beyond])
    samples = rows.groupby("method").samples.max()
    columns = ["parameters"]
    columns += [f"{label} ({samples.get(name, 0):,} samples)" for name, label in METHODS.items()]
    return Table(f"One update, {QUANTITIES[quantity]}", columns, made)


# --------------------------------------------------------------------------------------------- P2


def p2(data: Data, claim: Claim) -> Evidence:
    """What PPO alone needs is at most a share of what TRPO alone needs; its objective is short.

    An exact count of this code: a line or an operation that both need counts for neither.
    """
    rows = data.probes["code_size"]
    lines = {name: int(part.lines.sum()) for name, part in rows.groupby("needed_by")}
    ppo, trpo, both = (lines.get(name, 0) for name in ("ppo", "trpo", "both"))
    objective = lines.get("objective", 0)
    allowed = math.floor(claim.margins["share"] * trpo)
    longest = int(claim.margins["objective_lines"]) - 1
    operations = {name: _operations(part) for name, part in rows.groupby("needed_by")}
    of = {name: operations.get(name, set()) for name in ("ppo", "trpo", "both")}
    return Evidence(
        [
            _beyond("half", "lines that PPO alone needs, beyond half of TRPO's", ppo, allowed),
            _beyond("short", f"lines of PPO's objective beyond {longest}", objective, longest),
            _count("ppo", "lines of PPO's update that TRPO's does not need", ppo, ppo + both),
            _count("trpo", "lines of TRPO's update that PPO's does not need", trpo, trpo + both),
            *(
                _count(
                    f"{mine}_operations",
                    f"operations of {mine.upper()}'s update that {other.upper()}'s has not",
                    len(of[mine] - of[other] - of["both"]),
                    len(of[mine] | of["both"]),
                )
                for mine, other in (("ppo", "trpo"), ("trpo", "ppo"))
            ),
        ],
        tables=lambda: [_by_module(rows), _definitions(rows)],
    )


def _operations(rows: pd.DataFrame) -> set[str]:
    return {name for names in rows.operations.fillna("") for name in names.split()}


def _beyond(key: str, label: str, lines: int, allowed: int) -> Part:
    """No line is beyond so many."""
    count = (max(0, lines - allowed), lines) if lines else None
    return Part(key, label, "never", None, count=count)


def _count(key: str, label: str, some: int, of: int) -> Part:
    return Part(key, label, "shown", None, count=(some, of) if of else None)


def _by_module(rows: pd.DataFrame) -> Table:
    """Lines by module and by who needs them."""
    groups = list(dict.fromkeys(rows.needed_by))
    table = rows.pivot_table("lines", "module", "needed_by", "sum", fill_value=0)[groups]
    made = [[module, *map(int, row)] for module, row in zip(table.index, table.values, strict=True)]
    return Table("Lines by module", ["module", *groups], [*made, ["all", *map(int, table.sum())]])


def _definitions(rows: pd.DataFrame) -> Table:
    """Every definition that was counted."""
    columns = ["needed by", "module", "name", "kind", "lines", "operations"]
    return Table("What was counted", columns, rows.fillna("").to_numpy().tolist())
