"""Did returns get worse?  One test per cell, one verdict.

Per cell: a one-sided permutation test of "the mean over training is not lower than the baseline's",
10 runs against 30.  Holm's adjustment over the cells bounds the chance that returns which did not
change fail: ``false_alarm_rate`` (1 %) for the whole gate, whatever their distribution.

**The current runs have other seeds than the baseline's**, so that the samples are independent and
the test is exact for every change, however small.  The other choice, the same seeds on both sides,
passes without looking where nothing changed, but as soon as one bit moves, chaos turns it into two
samples that share their first updates: dependent, hence with an error rate that nobody can state.
A fixed pair of seed sets has one verdict per code and CPU class; the false-alarm rate is over the
draws of both.  A lucky baseline stays in place and makes every later change look bad: so it
has more seeds, which cost the gate no time, and ``make accept`` refuses one that its own code
fails.

A pass is no proof: the interval shows which drops ten seeds cannot exclude.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics import Array, Interval, holm, permutation_test_one_sided, welch_interval
from tests.regression.cells import Cell, Design, Sample


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a cell.

    Args:
        baseline: mean over seeds.
        current: mean over seeds.
        effect: current − baseline, Welch interval.
        p_value: of the permutation test.
        adjusted_p_value: after Holm.
        worse: whether the cell fails the gate.

    """

    cell: Cell
    baseline: float
    current: float
    effect: Interval
    p_value: float
    adjusted_p_value: float
    worse: bool


def in_order(sample: Sample) -> Array:
    """Values by rising seed: random splits depend on the order, and files sort seeds as text."""
    return np.array([sample[seed] for seed in sorted(sample)])


def judge(
    design: Design, baseline: Mapping[str, Sample], current: Mapping[str, Sample]
) -> list[Verdict]:
    """Compare the samples of every cell, by name, and correct for their number."""
    generator = np.random.default_rng(0)  # same data, same p: too many splits to take all
    pairs = [(in_order(baseline[cell.name]), in_order(current[cell.name])) for cell in design.cells]
    p_values = [permutation_test_one_sided(old, new, generator) for old, new in pairs]
    return [
        Verdict(
            cell=cell,
            baseline=float(old.mean()),
            current=float(new.mean()),
            effect=welch_interval(new, old, design.interval_level),
            p_value=p_value,
            adjusted_p_value=float(adjusted),
            worse=bool(adjusted <= design.false_alarm_rate),
        )
        for cell, (old, new), p_value, adjusted in zip(
            design.cells, pairs, p_values, holm(p_values), strict=True
        )
    ]


def table(design: Design, verdicts: Sequence[Verdict]) -> str:
    """Verdicts as aligned text, and below them what the numbers are."""
    level = f"{design.interval_level:.0%} interval"
    rows = [
        ("environment", "algorithm", "baseline", "current", "effect", level, "p", "Holm", "verdict")
    ]
    rows += [
        (
            v.cell.env,
            v.cell.variant,
            f"{v.baseline:.1f}",
            f"{v.current:.1f}",
            f"{v.effect.estimate:+.1f}",
            f"[{v.effect.low:+.1f}, {v.effect.high:+.1f}]",
            f"{v.p_value:.2g}",
            f"{v.adjusted_p_value:.2g}",
            "WORSE" if v.worse else "pass",
        )
        for v in verdicts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place in (0, 1, 8) else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "Mean return over training, mean of the seeds; effect: current − baseline (Welch).",
            "p: one-sided permutation test; Holm: adjusted for the number of cells.",
            f"The gate fails where Holm ≤ {design.false_alarm_rate:g}: so often at most if returns "
            "did not get worse.",
        ]
    )
