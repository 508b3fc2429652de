"""N3: over how wide a range of step sizes a method learns."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.parts import (
    Data,
    Evidence,
    Part,
    Table,
    final_u,
    paired,
    part,
    samples,
)
from analysis.measures import ruined_or_collapsed
from analysis.summaries.step_sizes import METHODS, NAIVE, Sizes, serving, step_sizes

STUDY = "step_sizes"
DECADES = "decades"
OTHERS = {method: name for method, name in METHODS.items() if method != NAIVE}
"""Methods that are claimed to have a wider range."""
NEVER_LEARNT = 0.1
"""u below which a run counts as one that never learnt."""


def n3(data: Data, claim: Claim) -> Evidence:
    """Naive policy gradient reaches half of the best return over fewer decades than PPO and TRPO.

    A method's range is the contiguous one around its best step size in which *final* u is at least
    half of the best mean of all methods and sizes; environments where that best is below the
    claim's ``learnt`` are left out.  A range that meets the end of the grid ends there: for PPO and
    TRPO that is the worst case, so their part can be supported and nothing else; for naive policy
    gradient it leaves the claim undecided.  A single seed suffices for either.
    """
    sizes = step_sizes(data.studies[STUDY]) if STUDY in data.measures else {}
    if not all(sizes.get(method) for method in METHODS):
        return Evidence(_parts({}, claim))
    values = {
        variant: samples(data, STUDY, variant, final_u, claim.without)
        for of_method in sizes.values()
        for variant in of_method
    }
    envs = [env for env in data.studies[STUDY].envs if all(env in v for v in values.values())]
    best = {env: max(float(v[env].mean()) for v in values.values()) for env in envs}
    learnt = [env for env in envs if best[env] >= claim.margins["learnt"]]
    shown = learnt or envs
    widths: dict[str, dict[str, pd.Series]] = {method: {} for method in sizes}
    censored: dict[str, dict[str, int]] = {method: {} for method in sizes}
    for method, of_method in sizes.items():
        grid = np.array(list(of_method.values()))
        for env in shown:
            table = pd.DataFrame({variant: values[variant][env] for variant in of_method})
            ranges = [serving(grid, row, best[env] / 2) for row in table.to_numpy()]
            widths[method][env] = pd.Series([high - low for low, high in ranges], table.index)
            at_an_end = sum(bool({low, high} & {grid[0], grid[-1]}) for low, high in ranges)
            if at_an_end:
                censored[method][env] = at_an_end
    undecided = ""
    if envs and not learnt:
        undecided = "no method learnt at any step size"
    elif censored[NAIVE]:
        count = f"{len(censored[NAIVE])} of {len(shown)} environments"
        undecided = f"naive policy gradient still learns at the end of the grid on {count}"
    table, fallen = _outside(data, claim, sizes, values, best, censored)
    parts = [replace(each, at_least=bool(censored[each.key])) for each in _parts(widths, claim)]
    told = {
        "reach": "as far as the grids reach, " if any(censored.values()) else "",
        "beside": ", ".join(
            f"{sum(int(runs.sum()) for runs in of_method)} of {sum(map(len, of_method))} runs of "
            f"{METHODS[method]}"
            for method, of_method in fallen.items()
        ),
    }
    tables = [table] if envs else []
    return Evidence(parts, undecided, variants=tuple(values), told=told, tables=lambda: tables)


def _parts(widths: Mapping[str, Mapping[str, pd.Series]], claim: Claim) -> list[Part]:
    return [
        part(
            method,
            f"decades of step size that serve, {name} minus naive policy gradient",
            "above",
            paired(widths.get(method, {}), widths.get(NAIVE, {}), DECADES),
            claim.margins["decades"],
        )
        for method, name in OTHERS.items()
    ]


def _outside(
    data: Data,
    claim: Claim,
    sizes: Sizes,
    values: Mapping[str, Mapping[str, pd.Series]],
    best: Mapping[str, float],
    censored: Mapping[str, Mapping[str, int]],
) -> tuple[Table, dict[str, list["pd.Series[bool]"]]]:
    """Per environment and method: the range of its mean, and what becomes of runs beside it.

    And of each method, for every variant beside a range, which of its runs came to ruin.
    """
    rows: list[list[object]] = []
    fallen_of: dict[str, list[pd.Series[bool]]] = {method: [] for method in sizes}
    for env in best:
        for method, of_method in sizes.items():
            grid = np.array(list(of_method.values()))
            means = np.array([values[variant][env].mean() for variant in of_method])
            low, high = serving(grid, means, best[env] / 2)
            beside = [v for v, size in of_method.items() if not low <= size <= high or low == high]
            finals = [values[variant][env] for variant in beside]
            fallen = [
                samples(data, STUDY, variant, ruined_or_collapsed, claim.without)[env] > 0
                for variant in beside
            ]
            fallen_of[method] += fallen
            never = [
                (final < NEVER_LEARNT) & ~fell for final, fell in zip(finals, fallen, strict=True)
            ]
            rows.append(
                [
                    env,
                    best[env],
                    METHODS[method],
                    10**low if high > low else None,
                    10**high if high > low else None,
                    censored[method].get(env, 0),
                    sum(map(len, finals)),
                    _share(fallen),
                    _share(never),
                ]
            )
    columns = [
        "environment",
        f"best mean u of all (below {claim.margins['learnt']:g} the environment is not judged)",
        "method",
        "smallest step size that serves in the mean (TRPO: √max_kl)",
        "largest",
        "seeds whose own range meets an end of the grid",
        "runs beside that range",
        "share of them ruined or collapsed",
        f"share that never learnt (u < {NEVER_LEARNT:g}, neither ruined nor collapsed)",
    ]
    table = Table("Step sizes that serve, and what happens beside them", columns, rows)
    return table, fallen_of


def _share(runs: "list[pd.Series[bool]]") -> float | None:
    return float(pd.concat(runs).mean()) if runs else None
