"""The forest picture draws what claims were judged by, each interval against its margin."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import forest, style
from analysis.claims.ledger import SUPPORTED
from tests.analysis import made_up
from tests.analysis.report.pages import judged

SUFFIXES = (".svg", ".png", ".csv", ".caption.txt", ".manifest.json")


def row(**changed: Any) -> dict[str, Any]:
    numbers = {"estimate": 0.2, "low": 0.1, "high": 0.3, "margin": 0.1, "level": 0.95, "n": 9}
    return {"claim": "P1", "part": "a − b", "unit": "u", "verdict": SUPPORTED, **numbers, **changed}


def drawn(*rows: dict[str, Any]) -> Any:
    return forest.draw(pd.DataFrame(rows, columns=forest.COLUMNS))


def test_an_axis_holds_what_is_judged_and_as_much_of_intervals_as_is_legible() -> None:
    low, high = forest.limits([0.2, -0.4], [-3.0, 5.0], [0.1], "u")
    assert low == pytest.approx(-1.05 * 1.5 * 0.4) and high == pytest.approx(1.05 * 1.5 * 0.4)
    low, high = forest.limits([0.2], [0.1, 0.25], [0.1], "u")
    assert low == pytest.approx(-1.05 * forest.LEAST) and high == pytest.approx(1.05 * 0.25)
    low, high = forest.limits([8.0], [4.0, 16.0], [2.0], "factor")
    assert low == pytest.approx(-1.05 * math.log(2)) and high == pytest.approx(1.05 * math.log(16))
    assert forest.opposite(2.0, "factor") == 0.5 and forest.opposite(0.1, "u") == -0.1


def test_each_interval_stands_over_its_margin_and_arrows_say_that_it_goes_on() -> None:
    figure = drawn(row(), row(low=-9.0, high=9.0, margin=None), row(unit="factor", estimate=4.0))
    differences, factors = figure.axes
    assert [text.get_text() for text in differences.get_yticklabels()] == ["P1  a − b"] * 2
    assert len(differences.collections) == 1  # the second has no margin
    assert [line.get_marker() for line in differences.lines].count("<") == 1
    assert [line.get_marker() for line in differences.lines].count(">") == 1
    assert factors.get_xscale() == "log"
    zone = differences.collections[0].get_paths()[0].vertices[:, 0]
    assert (zone.min(), zone.max()) == (-0.1, 0.1)


def test_marks_and_lines_are_where_the_numbers_are() -> None:
    wide = row(estimate=0.25, low=-0.05, high=0.35)
    (axis,) = drawn(row(), wide).axes
    lines = [[*line.get_xdata()] for line in axis.lines]
    for y, numbers in enumerate((row(), wide)):
        mine = [x for x, line in zip(lines, axis.lines, strict=True) if {*line.get_ydata()} == {y}]
        assert mine == [[numbers["low"], numbers["high"]], [numbers["estimate"]]]


def test_verdicts_differ_in_shape_and_not_in_colour_alone() -> None:
    looks = [(mark["marker"], mark.get("mfc")) for mark in forest.MARKS.values()]
    assert len(set(looks)) == len(looks)


def test_every_judged_difference_is_in_the_table(tmp_path: Path) -> None:
    style.use()
    claims = judged()
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    made_up.list_beside(tmp_path / "claims.json")
    outputs = [tmp_path / f"forest{suffix}" for suffix in SUFFIXES]
    arguments = [str(path) for path in (tmp_path / "claims.json", *outputs)]
    assert forest.main(arguments) == 0
    table = pd.read_csv(outputs[2])
    expected = [
        (claim["claim"], part["label"])
        for claim in claims
        for part in claim["parts"]
        if part["judged"] and part["unit"] in ("u", "factor") and part["low"] is not None
    ]
    assert [*zip(table.claim, table.part, strict=True)] == expected and len(expected) > 15
    first = [path.read_bytes() for path in outputs]
    assert "3 seeds on " in first[3].decode()
    assert forest.main(arguments) == 0 and [path.read_bytes() for path in outputs] == first


def test_without_anything_to_draw_it_says_so() -> None:
    (axis,) = drawn().axes
    assert "nothing was run" in axis.texts[0].get_text()
