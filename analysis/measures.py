"""Runs → numbers: one row per run, what it is worth and how it got there.

python -m analysis.measures PLAN.json UNTRAINED.csv PUBLISHED_SCALE.yaml OUT.csv MANIFEST

On the **published scale** of an environment, 0 is the untrained policy and 1 a return from the
literature: ``u = (return − untrained) / (reference − untrained)``.  Both are constants of the
repository, fixed before any run.  u may exceed 1; in means u is held at −1 or above.

A diverged, infinite or missing part of a run counts as the worst, in every measure: u = −1, KL and
|r − 1| at the upper end of their range, a clip fraction of 1.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from analysis import manifest
from analysis.curves import bin_of
from analysis.statistics import Array
from analysis.study import RUN_KEYS, Study, read_study
from replicate.messages import DataError, given_files, one_line_errors
from replicate.store.files import MANIFEST

Measures = dict[str, float | int | bool]

SCORE_EPISODES = 100
LAST_SHARE = 0.1
BINS = 20
EARLY_BINS = 5
HALF_WAY = 0.5
WORST = -1.0
"""The u of what diverged or is missing, and the least that counts in a mean."""
LEAST_SPREAD_U = 0.01
"""Runs that all reach the same highest return do not make a difference of 0 certain."""
RUINED_BELOW = -0.25
COLLAPSE_PEAK = 0.25
COLLAPSE_STANDARD_ERRORS = 4.0
SIZE_RANGE = (1e-8, 1e2)
"""Within which KL (nats) and |r − 1| are held: a refused step moves nothing, divergence no end."""

COLUMNS = {
    "score": "mean undiscounted return of the last 100 training episodes (of all, if fewer); for "
    "Table 1 alone",
    "final": "mean return of the episodes that end in the last 10 % of env steps, or of the last "
    "one; diverged: at most the return of u = −1",
    "final_episodes": "how many episodes `final` is over",
    "diverged": "whether the run left the finite numbers",
    "untrained": "return of the untrained policy, actions clipped to the box: u = 0",
    "reference_return": "return of the literature: u = 1; empty: there is none, nor a u",
    "start": "mean return before the first update, over the runs of the variant: what its recipe "
    "makes of an untrained policy",
    "u": "`final` on the published scale; may be below −1",
    "ruined": "u more than 0.25 below 0 and below the variant's start, or diverged",
    "collapsed": "some bin reached u ≥ 0.25 and four standard errors above 0, and u is below half "
    "of the highest such bin; or diverged",
    "early_u": "mean of u over the first 5 of 20 bins",
    "steps_to_half": "env steps until two consecutive bins reach u = 0.5; inf: never (censored)",
    "peak_u": "u of the highest of 20 bins",
    "drawdown": "largest fall of u below an earlier bin",
    "mean_log_kl": "mean over updates of log KL(old‖new), KL in nats, held within [1e-8, 1e2]",
    "mean_log_ratio_deviation": "the same of the batch's mean |r − 1|",
    "mean_log_ratio_deviation_99": "the same of the batch's 99 % quantile of |r − 1|",
    "kl_95": "95 % quantile over updates of KL, nats, held likewise",
    "kl_max": "the largest, held likewise",
    "clip_fraction": "mean over updates of the share of samples with |r − 1| > ε (0.2 without a "
    "clip)",
    "ratio_max": "largest ratio of any sample of any update; inf: not finite",
    "updates": "how many were made",
}


@dataclass(frozen=True)
class PublishedScale:
    """Return ↦ u on one environment.

    Args:
        untrained: return of the untrained policy, u = 0.
        reference: return of the literature, u = 1; NaN where there is none.

    """

    untrained: float
    reference: float

    def __call__(self, returns: npt.ArrayLike) -> Array:
        """``(return − untrained) / (reference − untrained)``."""
        values = np.asarray(returns, dtype=np.float64)
        return (values - self.untrained) / (self.reference - self.untrained)

    @property
    def worst_return(self) -> float:
        """Return of u = −1, as far below the untrained policy as the literature's is above it.

        The untrained policy's where there is no scale.
        """
        if np.isnan(self.reference):
            return self.untrained
        return 2 * self.untrained - self.reference


@dataclass(frozen=True, eq=False)
class Course:
    """The learning curve of one run in ``BINS`` equal bins, in u.

    Args:
        ends: ``[BINS]``, env steps.
        u: ``[BINS]``, without a gap: a bin in which no episode ended has the value of the bin
            before it, those before the first episode have its bin's, and from the bin in which a
            run diverged on u is −1 at most.  May be below −1.
        errors: ``[BINS]``, standard errors of ``u``; NaN where it is not a mean of episodes.

    """

    ends: Array
    u: Array
    errors: Array

    @property
    def held(self) -> Array:
        """``u``, at least −1."""
        return np.maximum(self.u, WORST)

    @property
    def peak(self) -> float:
        """Highest u of a bin that is no noise: 0.25 or more, four standard errors above 0.

        NaN where there is no such bin.
        """
        # Comparisons with NaN are False.
        sure = (self.u >= COLLAPSE_PEAK) & (self.u > COLLAPSE_STANDARD_ERRORS * self.errors)
        return float(self.u[sure].max()) if sure.any() else float("nan")

    @property
    def steps_to_half(self) -> float:
        """Env steps at the end of the second of two consecutive bins with u ≥ 0.5, or infinity.

        A bin in which no episode ended tells nothing, and is passed over.
        """
        known = ~np.isnan(self.errors)
        there = self.u[known] >= HALF_WAY
        pairs = np.flatnonzero(there[1:] & there[:-1])
        return float(self.ends[known][pairs[0] + 1]) if len(pairs) else float("inf")

    @property
    def drawdown(self) -> float:
        """``max_t (max_{s ≤ t} u_s − u_t)`` of ``held``."""
        return float((np.maximum.accumulate(self.held) - self.held).max())


def course(env_steps: Array, u: Array, total_env_steps: int, diverged_at: float = np.inf) -> Course:
    """Bins of the episodes of one run.

    A bin's standard error is ``s / √n`` with its own standard deviation or the one pooled over all
    bins, whichever is larger: three episodes may agree by chance.

    Args:
        env_steps: ``[N]`` where episodes ended, rising.
        u: ``[N]``, of their returns.
        total_env_steps: length of the run.
        diverged_at: env step at which it left the finite numbers.

    """
    edges = np.linspace(0, total_env_steps, BINS + 1)
    place = bin_of(env_steps, total_env_steps, BINS)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, u, BINS) / count
        squares = np.bincount(place, (u - mean[place]) ** 2, BINS)
        pooled = squares.sum() / np.maximum(count - 1, 0).sum()
        own = np.where(count > 1, squares / (count - 1), 0.0)
        # One episode in every bin: there is no standard deviation, and nothing is sure.
        variance = np.maximum(own, np.nan_to_num(pooled, nan=np.inf))
        errors = np.where(count > 0, np.sqrt(variance / count), np.nan)
    filled = pd.Series(mean).ffill().bfill().fillna(WORST).to_numpy(copy=True)
    lost = edges[1:] >= diverged_at
    filled[lost] = np.minimum(filled[lost], WORST)
    errors[lost] = 0.0  # known to be the worst
    return Course(edges[1:], filled, errors)


def mean_of_last(env_steps: Array, returns: Array, total_env_steps: int) -> tuple[float, int]:
    """Mean return of the episodes that end in the last 10 % of env steps, or of the last episode.

    Returns:
        The mean (NaN without an episode), and how many episodes it is over.

    """
    late = returns[env_steps > (1 - LAST_SHARE) * total_env_steps]
    last = late if len(late) else returns[-1:]
    return (float(last.mean()), len(last)) if len(last) else (float("nan"), 0)


def return_measures(
    env_steps: Array,
    returns: Array,
    scale: PublishedScale,
    start: float,
    total_env_steps: int,
    diverged_at: float | None,
) -> Measures:
    """Measures of one run's episodes.

    Args:
        env_steps: ``[N]`` where episodes ended, rising.
        returns: ``[N]``; one that is not finite counts as the return of u = −1.
        scale: of the environment.
        start: mean return before the first update; NaN: not known.
        total_env_steps: length of the run.
        diverged_at: env step at which it left the finite numbers, or None.

    """
    worst = scale.worst_return
    returns = np.where(np.isfinite(returns), returns, worst)
    score = float(returns[-SCORE_EPISODES:].mean()) if len(returns) else worst
    final, episodes = mean_of_last(env_steps, returns, total_env_steps)
    diverged = diverged_at is not None
    if diverged or not episodes:
        score, final = np.fmin(score, worst), np.fmin(final, worst)
    measures: Measures = {
        "score": score,
        "final": final,
        "final_episodes": episodes,
        "diverged": diverged,
        "untrained": scale.untrained,
        "reference_return": scale.reference,
        "start": start,
    }
    u = float(scale(final))
    if diverged:  # exactly, whatever the rounding
        u = min(u, WORST)
    if np.isnan(u):  # no scale, no u
        nothing = ("u", "early_u", "steps_to_half", "peak_u", "drawdown")
        return (
            measures
            | dict.fromkeys(nothing, np.nan)
            | dict.fromkeys(("ruined", "collapsed"), diverged)
        )
    curve = course(
        env_steps, scale(returns), total_env_steps, np.inf if diverged_at is None else diverged_at
    )
    beginning = np.fmin(0.0, float(scale(start)))
    return measures | {
        "u": u,
        "ruined": bool(u < beginning + RUINED_BELOW) or diverged,
        "collapsed": bool(u < curve.peak / 2) or diverged,
        "early_u": float(curve.held[:EARLY_BINS].mean()),
        "steps_to_half": curve.steps_to_half,
        "peak_u": float(curve.held.max()),
        "drawdown": curve.drawdown,
    }


def held(sizes: npt.ArrayLike, expected: int) -> Array:
    """Sizes of updates within ``SIZE_RANGE``; one that is not finite or missing is the largest.

    Args:
        sizes: ``[N]``, KL or |r − 1|.
        expected: how many updates the whole run has.

    """
    return np.clip(_with_worst(sizes, expected, np.inf), *SIZE_RANGE)


def _with_worst(values: npt.ArrayLike, expected: int, worst: float) -> Array:
    """``values``, with ``worst`` for those that are not finite and those that are missing."""
    known = np.asarray(values, dtype=np.float64)
    missing = np.full(max(0, expected - len(known)), worst)
    return np.concatenate([np.where(np.isfinite(known), known, worst), missing])


def update_measures(updates: pd.DataFrame, expected: int) -> Measures:
    """Measures of one run's updates.

    Args:
        updates: ``kl, ratio_mean_abs_deviation, ratio_deviation_99, ratio_max, clip_fraction``.
        expected: how many the whole run has; one that diverged made fewer.

    """
    kl = held(updates.kl, expected)
    return {
        "mean_log_kl": float(np.log(kl).mean()),
        "mean_log_ratio_deviation": float(
            np.log(held(updates.ratio_mean_abs_deviation, expected)).mean()
        ),
        "mean_log_ratio_deviation_99": float(
            np.log(held(updates.ratio_deviation_99, expected)).mean()
        ),
        "kl_95": float(np.quantile(kl, 0.95)),
        "kl_max": float(kl.max()),
        "clip_fraction": float(_with_worst(updates.clip_fraction, expected, 1.0).mean()),
        "ratio_max": float(_with_worst(updates.ratio_max, expected, np.inf).max()),
        "updates": len(updates),
    }


def start_returns(episodes: pd.DataFrame, num_steps: int) -> pd.Series:
    """``env, variant`` → mean return of the episodes that ended before the first update.

    A mean over runs of each run's mean.  What an untrained policy gets depends on the recipe:
    without clipping, large actions cost more, on Reacher almost as much as there is to gain.
    """
    first = episodes[(episodes.env_step <= num_steps) & np.isfinite(episodes.episodic_return)]
    by_run = first.groupby(RUN_KEYS).episodic_return.mean().astype("float64")
    return by_run.groupby(["env", "variant"]).mean()


def scales(
    study: Study, untrained: pd.DataFrame, published: Mapping[str, Any]
) -> dict[str, PublishedScale]:
    """Environment → scale.

    Args:
        untrained: ``env, untrained``; where an environment has no row, the returns before the first
            update stand in.
        published: environment → ``return``, ``source``.

    Raises:
        DataError: a published return is not above the untrained policy's.

    """
    constants = untrained.set_index("env").untrained
    starts = start_returns(study.episodes, study.num_steps).groupby("env").mean()
    scale_of = {
        env: PublishedScale(
            float(constants.get(env, starts.get(env, np.nan))),
            float(published.get(env, {"return": np.nan})["return"]),
        )
        for env in study.envs
    }
    for env, scale in scale_of.items():
        if scale.reference <= scale.untrained:
            raise DataError(
                f"{env}: the published return {scale.reference:g} is not above the untrained "
                f"policy's, {scale.untrained:g}; see conf/claims/published_scale.yaml"
            )
    return scale_of


def ruined_or_collapsed(measures: pd.DataFrame) -> pd.Series:
    """1 where a run ended in ruin or fell from what it had reached, else 0; NaN without a scale."""
    return (measures.ruined | measures.collapsed).astype(float).where(measures.u.notna())


def run_measures(study: Study, scale_of: Mapping[str, PublishedScale]) -> pd.DataFrame:
    """One row per run, in the order of the plan: ``env, variant, seed`` and ``COLUMNS``."""
    episodes, updates = (dict(iter(t.groupby(RUN_KEYS))) for t in (study.episodes, study.updates))
    diverged = {tuple(run[k] for k in RUN_KEYS): run["diverged_at_env_step"] for run in study.runs}
    starts = start_returns(study.episodes, study.num_steps)
    none = {"episodes": study.episodes[:0], "updates": study.updates[:0]}
    rows = []
    for entry in study.plan["runs"]:
        key = tuple(entry[name] for name in RUN_KEYS)
        ended = episodes.get(key, none["episodes"])
        rows.append(
            {
                **dict(zip(RUN_KEYS, key, strict=True)),
                **return_measures(
                    ended.env_step.to_numpy(np.float64),
                    ended.episodic_return.to_numpy(np.float64),
                    scale_of[entry["env"]],
                    float(starts.get(key[:2], np.nan)),
                    study.total_env_steps,
                    diverged[key],
                ),
                **update_measures(updates.get(key, none["updates"]), study.num_updates),
            }
        )
    return pd.DataFrame(rows)[[*RUN_KEYS, *COLUMNS]]


def read_published_scale(file: Path) -> dict[str, dict[str, Any]]:
    """``conf/claims/published_scale.yaml``: environment → ``return`` and ``source``.

    Raises:
        DataError: an entry is not a number with its source.

    """
    try:
        entries = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return {
            str(env): {"return": float(entry["return"]), "source": str(entry["source"])}
            for env, entry in entries.items()
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{file}: not environment: {{return: NUMBER, source: TEXT}} on every line"
        ) from None


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    names = "PLAN.json", "UNTRAINED.csv", "PUBLISHED_SCALE.yaml", "OUT.csv", "MANIFEST"
    given = given_files("analysis.measures", names, arguments)
    plan, untrained, published, out, listed = map(Path, given)
    manifest.verify(untrained.parent / MANIFEST, [untrained])
    study = read_study(plan)
    known = scales(study, pd.read_csv(untrained), read_published_scale(published))
    run_measures(study, known).to_csv(out, index=False, float_format="%.7g")
    manifest.write(listed, [out])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
