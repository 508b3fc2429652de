"""The last variant of a study minus each other one, in u, paired by seed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.random import Generator

from analysis.measures import LEAST_SPREAD_U
from analysis.run_statistics import probability_of_improvement
from analysis.significance import holm, holm_levels
from analysis.statistics import (
    FEW_SEEDS,
    Array,
    bootstrap_over_environments,
    interval,
    mean_over_environments,
    paired_difference,
)
from analysis.study import Study
from analysis.summaries import (
    OVERALL,
    bounds,
    held_u_on,
    label_of,
    runs_text,
    scale_text,
    scaled_envs,
)
from analysis.tables import TOO_FEW, Table, p_text, with_interval

ALL_SEEDS = True
"""A mean over environments is of each one's own."""
LEVEL = 0.95
COLUMNS = [
    *("env", "variant", "label", "reference", "reference_label"),
    *("difference", "difference_low", "difference_high", "level", "method", "p_value", "p_holm"),
    *("improvement", "improvement_low", "improvement_high", "runs"),
]
SHRINKING = "reacher"
"""An untrained policy gains most of the way here by merely shrinking its noise."""


def differences(study: Study, measures: pd.DataFrame, generator: Generator) -> pd.DataFrame:
    """Per environment, overall, and overall without Reacher.

    Returns:
        ``env`` (or :data:`OVERALL`, or what is left out of it), ``variant, label, reference,
        reference_label, difference`` (of *final* u, mean over environments), ``difference_low,
        difference_high, level, method, p_value`` (two-sided, of the same interval), ``p_holm``
        (adjusted for all comparisons overall, apart from them for those without Reacher, and for
        all of the single environments), ``improvement, improvement_low, improvement_high``
        (probability that a run of the reference is better than one of the variant), ``runs`` (of
        both).  An interval excludes 0 exactly where ``p_holm`` is at most 1 − 0.95.

    """
    envs = scaled_envs(study, measures)
    rest = [env for env in envs if env != SHRINKING]
    families: list[dict[str, Sequence[str]]] = [{OVERALL: envs}]
    if rest and len(rest) < len(envs):
        families.append({f"{OVERALL} but {study.env_labels[SHRINKING]}": rest})
    families.append({env: [env] for env in envs})
    if not envs or len(study.variants) < 2:
        return pd.DataFrame(columns=COLUMNS)
    u = {env: held_u_on(study, measures, env) for env in envs}
    tables = [_family(study, u, places, generator) for places in families]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _family(
    study: Study,
    u: Mapping[str, Array],
    places: Mapping[str, Sequence[str]],
    generator: Generator,
) -> pd.DataFrame:
    """All comparisons that are adjusted together; ``u`` of each environment is ``[V, S]``."""
    *others, reference = study.variants
    keys = [(place, place_in_plan) for place in places for place_in_plan in range(len(others))]
    pairs = {(place, v): [u[env][[-1, v]] for env in places[place]] for place, v in keys}
    estimates = [
        mean_over_environments(
            [paired_difference(last, other, "u", LEAST_SPREAD_U) for last, other in of_envs]
        )
        for of_envs in pairs.values()
    ]
    p_values = [estimate.p_value for estimate in estimates]
    rows = []
    for (place, v), estimate, level in zip(keys, estimates, holm_levels(p_values), strict=True):
        shown = interval(estimate, float(level))
        better = bootstrap_over_environments(_improvement, pairs[place, v], generator)
        rows.append(
            {
                "env": place,
                "variant": others[v],
                "label": study.labels[others[v]],
                "reference": reference,
                "reference_label": study.labels[reference],
                **bounds("difference", shown),
                "level": shown.level,
                "method": shown.method,
                "p_value": estimate.p_value,
                **bounds("improvement", better),
                "runs": sum(pair.size for pair in pairs[place, v]),
            }
        )
    return pd.DataFrame(rows).assign(p_holm=holm(p_values))


def _improvement(pair: Array) -> Array:
    """Probability that a run of the first is better than one of the second: ``[..., E, 2, S]``."""
    return probability_of_improvement(pair[..., 0, :], pair[..., 1, :])


def make(study: Study, measures: pd.DataFrame) -> Table:
    """The table of the differences."""
    table = differences(study, measures, np.random.default_rng(0))
    reference = study.labels[study.variants[-1]]
    rows = [
        {
            "environment": label_of(study, row.env),
            f"“{reference}” minus": row.label,
            "difference in u": with_interval(
                row.difference, row.difference_low, row.difference_high, decimals=2
            ),
            "p (Holm)": p_text(row.p_holm),
            f"probability that “{reference}” is better": with_interval(
                row.improvement, row.improvement_low, row.improvement_high, decimals=2
            ),
            "runs": str(row.runs),
        }
        for row in table.itertuples()
    ] or [{"environment": "none has a published return, or there is one variant alone"}]
    caption = (
        f"{study.plan['title']}: differences of u, the mean return of the last 10 % of env steps "
        "on the published scale, paired by seed on each environment. "
        f"{scale_text(study, measures)} Brackets: t interval (“{TOO_FEW}”: too few runs for one), "
        "about other seeds on the same environments, at the level that Holm's procedure leaves it, "
        f"so that it excludes 0 exactly where p (Holm) is {1 - LEVEL:.2g} or less; p is two-sided, "
        "adjusted for all comparisons over all environments, and apart from them for all on single "
        "ones. A large p is no evidence that two are equal. Probability that a run of the one is "
        "better than a run of the other on the same environment (half of ties): 95 % bootstrap "
        f"over seeds, “{TOO_FEW}” below {FEW_SEEDS} seeds, or where every resample agrees. "
        f"{runs_text(study, measures)}"
    )
    return Table(table, pd.DataFrame(rows), caption)
