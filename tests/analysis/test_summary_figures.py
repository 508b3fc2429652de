"""Pictures of the summaries: nothing empty, everything drawn is in the table, the same bytes."""

from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from analysis import manifest, products, style
from analysis.figures import epsilon, table1
from analysis.study import Study
from replicate.store.plans import FIGURE_FILES
from tests.analysis import made_up

TWO = {"hopper": "Hopper-v5", "reacher": "Reacher-v5"}


def made(folder: Path, module: ModuleType, seeds: int) -> tuple[Study, pd.DataFrame]:
    variants = made_up.TABLE1 if module is table1 else made_up.EPSILONS
    study = made_up.study(folder, variants, TWO, seeds=seeds)
    return study, made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))


def run(module: ModuleType, study: Study, measures: pd.DataFrame, folder: Path) -> list[Path]:
    folder.mkdir()
    measures.to_csv(folder / "measures.csv", index=False)
    made_up.list_beside(folder / "measures.csv")
    inputs = study.folder / "plan.json", folder / "measures.csv"
    name = module.__name__.rpartition(".")[2]
    assert products.main([*map(str, (*inputs, folder)), f"figures/{name}"]) == 0
    stem = folder / "figures" / study.name / name
    *outputs, listed = (stem.with_suffix(suffix) for suffix in FIGURE_FILES)
    manifest.verify(listed, outputs)
    return outputs


@pytest.mark.parametrize("seeds", [1, 3, 4])
@pytest.mark.parametrize("module", [table1, epsilon])
def test_no_panel_is_empty(tmp_path: Path, module: ModuleType, seeds: int) -> None:
    style.use()
    drawing = module.draw(*made(tmp_path, module, seeds))
    axes = drawing.figure.axes
    assert len(axes) == (1 if module is table1 else 8)
    for axis in axes:
        points = [x for line in axis.lines for x in np.ravel(line.get_xydata())]
        empty = seeds == 1 and axis.get_title() == "spread over seeds / level"
        assert empty or np.isfinite(points).any()
        assert np.isfinite([*axis.get_xlim(), *axis.get_ylim()]).all()
    assert f"{seeds} seed" in drawing.caption
    plt.close(drawing.figure)


@pytest.mark.parametrize("module", [table1, epsilon])
def test_the_same_scores_give_the_same_bytes(tmp_path: Path, module: ModuleType) -> None:
    study, measures = made(tmp_path / "study", module, 4)
    first, second = (run(module, study, measures, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_data_of_table1_is_what_is_drawn(tmp_path: Path) -> None:
    study, measures = made(tmp_path, table1, 4)
    data = table1.points(study, measures)
    kinds = data.groupby("kind").size().to_dict()
    assert kinds == {"ours": 3, "published": 3, "every seed": 12, "redrawn": 3}
    ours = data[data.kind == "ours"].set_index("variant").value
    seeds = data[data.kind == "every seed"].groupby("variant").value.mean()
    pd.testing.assert_series_equal(ours.sort_index(), seeds.sort_index(), check_names=False)


def test_no_clip_stands_apart(tmp_path: Path) -> None:
    study, _ = made(tmp_path, epsilon, 3)
    places = epsilon._places(study)
    assert [places[f"clip_{width:g}"] for width in made_up.WIDTHS] == [0, 1, 2, 3, 4]
    assert places["no_clipping"] > 5


def test_where_nothing_is_known_the_panel_says_so(tmp_path: Path) -> None:
    style.use()
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    nothing = dict.fromkeys(["u", "early_u", "steps_to_half", "peak_u", "drawdown"], np.nan)
    drawing = epsilon.draw(study, made_up.measures(study, -1.0, reference_return=np.nan, **nothing))
    said = [axis for axis in drawing.figure.axes if axis.texts]
    assert len(said) == 6  # all but the sizes of updates
    plt.close(drawing.figure)


def test_table1_without_a_scale_still_shows_what_was_published(tmp_path: Path) -> None:
    style.use()
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    drawing = table1.draw(study, made_up.measures(study, -1.0))
    assert set(drawing.data.kind) == {"published"}
    plt.close(drawing.figure)
