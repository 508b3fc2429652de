"""N2: how long the way back is after one destructive update."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.claims.changes import course, first_changed_update, level_before, of_run
from analysis.claims.configuration import Claim
from analysis.claims.parts import Data, Evidence, Table, often
from analysis.significance import median_time
from analysis.study import Study
from analysis.summaries.step_sizes import METHODS

STUDY = "no_undo"


@dataclass(frozen=True)
class WayBack:
    """What became of a run after its update.

    Args:
        trained: whether it had learnt anything before.
        kl: KL(old‖new) of the update, in nats.
        left: share of what it had gained that it kept in the next rollout in which an episode
            ended; −∞: none did; NaN: it had not learnt anything.
        env_steps: until a rollout's mean return was back; ∞: never.
        limit: env steps above which the way is long.
        diverged: whether it left the finite numbers.

    """

    trained: bool
    kl: float
    left: float
    env_steps: float
    limit: float
    diverged: bool


def n2(data: Data, claim: Claim) -> Evidence:
    """After a step that halves the return, the way back takes over a tenth of the training before.

    A method's share of such runs is above one half where its median time is above that tenth; runs
    that never come back count among them.
    """
    study, table = data.studies[STUDY], data.measures[STUDY]
    parts, rows, seen, halved = [], [], 0, 0
    for variant, label in METHODS.items():
        runs = table[(table.variant == variant) & ~table.env.isin(list(claim.without))]
        ways = [way_back(study, run, claim) for run in runs.itertuples() if not math.isnan(run.u)]
        fallen = [w for w in ways if w.trained and w.left <= claim.margins["fall"]]
        long = sum(way.env_steps > way.limit for way in fallen)
        what = f"ways back that are long, {label}"
        parts.append(often(variant, what, long, len(fallen), claim.margins["often"]))
        seen, halved = seen + len(ways), halved + len(fallen)
        rows.append(
            [
                label,
                len(ways),
                sum(way.trained for way in ways),
                len(fallen),
                _finite(np.median([way.kl for way in fallen]) if fallen else math.inf),
                _finite(median_time([way.env_steps for way in fallen]) if fallen else math.inf),
                sum(math.isinf(way.env_steps) and not way.diverged for way in fallen),
                sum(way.diverged for way in fallen),
            ]
        )
    columns = [
        "method",
        "runs",
        "of them trained before",
        "of these halved by the update",
        "KL of these updates, median",
        "median env steps until 90 % is back (empty: over half never)",
        "never back",
        "diverged",
    ]
    nobody = bool(seen) and not any(part.count for part in parts)
    undecided = "no policy had learnt and was halved" if nobody else ""
    known = table[table.u.notna() & ~table.env.isin(list(claim.without))]
    return Evidence(
        parts,
        undecided,
        variants=tuple(METHODS),
        judged={STUDY: list(known.env.unique())},
        told={"runs": str(seen), "halved": str(halved)},
        tables=lambda: [Table("The way back", columns, rows)],
    )


def way_back(study: Study, run: Any, claim: Claim) -> WayBack:
    """The run's returns before the update, over the rollout after it, and from there on.

    Args:
        study: whose variants have a ``change``.
        run: row of the measures: its keys, ``untrained`` and ``reference_return``.
        claim: for its margins.

    """
    ended, u = course(study, run)
    changed = first_changed_update(study, run.variant)
    # The changed update is made from the rollout that ends here; what follows is its doing.
    start = (changed + 1) * study.num_steps
    level = level_before(ended, u, start)
    trained = bool(level >= claim.margins["trained"])
    rollout = np.ceil((ended - start) / study.num_steps).astype(int)  # 1: the first after it
    means = {k: float(u[rollout == k].mean()) for k in sorted(set(rollout[rollout > 0].tolist()))}
    back = [k for k, mean in means.items() if mean >= claim.margins["back"] * level]
    return WayBack(
        trained,
        _kl(study, run, changed),
        next(iter(means.values()), -math.inf) / level if trained else math.nan,
        min(back) * study.num_steps if back else math.inf,
        claim.margins["tenth"] * start,
        bool(run.diverged),
    )


def _kl(study: Study, run: Any, update: int) -> float:
    """KL of one update of a run; ∞: it left the finite numbers."""
    made = of_run(study.updates, run)
    kl = made.kl[made["update"] == update].fillna(math.inf)
    return float(kl.iloc[0]) if len(kl) else math.inf


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else float(value)
