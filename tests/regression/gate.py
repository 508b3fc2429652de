"""Did returns get worse?  One test per cell, one verdict.

Per cell: two one-sided tests of "the mean over training is not lower than the baseline's", 10 runs
against 30, and the larger of their p-values: a permutation of Welch's t, which is exact, whatever
the distribution, where returns are draws of the same one as before; and Welch's t-test, which keeps
its level where returns are about normal and only their spread changed.  Holm's adjustment over the
cells makes ``false_alarm_rate`` (1 %) that of the whole gate.

**How often it cries wolf**, by simulation (``python -m tests.regression.false_alarms``, written to
``results/reference/regression/false_alarms.csv``): at most once in a hundred where returns are
distributed as before.  Where only their mean is as before, in 1 % of cases if they are normal with
two or four times the spread; in 11 % if they are skewed to the right, with a few runs far above the
others, and have twice the spread (ten runs then mostly look worse than their mean); in 3 % if they
were normal and are skewed so now.  Skewed to the left, as where a few runs fail, they raise fewer
alarms than normal ones.

**The current runs have other seeds than the baseline's**, so that the samples are independent.  The
other choice, the same seeds on both sides, passes without looking where nothing changed, but as
soon as one bit moves, chaos turns it into two samples that share their first updates: dependent,
hence with an error rate that nobody can state.  A fixed pair of seed sets has one verdict per code
and CPU class; the false-alarm rate is over the draws of both.  A lucky baseline stays in place and
makes every later change look bad: so it has more seeds, which cost the gate no time, and ``make
accept`` refuses one that its own code fails.

A pass is no proof: the interval shows which drops ten seeds cannot exclude, and the table which
drop a cell would find four times in five.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats  # type: ignore[import-untyped]

from analysis.significance import PERMUTATIONS, holm, lower_mean_p_value
from analysis.statistics import Array, Estimate, Interval, interval, mean_estimate, weighted_sum
from tests.regression.cells import Cell, Design, Sample

FOUND = 0.8
"""How often :func:`found_drop` is found."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a cell.

    Args:
        baseline: mean over seeds.
        current: mean over seeds.
        effect: current − baseline, Welch interval.
        found_drop: :func:`found_drop` of the baseline's runs.
        p_value: the larger of the two tests'.
        adjusted_p_value: after Holm.
        worse: whether the cell fails the gate.

    """

    cell: Cell
    baseline: float
    current: float
    effect: Interval
    found_drop: float
    p_value: float
    adjusted_p_value: float
    worse: bool


def in_order(sample: Sample) -> Array:
    """Values by rising seed: random splits depend on the order, and files sort seeds as text."""
    return np.array([sample[seed] for seed in sorted(sample)])


def difference(old: Array, new: Array) -> Estimate:
    """Of the means, new − old, with Welch's standard error."""
    return weighted_sum([mean_estimate(new, "return"), mean_estimate(old, "return")], [1, -1])


def p_value(
    old: Array, new: Array, generator: np.random.Generator, permutations: int = PERMUTATIONS
) -> float:
    """One-sided, of "the new mean is not lower": the larger of the permutation's and Welch's."""
    welch = difference(old, new).p_below() / 2  # which is twice the one-sided p, at most 1
    return max(lower_mean_p_value(old, new, generator, permutations), welch)


def found_drop(old: Array, runs: int, rate: float) -> float:
    """The drop of the mean that a cell finds four times in five, if only the mean falls.

    By the power of Welch's one-sided test, the stricter of the two, with equal spread (noncentral
    t with Satterthwaite's degrees of freedom).

    Args:
        old: the baseline's returns, whose standard deviation is taken for the spread.
        runs: how many current ones it is tested with.
        rate: p-value from which the cell fails: with Holm's first step the gate's, by its cells.

    """
    parts = np.array([1 / len(old), 1 / runs])
    freedom = parts.sum() ** 2 / (parts**2 / (np.array([len(old), runs]) - 1)).sum()
    threshold = stats.t.isf(rate, freedom)
    errors = optimize.brentq(
        lambda drop: stats.nct.sf(threshold, freedom, drop) - FOUND, 0.0, 10 * threshold
    )
    return float(errors * old.std(ddof=1) * np.sqrt(parts.sum()))


def judge(
    design: Design, baseline: Mapping[str, Sample], current: Mapping[str, Sample]
) -> list[Verdict]:
    """Compare the samples of every cell, by name, and correct for their number."""
    generator = np.random.default_rng(0)  # same data, same p: too many splits to take all
    pairs = [(in_order(baseline[cell.name]), in_order(current[cell.name])) for cell in design.cells]
    p_values = [p_value(old, new, generator) for old, new in pairs]
    return [
        Verdict(
            cell=cell,
            baseline=float(old.mean()),
            current=float(new.mean()),
            effect=interval(difference(old, new), design.interval_level),
            found_drop=found_drop(old, len(new), design.false_alarm_rate / len(design.cells)),
            p_value=p,
            adjusted_p_value=float(adjusted),
            worse=bool(adjusted <= design.false_alarm_rate),
        )
        for cell, (old, new), p, adjusted in zip(
            design.cells, pairs, p_values, holm(p_values), strict=True
        )
    ]


def table(design: Design, verdicts: Sequence[Verdict]) -> str:
    """Verdicts as aligned text, and below them what the numbers are."""
    level = f"{design.interval_level:.0%} interval"
    rows = [
        (
            *("environment", "algorithm", "baseline", "current", "effect", level),
            *("found drop", "p", "Holm", "verdict"),
        )
    ]
    rows += [
        (
            v.cell.env,
            v.cell.variant,
            f"{v.baseline:.1f}",
            f"{v.current:.1f}",
            f"{v.effect.estimate:+.1f}",
            f"[{v.effect.low:+.1f}, {v.effect.high:+.1f}]",
            f"{v.found_drop:.1f} ({v.found_drop / abs(v.baseline):.0%})",
            f"{v.p_value:.2g}",
            f"{v.adjusted_p_value:.2g}",
            "WORSE" if v.worse else "pass",
        )
        for v in verdicts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place in (0, 1, 9) else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "Mean return over training, mean of the seeds; effect: current − baseline (Welch).",
            "Found drop: a fall of the mean that would be found four times in five, if the spread "
            "is the baseline's.",
            "p: one-sided, the larger of a permutation of Welch's t and Welch's test; Holm: "
            "adjusted for the number of cells.",
            f"The gate fails where Holm ≤ {design.false_alarm_rate:g}: so often at most if returns "
            "are distributed as before (gate.py says what holds if only their mean is).",
        ]
    )
