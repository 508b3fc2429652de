"""The last variant of a study minus each other one."""

import sys

import numpy as np
import pandas as pd

from analysis.study import Study
from analysis.summary import OVERALL, differences, provenance
from analysis.tables import INTERVALS, TOO_FEW, Table, main, p_text, with_interval


def make(study: Study, scores: pd.DataFrame) -> Table:
    """The table of the differences."""
    table = differences(study, scores, np.random.default_rng(0))
    reference = study.labels[study.variants[-1]]
    rows = [
        {
            "environment": row.env,
            f"“{reference}” minus": row.label,
            "difference": with_interval(
                row.difference,
                row.difference_low,
                row.difference_high,
                decimals=2 if row.env == OVERALL else None,
            ),
            "unit": "normalised score" if row.env == OVERALL else "return",
            "p (Holm)": p_text(row.p_holm),
            f"probability that “{reference}” is better": with_interval(
                row.improvement, row.improvement_low, row.improvement_high, decimals=2
            ),
            "runs": str(row.runs),
        }
        for row in table.itertuples()
    ]
    caption = (
        f"{study.plan['title']}: differences of the score (mean return of the last 100 training "
        "episodes). Over all environments: the mean of the environments' differences of normalised "
        f"scores. {INTERVALS}: Welch's t on one environment, Welch-Satterthwaite t over all, each "
        "on its own, about other seeds on the same environments. p: two-sided, of the same "
        "intervals, adjusted by Holm for all comparisons over all environments, and for all on "
        "single environments. A large p is no evidence that two are equal. Probability that a run "
        "of the one is better than a run of the other on the same environment (half of ties): "
        f"percentile bootstrap over seeds, “{TOO_FEW}” with three seeds or fewer, or where every "
        f"resample agrees. {provenance(study, scores)}"
    )
    return Table(table, pd.DataFrame(rows), caption)


if __name__ == "__main__":
    sys.exit(main(make, sys.argv[1:]))
