"""Runs in which something changes half-way: what a policy had learnt by then."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.measures import PublishedScale
from analysis.statistics import Array
from analysis.study import Study

BEFORE = 0.1
"""Share of the env steps before a change over which a policy is judged."""


def first_changed_update(study: Study, variant: str) -> int:
    """Number of a variant's first update under its ``change``."""
    change = study.changes[variant]
    assert change is not None
    return change.first_update(study.num_updates)


def of_run(table: pd.DataFrame, run: Any) -> pd.DataFrame:
    """The rows of one run: of its environment, variant and seed."""
    mine = (table.env == run.env) & (table.variant == run.variant)
    return table[mine & (table.seed == run.seed)]


def course(study: Study, run: Any) -> tuple[Array, Array]:
    """Env step at which each episode of a run ended, and its return on the published scale.

    Args:
        run: row of the measures: its keys, ``untrained`` and ``reference_return``.

    """
    own = of_run(study.episodes, run)
    returns, ended = (own[name].to_numpy(np.float64) for name in ("episodic_return", "env_step"))
    return ended, PublishedScale(run.untrained, run.reference_return)(returns)


def level_before(ended: Array, u: Array, start: float) -> float:
    """Mean u of the episodes that ended in the last tenth of the env steps up to ``start``.

    NaN: none did.
    """
    window = u[(ended > (1 - BEFORE) * start) & (ended <= start)]
    return float(window.mean()) if len(window) else np.nan
