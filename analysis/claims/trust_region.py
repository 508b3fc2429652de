"""T1: what TRPO's updates do to the KL that they are to bound."""

import numpy as np

from analysis.claims.configuration import Claim
from analysis.claims.parts import PROPORTION, Data, Evidence, Part, Table
from analysis.statistics import Estimate
from analysis.study import RUN_KEYS


def t1(data: Data, claim: Claim) -> Evidence:
    """No update of any TRPO run moves the policy further than its ``max_kl``.

    A run is the unit of the bound: updates of one run are not independent.  A KL that is not a
    number is a violation.
    """
    updates_over, updates, runs_over, runs, filter_kl = 0, 0, 0, 0, 0.0
    rows: list[list[object]] = []
    variants: set[str] = set()
    for name in claim.studies:
        if name not in data.studies:
            continue
        study = data.studies[name]
        bound = {
            variant["name"]: variant["algo"]["max_kl"]
            for variant in study.plan["variants"]
            if variant["algo"]["name"] == "trpo"
        }
        variants |= bound.keys()
        made = study.updates[study.updates.variant.isin(list(bound))]
        limits = made.variant.map(bound).astype(float) * (1 + claim.margins["tolerance"])
        over = ~(made.kl <= limits)
        by_run = over.groupby([made[key] for key in RUN_KEYS]).any()
        updates_over, updates = updates_over + int(over.sum()), updates + len(made)
        runs_over, runs = runs_over + int(by_run.sum()), runs + len(by_run)
        if len(made):
            filter_kl = max(filter_kl, float(made.filter_kl.max()))
            rows.append(
                [
                    study.recipe,
                    len(by_run),
                    len(made),
                    int(over.sum()),
                    float(made.kl.fillna(np.inf).max()),
                    float(made.filter_kl.mean()),
                    float(made.filter_kl.max()),
                    float(made.step_accepted.mean()),
                    float(made.backtracks.mean()),
                ]
            )
    if not runs:
        return Evidence([Part("updates", "TRPO's updates", "never", None)])
    columns = [
        "recipe",
        "runs",
        "updates",
        "updates above the bound",
        "largest KL",
        "mean KL that the moving filter adds",
        "largest KL that the moving filter adds",
        "accepted share",
        "mean backtracks",
    ]
    share = Estimate(runs_over / runs, float("nan"), 1.0, runs, PROPORTION)
    return Evidence(
        [
            Part(
                "updates", "updates above the bound", "never", None, count=(updates_over, updates)
            ),
            Part("runs", "runs with such an update", "never", share, count=(runs_over, runs)),
        ],
        variants=tuple(sorted(variants)),
        told={"filter": f"{filter_kl:.2g}"},
        tables=lambda: [Table("TRPO's updates", columns, rows)],
    )
