"""N4, C4: claims on what one update does, of every rule from the same policy and batch.

A batch is what one seed's training had at one point; the same rules have updated from it.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.exact import holds, never, sides
from analysis.claims.parts import FACTOR, PROPORTION, SHARE, Data, Evidence, Part, Table, part
from analysis.statistics import Estimate, mean_estimate
from analysis.summaries.update_passes import BATCH

METHODS = {
    "ppo": "PPO",
    "ppo_noclip": "PPO without its clip",
    "ppo_max": "PPO with max for min",
    "trpo": "TRPO",
    "vpg": "naive policy gradient",
}
PPO, EPSILON = "ppo", 0.2
KLS = (0.01, 0.1, 1.0)
"""At which the effective sample size is shown, nats."""
MOST_KL = 1.0
"""Beyond which little of a batch can be left: e^(−2) of it, where all states move alike."""
NEAR = 10**0.25
"""A KL within this factor counts as one of them."""
SHOWN_TIMES = (0.5, 1.0, 1.5, 2.0)
LARGEST_RATIO = 1e6
"""Ratios count as no more, before their logarithm."""


def n4(data: Data, claim: Claim) -> Evidence:
    """In every batch, the further an update moves the policy the smaller the effective sample size.

    The updates of a method from one batch: at each of its settings, and the points on the way to
    and beyond one of them.  What has not moved (t = 0, a refused step) is none.
    """
    moved = _moves(data.probes["update_anatomy"], data.probes["update_line"])
    limit = claim.margins["rank_correlation"]
    parts = [
        never(
            method,
            f"{name}: batches with a rank correlation above {limit:g}".replace("-", "−"),
            ~(_rank_correlations(moved[moved.method == method]) <= limit),
        )
        for method, name in METHODS.items()
    ]
    near = _rank_correlations(moved[moved.kl <= MOST_KL], ["method", *BATCH])
    told = {"near": f"{(near <= limit).sum()} of {len(near)}"}
    return Evidence(parts, told=told, tables=lambda: [_relevance(moved)])


def _rank_correlations(moved: pd.DataFrame, by: Sequence[str] = BATCH) -> pd.Series:
    """Of KL and effective sample size, one for each batch."""
    return pd.Series(
        [
            batch.kl.rank().corr(batch.effective_sample_size.rank())
            for _, batch in moved.groupby(list(by))
        ],
        dtype=float,
    )


def _moves(anatomy: pd.DataFrame, line: pd.DataFrame) -> pd.DataFrame:
    """Updates and points of lines that moved the policy; one without end leaves nothing."""
    columns = [*BATCH, "method", "kl", "effective_sample_size"]
    between = line[line.t != 1]  # there is the update itself
    moves = pd.concat([anatomy[columns], between[columns]], ignore_index=True)
    moves = moves.fillna({"kl": np.inf, "effective_sample_size": 0.0})
    return moves[moves.kl > 0]


def _relevance(moved: pd.DataFrame) -> Table:
    """Rank correlations, and what is left of a batch after so much KL.

    An effective sample size is at least that of one sample.  Where an update leaves no more, its
    order says nothing: a column leaves out what is further than 1 nat.  (It was added once the
    record was known, and is no part of the rule.)  Beside the methods a Gaussian policy whose mean
    moves alike in every state: its r² has the mean e^(2·KL).
    """
    rows: list[list[object]] = []
    for method, name in METHODS.items():
        made = moved[moved.method == method]
        rho, near = (_rank_correlations(part) for part in (made, made[made.kl <= MOST_KL]))
        left = [
            made[made.kl.between(kl / NEAR, kl * NEAR)].effective_sample_size.median() for kl in KLS
        ]
        beyond = made[made.kl > MOST_KL].effective_sample_size.median()
        rows.append([name, len(rho), rho.median(), rho.max(), near.max(), *left, beyond])
    alike = [math.exp(-2 * kl) for kl in KLS]
    rows.append(["every state moved alike: e^(−2·KL)", None, None, None, None, *alike, None])
    columns = [
        "method",
        "batches",
        "rank correlation, median",
        "rank correlation, largest",
        f"the largest up to a KL of {MOST_KL:g} (not of the rule)",
        *(f"left at a KL of about {kl:g}" for kl in KLS),
        f"left beyond {MOST_KL:g}",
    ]
    return Table("Effective sample size, as a share of the batch, against KL", columns, rows)


def c4(data: Data, claim: Claim) -> Evidence:
    """No gradient past 1 ± ε; and whether an update of PPO leaves the policy within 1 ± ε.

    A seed is the unit of the intervals: its batches are not independent.
    """
    objective = data.probes["clipped_objective"]
    flat, _ = sides(objective)
    slope = objective.gradient[flat].abs()
    anatomy = data.probes["update_anatomy"]
    made = anatomy[(anatomy.method == PPO) & (anatomy.setting == EPSILON)]
    outside = made.outside_own.fillna(1.0)
    largest = np.log(made.ratio_max.fillna(np.inf).clip(upper=LARGEST_RATIO))
    after = f"after an update at ε = {EPSILON:g}"
    allowed = claim.margins["outside"]
    return Evidence(
        [
            holds(
                "objective",
                "no gradient past 1 ± ε on the side of the gain",
                slope > claim.margins["tolerance"],
            ),
            part(
                "stays",
                f"samples within 1 ± ε {after}, less {100 * (1 - allowed):g} %",
                "guard",
                _of_seeds(made, allowed - outside, SHARE),
            ),
            _shown("outside", f"samples outside 1 ± ε {after}", made, outside, PROPORTION),
            _shown("largest", f"largest ratio of a batch {after}", made, largest, FACTOR),
        ],
        tables=lambda: [_updates(anatomy), _line(data.probes["update_line"])],
    )


def _of_seeds(rows: pd.DataFrame, values: pd.Series, unit: str) -> dict[str, Estimate]:
    """Environment → mean over seeds of the mean over a seed's batches."""
    means = values.groupby([rows.env, rows.seed]).mean()
    return {
        str(env): mean_estimate(of_env.to_numpy(), unit)
        for env, of_env in means.groupby(level="env", sort=False)
    }


def _shown(key: str, label: str, rows: pd.DataFrame, values: pd.Series, unit: str) -> Part:
    return part(key, label, "shown", _of_seeds(rows, values, unit))


def _updates(anatomy: pd.DataFrame) -> Table:
    """Means over the batches of an environment; of KL geometric, of ratios the largest of all."""
    rows: list[list[object]] = []
    for (env, method, setting), made in anatomy.groupby(["env", "method", "setting"], sort=False):
        rows.append(
            [
                env,
                METHODS[method],
                setting,
                float(np.exp(np.log(made.kl.where(made.kl > 0)).mean())),
                made.kl_max.max(),
                100 * made.outside.mean(),
                100 * made.outside_own.mean(),
                made.ratio_deviation_99.median(),
                made.ratio_max.max(),
                made.effective_sample_size.mean(),
                (made.new_return - made.old_return).mean(),
            ]
        )
    columns = [
        "environment",
        "method",
        "ε, δ or step size",
        "KL (geometric mean)",
        "largest KL in a state",
        "samples outside 1 ± 0.2, %",
        "outside its own ε, %",
        "|r − 1| (99 % quantile, median)",
        "largest ratio",
        "effective sample size",
        "return, new − old",
    ]
    return Table("One update of each rule from the same policies and batches", columns, rows)


def _line(line: pd.DataFrame) -> Table:
    """Means over the batches of an environment at some points of the line, of PPO and TRPO."""
    shown = line[line.method.isin([PPO, "trpo"]) & line.t.isin(SHOWN_TIMES)]
    rows: list[list[object]] = []
    for (env, method, t), points in shown.groupby(["env", "method", "t"], sort=False):
        rows.append(
            [
                env,
                METHODS[method],
                t,
                points.surrogate.mean(),
                points.clipped_surrogate.mean(),
                points.kl.mean(),
                100 * points.clip_fraction.mean(),
            ]
        )
    columns = [
        "environment",
        "method",
        "t (0: old policy, 1: new)",
        "surrogate",
        "clipped surrogate (ε = 0.2)",
        "KL",
        "samples outside 1 ± 0.2, %",
    ]
    return Table("Along the line from the old policy through the new one", columns, rows)
