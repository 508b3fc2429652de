"""Runs → numbers: one row per run with its score and what is measured of its course.

python -m analysis.scores PLAN.json NORMALISERS.csv OUT.csv
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import manifest
from analysis.curves import binned, final_scores
from analysis.errors import one_line_errors
from analysis.normalisers import Normaliser, normalisers
from analysis.study import RUN_KEYS, Study, read_study
from replicate.records import MANIFEST

MIN_PEAK = 0.25
"""A run that never got this far (normalised) has nothing to lose."""
COLLAPSE_SHARES = (0.3, 0.5, 0.7)
LAST_SHARE = 0.1
EARLY_SHARE = 0.25

COLUMNS = {
    "score": "mean undiscounted return of the last 100 training episodes (of all, if fewer)",
    "episodes": "how many episodes the score is over",
    "diverged": "whether the run left the finite numbers; its score is then at most `untrained`",
    "untrained": "return of the untrained policy: 0 of the normalised score",
    "best": "best run: 1 of the normalised score",
    "frozen": "whether `untrained` and `best` are constants of the repository",
    "normalised": "(score − untrained)/(best − untrained)",
    "area": "mean of the binned learning curve, normalised",
    "early_area": "the same over the first quarter of the env steps",
    "steps_to_half": "env steps to half-way between untrained and the best setting; empty: never",
    "drawdown": "largest fall of the binned curve below an earlier peak, normalised",
    "collapsed_30": "peaked at 0.25 or more and ended below 30 % of its peak, or diverged",
    "collapsed_50": "… below 50 %",
    "collapsed_70": "… below 70 %",
    "kl": "mean over updates of KL(old‖new), nats",
    "kl_95": "its 95 % quantile over updates",
    "ratio_mean_abs_deviation": "mean over updates of mean |r − 1|",
    "ratio_max": "largest ratio of any update",
    "clip_fraction": "mean share of samples with |r − 1| > ε (0.2 without a clip)",
}


def collapse_name(share: float) -> str:
    """Column of the runs that ended below ``share`` of their peak."""
    return f"collapsed_{share * 100:.0f}"


def collapsed(curve: pd.Series, share: float) -> bool:
    """Whether a normalised learning curve got somewhere and lost it.

    Peak ≥ 0.25, and the mean over the last 10 % of env steps < share · peak.

    Args:
        curve: normalised return, indexed by the middle of its bin as a share of the run.

    """
    peak = curve.max()
    last = curve[curve.index > 1 - LAST_SHARE]
    end = last.mean() if len(last) else curve.iloc[-1]
    return bool(peak >= MIN_PEAK and end < share * peak)


def drawdown(curve: pd.Series) -> float:
    """max_t (max_{s ≤ t} y_s − y_t)."""
    return float((curve.cummax() - curve).max())


def course(returns: pd.Series, normaliser: Normaliser, half_way: float) -> dict[str, float]:
    """Measures of one learning curve.

    Args:
        returns: raw return, indexed by the middle of its bin as a share of the run; may be empty.
        half_way: raw return that counts as half-way.

    """
    if returns.empty:
        return {"area": np.nan, "early_area": np.nan, "steps_to_half": np.nan, "drawdown": np.nan}
    curve = (returns - normaliser.untrained) / normaliser.scale
    there = returns.index[returns >= half_way]
    return {
        "area": curve.mean(),
        "early_area": curve[curve.index <= EARLY_SHARE].mean(),
        "steps_to_half": there[0] if len(there) else np.nan,
        "drawdown": drawdown(curve),
        **{collapse_name(share): collapsed(curve, share) for share in COLLAPSE_SHARES},
    }


def run_scores(study: Study, frozen_normalisers: Path) -> pd.DataFrame:
    """One row per run, in the order of the plan: ``env, variant, seed`` and ``COLUMNS``."""
    planned = pd.DataFrame(study.plan["runs"])[RUN_KEYS]
    diverged = {(r["env"], r["variant"], r["seed"]): r["status"] == "diverged" for r in study.runs}
    table = planned.merge(final_scores(study.episodes), how="left", on=RUN_KEYS)
    table["diverged"] = [diverged[key] for key in table[RUN_KEYS].itertuples(index=False)]
    known = normalisers(study, table[~table.diverged], frozen_normalisers)
    untrained = table.env.map({env: n.untrained for env, n in known.items()})
    table["episodes"] = table.episodes.fillna(0).astype(int)
    table["score"] = table.score.fillna(untrained)
    table.loc[table.diverged, "score"] = np.minimum(table.score, untrained)[table.diverged]

    setting = table.groupby(["env", "variant"]).score.mean().groupby("env").max()
    curves = binned(study.episodes, study.total_env_steps)
    curves["share"] = curves.env_step / study.total_env_steps
    by_run = {
        key: part.set_index("share").episodic_return for key, part in curves.groupby(RUN_KEYS)
    }
    rows = []
    for row in table.itertuples():
        normaliser = known[row.env]
        half_way = (normaliser.untrained + setting[row.env]) / 2
        learnt = half_way > normaliser.untrained
        found = course(
            by_run.get((row.env, row.variant, row.seed), pd.Series(dtype=float)),
            normaliser,
            half_way if learnt else np.inf,
        )
        found["steps_to_half"] *= study.total_env_steps
        for share in COLLAPSE_SHARES:
            name = collapse_name(share)
            found[name] = bool(found.get(name, False)) or row.diverged
        rows.append(
            {
                "untrained": normaliser.untrained,
                "best": normaliser.best,
                "frozen": normaliser.frozen,
                "normalised": normaliser(row.score),
                **found,
            }
        )
    table = pd.concat([table, pd.DataFrame(rows)], axis=1)
    table = table.merge(update_sizes(study.updates), how="left", on=RUN_KEYS)
    return study.in_order(table)[[*RUN_KEYS, *COLUMNS]]


def update_sizes(updates: pd.DataFrame) -> pd.DataFrame:
    """Per run: how far its updates moved the policy."""
    groups = updates.groupby(RUN_KEYS)
    return groups.agg(
        kl=("kl", "mean"),
        kl_95=("kl", lambda kl: kl.quantile(0.95)),
        ratio_mean_abs_deviation=("ratio_mean_abs_deviation", "mean"),
        ratio_max=("ratio_max", "max"),
        clip_fraction=("clip_fraction", "mean"),
    ).reset_index()


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    plan, frozen_normalisers, out = map(Path, arguments)
    manifest.verify(frozen_normalisers.parent / MANIFEST, [frozen_normalisers])
    scores = run_scores(read_study(plan), frozen_normalisers)
    scores.to_csv(out, index=False, float_format="%.7g")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
