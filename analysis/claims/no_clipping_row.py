"""Table 1's row "no clipping or penalty": what takes HalfCheetah where the paper's must be."""

from collections.abc import Mapping

import pandas as pd

from analysis.claims.parts import Data, Table

STUDY, ENV = "no_clipping_row", "half_cheetah"


def no_clipping_row(
    data: Data, scores: Mapping[str, pd.Series], table1: pd.DataFrame, published: float
) -> list[Table]:
    """The row's score if HalfCheetah had gone as in each variant of study ``no_clipping_row``.

    All else is the row as trained, with all seeds that Table 1 has: the other environments'
    scores, and the scale.

    Args:
        scores: of the row: environment → score by seed; 0 untrained, 1 the table's best run.
        table1: measures of the table's runs.
        published: the row's score in the paper.

    Returns:
        No table where the study was not run, or HalfCheetah is not in the table.

    """
    runs = table1[table1.env == ENV]
    if STUDY not in data.measures or ENV not in scores or runs.empty:
        return []
    study, measures = data.studies[STUDY], data.measures[STUDY]
    others = sum(float(of_env.mean()) for env, of_env in scores.items() if env != ENV)
    untrained = float(runs.untrained.iloc[0])
    reach = float(runs.score.max()) - untrained
    rows: list[list[object]] = []
    for variant in study.variants:
        returns = measures[(measures.env == ENV) & (measures.variant == variant)].score
        score = (float(returns.mean()) - untrained) / reach
        seeds = [len(returns), float(returns.mean()), float(returns.min()), float(returns.max())]
        rows.append([study.labels[variant], *seeds, score, (others + score) / len(scores)])
    score = published * len(scores) - others
    rows.append(["the paper's row", None, untrained + score * reach, None, None, score, published])
    columns = [
        "HalfCheetah as under",
        "seeds",
        "mean return",
        "lowest seed",
        "highest",
        "score on HalfCheetah",
        "the row",
    ]
    return [Table("The row “no clipping or penalty” if HalfCheetah had gone so", columns, rows)]
