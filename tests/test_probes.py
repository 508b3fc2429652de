"""Claims that a probe computes, against their closed form."""

from pathlib import Path

import pandas as pd
import pytest

from replicate.probes import clipped_objective


@pytest.fixture
def curve(tmp_path: Path) -> pd.DataFrame:
    assert clipped_objective.main([str(tmp_path / "new" / "out.csv")]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.csv"]
    return pd.read_csv(tmp_path / "new" / "out.csv")


def test_c1_the_objective_is_capped_above_for_good_and_below_for_bad(curve: pd.DataFrame) -> None:
    assert list(curve) == clipped_objective.COLUMNS
    good, bad = (curve[curve.advantage == a].reset_index(drop=True) for a in (1, -1))
    assert len(good) + len(bad) == len(curve)
    for rows in (good, bad):
        assert rows.ratio.tolist() == [k / 200 for k in range(401)]
        assert rows.unclipped.tolist() == (rows.advantage * rows.ratio).tolist()
    assert good.clipped.tolist() == [min(r, 1.2) for r in good.ratio]
    assert bad.clipped.tolist() == [min(-r, -0.8) for r in bad.ratio]


def test_c2_the_gradient_is_zero_exactly_there_and_nowhere_else(curve: pd.DataFrame) -> None:
    inside = curve[~curve.ratio.isin([0.8, 1.2])]  # no derivative at the kinks
    flat = ((inside.advantage > 0) & (inside.ratio > 1.2)) | (
        (inside.advantage < 0) & (inside.ratio < 0.8)
    )
    assert (inside.gradient[flat] == 0).all()
    assert (inside.gradient[~flat] == inside.advantage[~flat]).all()
    # On the wrong side of the interval it pulls back.
    assert (inside.gradient[(inside.advantage > 0) & (inside.ratio < 0.8)] == 1).all()
    assert (inside.gradient[(inside.advantage < 0) & (inside.ratio > 1.2)] == -1).all()


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        clipped_objective.main([str(file)])
    assert files[0].read_bytes() == files[1].read_bytes()
