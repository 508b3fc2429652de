"""Update size, speed and stability against the width ε of the clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.random import Generator

from analysis.measures import LEAST_SPREAD_U, WORST, ruined_or_collapsed
from analysis.significance import holm, median_time, trend_test
from analysis.statistics import Array, Interval, interval, mean_of_runs, share
from analysis.study import Study
from analysis.summaries import OVERALL, matrix, published, scaled_envs

LEAST_LEVEL = 0.05
"""A spread or a fall is relative to the u reached, or to this where less was reached."""

Kind = Literal["geometric mean", "mean", "share", "spread", "median"]


@dataclass(frozen=True)
class Row:
    """Something measured of every run.

    Args:
        column: of the measures, or of :func:`of_runs`.
        group: column of the chapter's table.
        label: what people read.
        claim: +1 the chapter says that it rises with ε, −1 that it falls, 0 nothing.
        kind: how the runs are summarised.
        in_u: whether it needs a published scale.
        limits: between which values it can be; an interval ends there.
        least_deviation: what its standard deviation over seeds counts as where it is smaller.

    """

    column: str
    group: str
    label: str
    claim: int
    kind: Kind = "mean"
    in_u: bool = True
    limits: tuple[float, float] = (-inf, inf)
    least_deviation: float = 0.0


ROWS = [
    Row("mean_log_kl", "update_size", "KL(old‖new), nats", +1, "geometric mean", in_u=False),
    Row("mean_log_ratio_deviation", "update_size", "|r − 1|, mean", +1, "geometric mean", False),
    Row(
        "mean_log_ratio_deviation_99",
        "update_size",
        "|r − 1|, 99 % quantile",
        +1,
        "geometric mean",
        in_u=False,
    ),
    Row("clip_fraction", "update_size", "clip fraction", 0, in_u=False, limits=(0.0, 1.0)),
    Row("early_u", "speed", "u, first quarter", +1, least_deviation=LEAST_SPREAD_U),
    Row("steps_to_half", "speed", "env steps to u = 0.5", -1, "median"),
    Row("held_u", "stability", "u, last tenth", 0, least_deviation=LEAST_SPREAD_U),
    Row("unsafe", "stability", "ruined or collapsed", +1, "share"),
    Row("held_u", "stability", "spread over seeds / level", +1, "spread"),
    Row("relative_fall", "stability", "largest fall / level", +1, limits=(0.0, inf)),
]
GROUPS = {"update_size": "Update size", "speed": "Speed", "stability": "Stability"}


def chapter_epsilon() -> pd.DataFrame:
    """The chapter's words: ``epsilon, update_size, speed, stability, use``."""
    return published("chapter_epsilon")


def epsilon_of(study: Study) -> dict[str, float]:
    """Variant → ε; NaN for those without a clip."""
    return {
        entry["name"]: float(entry["algo"]["clip_epsilon"])
        if entry["algo"].get("objective") == "clip"
        else nan
        for entry in study.plan["variants"]
    }


def of_runs(measures: pd.DataFrame) -> pd.DataFrame:
    """The measures, with ``held_u``, ``unsafe`` and ``relative_fall``.

    A fall is relative to the highest u of its own run.
    """
    return measures.assign(
        held_u=measures.u.clip(lower=WORST),
        unsafe=ruined_or_collapsed(measures),
        level=measures.peak_u.clip(lower=LEAST_LEVEL),
        relative_fall=measures.drawdown / measures.peak_u.clip(lower=LEAST_LEVEL),
    )


def epsilon_summary(study: Study, measures: pd.DataFrame) -> pd.DataFrame:
    """Update size, speed and stability of every variant, overall and per environment.

    Returns:
        One row per environment (or :data:`OVERALL`) × variant × measure: ``env, variant, label,
        epsilon`` (empty: no clip), ``group, measure, estimate, low, high, method, runs`` (that
        have the measure), ``hits`` (runs that were ruined or collapsed, or got half-way; empty for
        other measures), ``chapter`` (its word for this ε and group).

        Over several environments, means and spreads are means of the environments', geometric for
        KL and ratios; shares are of all runs together; a median time is never of several.  A spread
        over seeds is the standard deviation of the last tenth's u over the mean of the runs'
        highest u, and has no interval.

    """
    epsilons = epsilon_of(study)
    words = chapter_epsilon().set_index("epsilon")
    runs = dict(iter(of_runs(measures).groupby(["variant", "env"])))
    scaled = scaled_envs(study, measures)
    rows = []
    for place, envs in [(OVERALL, study.envs), *((env, [env]) for env in study.envs)]:
        for variant in study.variants:
            for row in ROWS:
                used = [runs[variant, env] for env in envs if env in scaled or not row.in_u]
                known = epsilons[variant] in words.index
                rows.append(
                    {
                        "env": place,
                        "variant": variant,
                        "label": study.labels[variant],
                        "epsilon": epsilons[variant],
                        "group": row.group,
                        "measure": row.label,
                        **_summarised(row, used),
                        "chapter": words.loc[epsilons[variant], row.group] if known else "",
                    }
                )
    return pd.DataFrame(rows)


def _summarised(row: Row, runs: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """``estimate, low, high, method, runs, hits`` of a variant's runs on each environment."""
    hits, count = nan, sum(map(len, runs))
    if not runs:
        bounds = Interval(nan, nan, nan, nan, "")
    elif row.kind == "share":
        hits = int(sum(of_env[row.column].sum() for of_env in runs))
        bounds = share(hits, count)
    elif row.kind == "median":
        times = np.concatenate([of_env[row.column].to_numpy(dtype=float) for of_env in runs])
        hits = int(np.isfinite(times).sum())
        middle = median_time(times) if len(runs) == 1 else nan
        bounds = Interval(middle, nan, nan, nan, "median")
    elif row.kind == "spread":
        bounds = Interval(_relative_spread(runs), nan, nan, nan, "mean of standard deviations")
    else:
        values = np.array([of_env[row.column] for of_env in runs], dtype=float)
        bounds = interval(mean_of_runs(values, row.label, row.least_deviation))
        if row.kind == "geometric mean":
            estimate, low, high = map(float, np.exp([bounds.estimate, bounds.low, bounds.high]))
            bounds = Interval(estimate, low, high, bounds.level, bounds.method)
    least, most = row.limits
    return {
        "estimate": bounds.estimate,
        "low": max(bounds.low, least),  # NaN stays NaN
        "high": min(bounds.high, most),
        "method": bounds.method,
        "runs": count,
        "hits": hits,
    }


def _relative_spread(runs: Iterable[pd.DataFrame]) -> float:
    """Mean over environments of the spread over seeds, relative to the level reached."""
    spreads = [of_env.held_u.std(ddof=1) / of_env["level"].mean() for of_env in runs]
    return float(pd.Series(spreads).mean())


def epsilon_trends(study: Study, measures: pd.DataFrame, generator: Generator) -> pd.DataFrame:
    """Do the measures rise or fall with ε as the chapter says?  "No clip" takes no part.

    Returns:
        One row per measure with a claim: ``group, measure, claim`` ("rises" or "falls"),
        ``blocks`` (environment × seed; for the spread: environment), ``tau`` (Kendall: 1 = the
        order claimed), ``p_value`` (one-sided, by permutation within blocks), ``p_holm`` (adjusted
        for all rows).  Empty with fewer than three widths.

    """
    epsilons = epsilon_of(study)
    clipped = [v for _, v in sorted((e, v) for v, e in epsilons.items() if not isnan(e))]
    runs = of_runs(measures)
    rows = []
    for row in ROWS:
        envs = scaled_envs(study, measures) if row.in_u else study.envs
        if row.claim == 0 or len(clipped) < 3 or not envs:
            continue
        blocks = _blocks(study, runs, row, envs, clipped)
        if len(blocks) == 0:
            continue
        trend = trend_test(row.claim * blocks, generator)
        rows.append(
            {
                "group": row.group,
                "measure": row.label,
                "claim": "rises" if row.claim > 0 else "falls",
                "blocks": len(blocks),
                "tau": trend.tau,
                "p_value": trend.p_value,
            }
        )
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table.p_value)) if len(table) else table


def _blocks(
    study: Study, runs: pd.DataFrame, row: Row, envs: Sequence[str], variants: Sequence[str]
) -> Array:
    """``[blocks, K]``: environment × seed, or environments for a spread over seeds."""
    places = [study.variants.index(variant) for variant in variants]
    values = matrix(study, runs, row.column, envs)[:, places].swapaxes(1, 2)  # [E, S, K]
    if row.kind == "spread":
        level = matrix(study, runs, "level", envs)[:, places].mean(axis=-1)
        return values.std(axis=1, ddof=1) / level if values.shape[1] > 1 else values[:0, 0]
    return values.reshape(-1, len(places))
