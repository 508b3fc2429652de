"""KL pass by pass within single updates, and what a stop between two passes would leave of it."""

import numpy as np
import pandas as pd

BATCH = ["env", "env_steps", "seed"]
"""What names a batch of a record of single updates."""


def paths(record: pd.DataFrame, method: str) -> pd.DataFrame:
    """KL after each pass of a method's updates: a row for each batch, a column for each pass.

    One that is not a number counts as the largest.

    Args:
        record: of ``replicate.probes.update_passes``.

    """
    made = record[record.method == method].set_index([*BATCH, "passes"]).kl
    return made.fillna(np.inf).unstack()


def last_over_largest(path: pd.DataFrame) -> pd.Series:
    """KL after the last pass over the largest on the way to it, of each batch; 1: it only grew."""
    return path.iloc[:, -1] / path.max(axis=1)


def stopped_after(path: pd.DataFrame, limit: float) -> pd.Series:
    """Number of the pass after which each update ends where a KL above ``limit`` ends it."""
    above = path.gt(limit)
    return above.idxmax(axis=1).where(above.any(axis=1), path.columns[-1])


def kl_where_stopped(path: pd.DataFrame, limit: float) -> pd.Series:
    """KL of each update that a KL above ``limit`` after a pass ends."""
    places = path.columns.get_indexer(stopped_after(path, limit))
    return pd.Series(path.to_numpy()[np.arange(len(path)), places], path.index)
