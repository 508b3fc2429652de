"""Learning curves: episodes → mean return per bin of env steps."""

import numpy as np
import numpy.typing as npt
import pandas as pd

MAX_BINS = 50
MIN_BIN_ENV_STEPS = 2048


def number_of_bins(total_env_steps: int) -> int:
    """Equal bins of runs of this length."""
    return max(1, min(MAX_BINS, total_env_steps // MIN_BIN_ENV_STEPS))


def bin_of(env_steps: npt.ArrayLike, total_env_steps: int, bins: int) -> npt.NDArray[np.intp]:
    """Which of so many equal bins an env step lies in, from 0; a bin has its end, not its start."""
    edges = np.linspace(0, total_env_steps, bins + 1)
    return np.clip(np.searchsorted(edges, env_steps, side="left") - 1, 0, bins - 1)


def binned(episodes: pd.DataFrame, total_env_steps: int) -> pd.DataFrame:
    """Mean episodic return per run and bin; a bin without an episode end is left out.

    Args:
        episodes: ``env_step, episodic_return, env, variant, seed``.
        total_env_steps: length of the runs.

    Returns:
        ``env, variant, seed, env_step`` (middle of the bin), ``episodic_return``.

    """
    bins = number_of_bins(total_env_steps)
    edges = np.linspace(0, total_env_steps, bins + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    keys = ["env", "variant", "seed", "env_step"]
    return (
        episodes.assign(env_step=middle[bin_of(episodes.env_step, total_env_steps, bins)])
        .groupby(keys, sort=True, observed=True)["episodic_return"]
        .mean()
        .reset_index()
    )
