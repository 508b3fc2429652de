"""How often does the gate fail when returns did not get worse?  By simulation.

python -m tests.regression.false_alarms OUT.csv

Both samples of every cell have the same mean; the current runs differ from the baseline's in spread
or in skewness.  A cell is simulated; the cells of the gate are independent, so that of its alarms
follows: ``1 − (1 − p)^cells``, with Holm's first step ``p = P(p-value ≤ rate / cells)``.
"""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.progress import track

from analysis import manifest
from analysis.coverage import DISTRIBUTIONS
from analysis.statistics import Array
from replicate.messages import given_files, one_line_errors
from replicate.store.files import write_atomically
from tests.regression.cells import read_design
from tests.regression.gate import p_value

BASELINE_RUNS, CURRENT_RUNS = 30, 10
DATA_SETS = 20_000
PERMUTATIONS = 1_199
"""Fewer than the gate's: its p-values are compared with 1/600 alone."""
COLUMNS = ["baseline", "current", "data_sets", "cell", "gate", "monte_carlo_error"]

Draw = Callable[[Generator, int], Array]


def normal(generator: Generator, runs: int) -> Array:
    """Mean 0, standard deviation 1."""
    return generator.standard_normal(runs)


def skewed_right(generator: Generator, runs: int) -> Array:
    """The same mean and spread; a few runs far above the others (lognormal)."""
    return DISTRIBUTIONS["skewed"](generator, (runs,))


def skewed_left(generator: Generator, runs: int) -> Array:
    """A few runs far below the others."""
    return -skewed_right(generator, runs)


def times(factor: float, draw: Draw) -> Draw:
    """The same with another spread."""
    return lambda generator, runs: factor * draw(generator, runs)


CASES: dict[tuple[str, str], tuple[Draw, Draw]] = {
    ("normal", "the same"): (normal, normal),
    ("skewed left", "the same"): (skewed_left, skewed_left),
    ("skewed right", "the same"): (skewed_right, skewed_right),
    ("normal", "half the spread"): (normal, times(0.5, normal)),
    ("normal", "twice the spread"): (normal, times(2, normal)),
    ("normal", "four times the spread"): (normal, times(4, normal)),
    ("skewed left", "twice the spread"): (skewed_left, times(2, skewed_left)),
    ("skewed right", "twice the spread"): (skewed_right, times(2, skewed_right)),
    ("normal", "skewed left"): (normal, skewed_left),
    ("normal", "skewed right"): (normal, skewed_right),
}


def alarm_rate(
    old: Draw, new: Draw, rate: float, generator: Generator, data_sets: int = DATA_SETS
) -> float:
    """Share of data sets of one cell whose p-value is at most ``rate``."""
    alarms = sum(
        p_value(
            old(generator, BASELINE_RUNS), new(generator, CURRENT_RUNS), generator, PERMUTATIONS
        )
        <= rate
        for _ in range(data_sets)
    )
    return alarms / data_sets


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    (out,) = map(Path, given_files("tests.regression.false_alarms", ("OUT.csv",), arguments))
    design = read_design()
    cells = len(design.cells)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    every = list(enumerate(CASES.items()))
    for number, (names, (old, new)) in track(every, "cases", console=Console(stderr=True)):
        generator = np.random.default_rng(number)
        cell = alarm_rate(old, new, design.false_alarm_rate / cells, generator)
        gate = 1 - (1 - cell) ** cells
        # Of the gate, by the derivative of the formula.
        error = cells * (1 - cell) ** (cells - 1) * np.sqrt(cell * (1 - cell) / DATA_SETS)
        row = [*names, DATA_SETS, f"{cell:.5f}", f"{gate:.4f}", f"{error:.4f}"]
        writer.writerow(row)
        print(*row, file=sys.stderr, flush=True)
    write_atomically(out, text.getvalue().encode())
    manifest.renew(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
