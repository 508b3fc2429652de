"""What 0 and 1 mean: the untrained policy's return, and the best run's.

Both constants are frozen in ``results/reference/normalisers.csv``, per recipe, length of the runs
and environment.  Where there is no row yet, the runs at hand stand in, and every table says so.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.study import Study

KEYS = ["recipe", "total_env_steps", "env"]


@dataclass(frozen=True)
class Normaliser:
    """Score ↦ (score − untrained)/(best − untrained) on one environment.

    Args:
        untrained: mean return of the policy before its first update.
        best: score of the best single run.
        frozen: whether both are constants of the repository.

    """

    untrained: float
    best: float
    frozen: bool

    def __call__(self, score: float) -> float:
        """0 for the untrained policy, 1 for the best run.  Source: PPO paper, section 6.1."""
        return (score - self.untrained) / self.scale

    @property
    def scale(self) -> float:
        """Best − untrained; NaN unless the best run is better than no training."""
        return self.best - self.untrained if self.best > self.untrained else float("nan")


def untrained_return(study: Study, env: str) -> float:
    """Mean return of the episodes that ended before the first update, over all runs."""
    episodes = study.episodes
    first = episodes[(episodes.env == env) & (episodes.env_step <= study.num_steps)]
    # Variants with one seed share their first rollout: a mean over seeds, not over runs.
    return float(first.groupby("seed").episodic_return.mean().mean())


def normalisers(study: Study, scores: pd.DataFrame, frozen_file: Path) -> dict[str, Normaliser]:
    """Environment → normaliser: frozen where there is one for these runs.

    Args:
        scores: ``env, score``, one row per run; the best stands in where none is frozen.
        frozen_file: ``results/reference/normalisers.csv``.

    """
    frozen = pd.read_csv(frozen_file)
    frozen = frozen[frozen.recipe == study.recipe]
    found = {}
    for env in study.envs:
        rows = frozen[frozen.env == env]
        same = rows[rows.total_env_steps == study.total_env_steps]
        # What an untrained policy gets does not depend on how long others train.
        untrained = rows.untrained.iloc[0] if len(rows) else untrained_return(study, env)
        best = same.best.iloc[0] if len(same) else scores[scores.env == env].score.max()
        found[env] = Normaliser(float(untrained), float(best), len(same) > 0)
    return found
