"""The picture of a card: intervals over one axis, drawn in the page itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.claims.parts import FACTOR, PROPORTION, SHARE
from analysis.forest import limits, opposite, place

WIDTH, ROW_HEIGHT, AXIS_HEIGHT = 240.0, 16.0, 16.0
"""Of a picture of an interval and of the axis below, in its own units."""
EDGE = 4.0
"""Left free at both sides."""
FACTORS = (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1_000, 10_000)
STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
MOST_TICKS = 6
"""What an axis may have written below it."""
LEAST_APART = 26.0
"""Between two numbers of an axis."""
LEAST_SHARE = 0.01
"""What an axis of shares reaches at least, where all are 0."""


@dataclass(frozen=True)
class Row:
    """A row of a card's picture, in units of the picture.

    Args:
        heading: above the first of several environments.
        label, text: what it is, and its numbers.
        verdict: of a part that is judged; else empty.
        at: the estimate.
        low, high: ends of the line; None: no interval.
        cut_low, cut_high: whether the interval goes on beyond the picture.
        zone: from where to where the margin reaches.
        zero: no difference.
        single: it is about one environment.

    """

    heading: str
    label: str
    text: str
    verdict: str
    at: float
    low: float | None
    high: float | None
    cut_low: bool
    cut_high: bool
    zone: tuple[float, float] | None
    zero: float
    single: bool


@dataclass(frozen=True)
class Forest:
    """Intervals over one axis, with its numbers (place, text) and a note on it."""

    rows: list[Row]
    ticks: list[tuple[float, str]]
    note: str


@dataclass(frozen=True)
class Axis:
    """Where values of a unit lie in a picture; ends along :func:`analysis.forest.place`."""

    low: float
    high: float
    unit: str

    @property
    def null(self) -> float:
        """No difference."""
        return 1.0 if self.unit == FACTOR else 0.0

    def x(self, value: float) -> float:
        """In units of the picture; what is beyond an end lies at it."""
        share = (place(value, self.unit) - self.low) / (self.high - self.low)
        return round(EDGE + (WIDTH - 2 * EDGE) * min(max(share, 0.0), 1.0), 1)

    def holds(self, value: float) -> bool:
        """Whether it is not beyond an end."""
        return self.low <= place(value, self.unit) <= self.high


def forest(parts: list[dict[str, Any]], unit: str) -> Forest:
    """The intervals of parts of one unit; of a guard those of each environment."""
    several = len({part["level"] for part in parts if part["aim"] != "guard"}) > 1
    rows = [row for part in parts for row in _rows_of(part, with_level=several)]
    margins = [float(part["margin"]) for part in parts if part["margin"] is not None]
    bounds = [float(x) for row in rows for x in (row["low"], row["high"]) if x is not None]
    if unit == PROPORTION:
        axis = Axis(0.0, max([*bounds, *margins, LEAST_SHARE]), unit)
    else:
        axis = Axis(*limits([row["estimate"] for row in rows], bounds, margins, unit), unit)
    levels = sorted({r["level"] for r in rows if r["low"] is not None and not r["single"]})
    notes = [_levels(levels)] if levels else []
    if margins:
        which = "s, the largest" if len(set(margins)) > 1 else ""
        notes.append(f"grey: up to the margin{which} {_size(max(margins), unit)}")
    return Forest([_row(row, axis) for row in rows], _ticks(axis), "; ".join(notes))


def _levels(levels: list[float]) -> str:
    texts = [_percent(level) for level in levels]
    if len(texts) > 2:
        return f"{texts[0]} to {texts[-1]} intervals: Holm's, of what is judged together"
    return " and ".join(texts) + " intervals"


def _size(margin: float, unit: str) -> str:
    if unit == FACTOR:
        return f"×{margin:g}"
    return f"{100 * margin:g} %" if unit in (SHARE, PROPORTION) else f"{margin:g} {unit}"


def _row(row: Mapping[str, Any], axis: Axis) -> Row:
    low, high, margin = row["low"], row["high"], row["margin"]
    zone = None
    if margin is not None:
        begin = axis.null if row["aim"] == "often" else opposite(margin, axis.unit)
        zone = axis.x(begin), axis.x(margin)
    return Row(
        row["heading"],
        row["label"],
        row["text"],
        row["verdict"],
        axis.x(row["estimate"]),
        None if low is None else axis.x(low),
        None if high is None else axis.x(high),
        low is not None and not axis.holds(low),
        high is not None and not axis.holds(high),
        zone,
        axis.x(axis.null),
        row["single"],
    )


def _rows_of(part: dict[str, Any], with_level: bool) -> list[dict[str, Any]]:
    """A part and, of a guard in its place, the environments that it is judged on.

    Args:
        with_level: whether its label tells the level of its interval.

    """
    shared = {"margin": part["margin"], "aim": part["aim"]}
    if part["aim"] != "guard":
        verdict = part["verdict"] if part["judged"] else ""
        level = f" ({_percent(part['level'])})" if with_level else ""
        label = f"{part['label']}{level}"
        return [{**part, "label": label, "heading": "", "verdict": verdict, "single": False}]
    level = part["environments"][0]["level"]
    heading = f"{part['label']} ({_percent(level)} intervals, all at once)"
    return [
        {
            **each,
            **shared,
            "heading": "" if place_of else heading,
            "verdict": "",
            "single": True,
        }
        for place_of, each in enumerate(part["environments"])
    ]


def _percent(level: float) -> str:
    return f"{100 * level:.3g} %"


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Numbers below the picture, "no difference" among them, none upon another."""
    if axis.unit == FACTOR:
        values = [value for value in FACTORS if axis.holds(value)]
    else:
        length = axis.high - axis.low
        step = next((step for step in STEPS if length / step <= MOST_TICKS), length)
        first, last = int(axis.low / step) - 1, int(axis.high / step) + 1
        values = [step * i for i in range(first, last + 1) if axis.holds(step * i)]
    middle = axis.x(axis.null)
    kept: list[tuple[float, str]] = []
    for value in sorted(values, key=lambda value: abs(axis.x(value) - middle)):
        if all(abs(axis.x(value) - there) >= LEAST_APART for there, _ in kept):
            kept.append((axis.x(value), _tick(value, axis.unit)))
    return kept


def _tick(value: float, unit: str) -> str:
    if unit == FACTOR:
        return f"×{value:,g}"
    if unit in (SHARE, PROPORTION):
        return f"{100 * value:.0f} %"
    return "0" if value == 0 else f"{value:+.2g}".replace("-", "−")
