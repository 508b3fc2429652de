"""Intervals over an axis, as a card draws them."""

import itertools
from typing import Any

import pytest

from analysis.report import cards
from analysis.report.intervals import EDGE, WIDTH, Row, forest
from tests.analysis.report.pages import judged


def part(**changed: Any) -> dict[str, Any]:
    """A judged difference."""
    return {
        "label": "final, a minus b",
        "text": "+0.20 u [+0.10, +0.30]",
        "aim": "above",
        "judged": True,
        "verdict": "supported",
        "estimate": 0.2,
        "low": 0.1,
        "high": 0.3,
        "margin": 0.1,
        "unit": "u",
        "level": 0.95,
        "environments": [],
        **changed,
    }


def row(**changed: Any) -> Row:
    """The row of a picture of one part."""
    given = part(**changed)
    (interval,) = forest([given], given["unit"]).rows
    return interval


def test_a_picture_has_its_numbers_in_their_order() -> None:
    interval = row()
    assert interval.zone is not None and interval.low is not None and interval.high is not None
    left, right = interval.zone
    assert (
        EDGE
        <= left
        < interval.zero
        < right
        <= interval.low
        < interval.at
        < interval.high
        <= WIDTH - EDGE
    )
    # The margin reaches as far to both sides, and the estimate is twice as far from 0.
    assert interval.zero - left == pytest.approx(right - interval.zero, abs=0.2)
    assert interval.at - interval.zero == pytest.approx(2 * (right - interval.zero), abs=0.2)
    assert not interval.cut_low and not interval.cut_high


def test_factors_lie_by_their_logarithm() -> None:
    interval = row(unit="factor", estimate=4.0, low=2.0, high=8.0, margin=2.0)
    assert interval.zone is not None and interval.low is not None and interval.high is not None
    assert interval.at - interval.low == pytest.approx(interval.high - interval.at, abs=0.2)
    assert interval.zone[1] == pytest.approx(interval.low) and interval.zero - interval.zone[0] > 0


def test_an_interval_without_end_goes_on_at_the_edge() -> None:
    interval = row(low=-30.0, high=40.0)
    assert (
        interval.cut_low
        and interval.cut_high
        and interval.low == EDGE
        and interval.high == WIDTH - EDGE
    )
    assert EDGE < interval.at < WIDTH - EDGE


def test_a_share_begins_at_0_and_its_threshold_is_its_margin() -> None:
    interval = row(unit="proportion", aim="often", estimate=0.4, low=0.2, high=0.7, margin=0.1)
    assert interval.zone is not None and interval.low is not None
    assert interval.zero == EDGE == interval.zone[0] and interval.zone[1] < interval.low


def test_no_number_of_an_axis_is_upon_another() -> None:
    for unit, low, high in (("u", -0.3, 0.4), ("u", -2.0, 2.0), ("factor", 0.5, 300.0)):
        (picture,) = cards.card(
            {**judged()[0], "parts": [part(unit=unit, estimate=high, low=low, high=high)]}
        ).forests
        places = sorted(x for x, _ in picture.ticks)
        assert len(places) >= 3
        assert min(b - a for a, b in itertools.pairwise(places)) >= 26
        assert {"0", "×1"} & {text for _, text in picture.ticks}


def test_a_guard_shows_its_environments() -> None:
    each = {"estimate": 0.1, "low": None, "high": None, "level": 0.99, "n": 3, "text": "a"}
    ends = {"low": -0.1, "high": 0.3, "text": "b"}
    envs = [{**each, "label": "Hopper-v5"}, {**each, **ends, "label": "Walker2d-v5"}]
    guard = part(aim="guard", judged=False, low=None, high=None, environments=envs)
    first, second = forest([guard], "u").rows
    assert first.label == "Hopper-v5" and first.heading.startswith("final, a minus b (99 %")
    assert first.low is None and first.text == "a"
    assert second.heading == "" and second.text == "b" and second.single


def test_shares_are_percentages() -> None:
    found = row(unit="proportion", estimate=0.12, low=0.08, high=0.16, margin=None)
    assert found.low is not None and EDGE == found.zero < found.low < found.at


def test_many_levels_are_told_in_one_breath() -> None:
    def note(*levels: float) -> str:
        return forest([part(level=level) for level in levels], "u").note.partition(";")[0]

    assert note(0.95) == "95 % intervals"
    assert note(0.95, 0.975) == "95 % and 97.5 % intervals"
    assert note(0.95, 0.975, 0.99).startswith("95 % to 99 % intervals: Holm's")


def test_shares_that_are_all_0_have_an_axis() -> None:
    found = row(unit="proportion", estimate=0.0, low=0.0, high=0.0, margin=None)
    assert found.at == found.zero == EDGE
