"""Table 1's row without clipping, with HalfCheetah as in another study."""

import math

import pandas as pd
import pytest

from analysis.claims.no_clipping_row import no_clipping_row
from analysis.claims.parts import Data
from tests.analysis.claims.worlds import world

TABLE1 = pd.DataFrame(
    {"env": "half_cheetah", "variant": ["no_clipping", "clip_0.2"], "seed": 0}
    | {"untrained": -300.0, "score": [0.0, 1700.0]}
)
# Two environments: HalfCheetah at 0.15, Hopper at 0.4.
SCORES = {"half_cheetah": pd.Series([0.15]), "hopper": pd.Series([0.3, 0.5])}


def test_the_row_is_the_mean_with_halfcheetah_exchanged() -> None:
    returns = {"raw": (-2300.0, -1900.0), "none": (100.0, 300.0)}
    data = world(
        "no_clipping_row",
        list(returns),
        2,
        {"half_cheetah": "HalfCheetah-v5", "hopper": "Hopper-v5"},
        score=lambda env, variant, seed: returns[variant][seed] if env == "half_cheetah" else 9.0,
    )
    (table,) = no_clipping_row(data, SCORES, TABLE1, -0.35)
    rows = {row[0]: row[1:] for row in table.rows}
    # From −300 to 1,700 is 1 on the table's scale.
    assert rows["raw"] == pytest.approx([2, -2100, -2300, -1900, -0.9, (0.4 - 0.9) / 2])
    assert rows["none"] == pytest.approx([2, 200, 100, 300, 0.25, (0.4 + 0.25) / 2])
    *_, score, row = rows["the paper's row"]
    assert (score, row) == (pytest.approx(-1.1), -0.35)
    assert rows["the paper's row"][:1] == [None]
    assert rows["the paper's row"][1] == pytest.approx(-300 - 1.1 * 2000)


def test_without_the_study_or_halfcheetah_there_is_no_table() -> None:
    assert no_clipping_row(Data(), SCORES, TABLE1, math.nan) == []
    only = {"hopper": SCORES["hopper"]}
    assert no_clipping_row(Data(), only, TABLE1[:0], -0.39) == []
