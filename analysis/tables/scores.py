"""Final scores: per environment and variant the mean, every seed, and what collapsed."""

import sys
from math import isnan

import pandas as pd

from analysis.scores import COLLAPSE_SHARES, MIN_PEAK, collapse_name
from analysis.study import Study
from analysis.summary import provenance, score_summary
from analysis.tables import INTERVALS, NONE, Table, main, number, with_interval

SHARES = " / ".join(f"{share * 100:.0f}" for share in COLLAPSE_SHARES)


def make(study: Study, scores: pd.DataFrame) -> Table:
    """The table of the scores."""
    summary = score_summary(study, scores)
    collapses = [(summary[collapse_name(s)] * summary.seeds).round() for s in COLLAPSE_SHARES]
    shown = pd.DataFrame(
        {
            "environment": summary.env,
            "variant": summary.label,
            "mean return": [
                with_interval(row.mean_, row.mean_low, row.mean_high)
                for row in summary.rename(columns={"mean": "mean_"}).itertuples()
            ],
            "every seed": [
                "; ".join(number(float(score)) for score in seeds.split())
                for seeds in summary.scores
            ],
            "episodes": [
                f"{a}" if a == b else f"{a} to {b}"
                for a, b in zip(summary.episodes_min, summary.episodes_max, strict=True)
            ],
            "diverged": summary.diverged.astype(str),
            f"collapsed below {SHARES} % of the peak": [
                NONE if isnan(a) else f"{a:.0f} / {b:.0f} / {c:.0f} of {n}"
                for a, b, c, n in zip(*collapses, summary.seeds, strict=True)
            ],
        }
    )
    caption = (
        f"{study.plan['title']}: scores. The score of a run is the mean raw, undiscounted return "
        "of its last 100 training episodes (of all, if fewer; “episodes” says how many). "
        f"{INTERVALS}: t interval over seeds, not corrected for several comparisons. A run "
        f"collapsed if its normalised learning curve peaked at {MIN_PEAK} or more and its last "
        "tenth lies below the given share of the peak; a diverged run counts as collapsed, and "
        f"scores at most what no training does. {provenance(study, scores)}"
    )
    return Table(summary, shown, caption)


if __name__ == "__main__":
    sys.exit(main(make, sys.argv[1:]))
