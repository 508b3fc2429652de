"""How often the report's intervals hold the truth, and how often its verdicts are wrong."""

import pandas as pd

from analysis.claims.ledger import IN_PART, INCONCLUSIVE
from analysis.report.elements import Table, grid

COVERAGE_KEYS = ["statistic", "method", "environments", "distribution"]
ERROR_KEYS = ["claim", "truth", "wrong"]


def coverage_table(coverage: pd.DataFrame) -> Table:
    """How often nominal 95 % intervals hold the truth."""
    wide = coverage.pivot_table(index=COVERAGE_KEYS, columns="seeds", values="coverage", sort=True)
    header = [*COVERAGE_KEYS, *(f"{seeds} seeds" for seeds in wide.columns)]
    rows = [
        (*key, *("–" if pd.isna(value) else f"{value:.1%}" for value in row))
        for key, row in zip(wide.index, wide.values, strict=True)
    ]
    caption = (
        "How often intervals that claim 95 % hold the truth, by simulation. By kind of interval, "
        "number of environments and distribution of the runs (python -m analysis.coverage)."
    )
    return grid(caption, header, rows)


def error_table(rates: pd.DataFrame) -> Table:
    """How often a verdict is wrong where the truth is known."""
    wide, in_part, open_ = (
        rates.pivot_table(index=ERROR_KEYS, columns="seeds", values=value, sort=False)
        for value in ("error", IN_PART, INCONCLUSIVE)
    )
    header = ["claim", "if in truth", "this would be wrong"]
    for what in ("how often", IN_PART, INCONCLUSIVE):
        header += [f"{what}, {seeds} seeds" for seeds in wide.columns]
    rows = [
        (*key, *(f"{value:.1%}" for value in [*row, *in_part.loc[key], *open_.loc[key]]))
        for key, row in zip(wide.index, wide.values, strict=True)
    ]
    sets = int(rates.data_sets.min())
    environments = " and ".join(map(str, sorted(rates.environments.unique())))
    caption = (
        f"How often a verdict is wrong, by simulation: {sets} data sets for each number, with the "
        f"noise of real runs on {environments} environments, more than some claims have. Beside it "
        f"how often it is {IN_PART}, which is not counted as wrong, and {INCONCLUSIVE}; what is "
        f"left are other verdicts. Each claim is judged as the last of its family, where its "
        f"error is largest. Claims that are not in the table were not simulated (python -m "
        f"analysis.claims.error_rates)."
    )
    return grid(caption, header, rows)
