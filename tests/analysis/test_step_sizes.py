"""The range of step sizes that serve, and the picture of it."""

import numpy as np
import pytest

from analysis.figures.step_sizes import draw
from analysis.study import Study
from analysis.summaries.step_sizes import serving, step_sizes
from tests.analysis.claims.test_rules import step_world


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0, 0, 1, 0, 0], 1.5, 2.5),  # half-way to its neighbours
        ([0, 1, 1, 0, 1], 0.5, 2.5),  # what lies apart does not count
        ([1, 1, 0, 0, 0], 0, 1.5),  # ends with the grid
        ([0.4, 0.4, 0.4, 0.4, 0.4], 2, 2),  # nowhere
        ([0, 0.2, 0.8, 0.5, 0], 1.5, 3),
    ],
)
def test_the_range_that_serves_is_contiguous(values: list[float], low: float, high: float) -> None:
    assert serving(np.arange(5.0), np.array(values), 0.5) == pytest.approx((low, high))


def test_trpos_step_is_the_root_of_its_bound() -> None:
    grids = step_sizes(step_world(1, 5, 5).studies["step_sizes"])
    assert list(grids) == ["vpg", "ppo", "trpo"]
    for grid in grids.values():
        assert list(grid.values()) == pytest.approx([k / 2 - 4 for k in range(9)])


def test_other_algorithms_are_left_out_and_missing_ones_drawn_without() -> None:
    data = step_world(1, 5, 5, sd=0)
    study, measures = data.studies["step_sizes"], data.measures["step_sizes"]
    for variant in study.plan["variants"]:
        if variant["algo"]["name"] == "trpo":
            variant["algo"] = {"name": "sgd", "learning_rate": 0.1}
    assert step_sizes(study)["trpo"] == {} and "sgd" not in step_sizes(study)
    best = measures.assign(u=measures.u.where(~measures.variant.str.startswith("trpo"), 7.0))
    drawing = draw(study, best)
    assert set(drawing.data.method) == {"vpg", "ppo"}
    assert drawing.data.half_of_best.unique() == pytest.approx([0.45])
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["naive policy gradient", "PPO"]


def test_what_is_not_drawn_is_named_and_nothing_to_draw_is_no_error() -> None:
    data = step_world(1, 5, 5, sd=0)
    study, measures = data.studies["step_sizes"], data.measures["step_sizes"]
    for variant in study.plan["variants"]:
        if variant["algo"]["name"] != "ppo":
            variant["algo"] = {"name": "sgd", "learning_rate": 0.1}
    named = draw(study, measures).caption
    assert "Not drawn, of other methods: " in named and study.labels["vpg_0"] in named
    for variant in study.plan["variants"]:
        variant["algo"] = {"name": "sgd", "learning_rate": 0.1}
    assert len(draw(study, measures).data) == 0


def test_the_picture_shows_means_of_every_method_and_size() -> None:
    data = step_world(1, 5, 5, sd=0)
    drawing = draw(data.studies["step_sizes"], data.measures["step_sizes"])
    hopper = drawing.data[drawing.data.env == "hopper"].set_index("variant")
    assert len(hopper) == 27 and hopper.seeds.eq(5).all()
    assert hopper.u["ppo_4"] == pytest.approx(0.9) and hopper.u["vpg_0"] == 0
    assert hopper.half_of_best.unique() == pytest.approx([0.45])
    assert hopper.serves[["ppo_2", "ppo_6", "vpg_4"]].all() and not hopper.serves["vpg_5"]


def test_every_environment_has_all_its_seeds_and_what_diverged_is_drawn_at_the_floor() -> None:
    data = step_world(1, 5, 5)
    study, measures = data.studies["step_sizes"], data.measures["step_sizes"]
    keep = (measures.env != "hopper") | (measures.seed < 3)
    runs = [r for r in study.plan["runs"] if r["env"] != "hopper" or r["seed"] < 3]
    study = Study(study.folder, {**study.plan, "runs": runs})
    measures = measures[keep].assign(u=measures.u.where(measures.variant != "vpg_8", -7.0))
    drawing = draw(study, measures)
    seeds = drawing.data.groupby("env").seeds.unique()
    assert seeds["hopper"].tolist() == [3] and seeds["walker2d"].tolist() == [5]
    lowest = min(line.get_ydata().min() for line in drawing.figure.axes[0].lines[:3])
    assert lowest == -1.0 >= drawing.figure.axes[0].get_ylim()[0]
