"""What each step size of a method gives, and the range of those that serve."""

import math

import numpy as np

from analysis.statistics import Array
from analysis.study import Study

NAIVE = "vpg"
METHODS = {NAIVE: "naive policy gradient", "ppo": "PPO", "trpo": "TRPO"}
Sizes = dict[str, dict[str, float]]
"""Method → variant → log10 of its step size, ascending."""


def step_sizes(study: Study) -> Sizes:
    """Every method's grid: learning rates; of TRPO √max_kl, to which its step is proportional.

    A method that the study does not have is empty, one that is none of ``METHODS`` is left out.
    """
    grids: Sizes = {method: {} for method in METHODS}
    for variant in study.plan["variants"]:
        algo = variant["algo"]
        key, power = ("max_kl", 0.5) if algo["name"] == "trpo" else ("learning_rate", 1.0)
        if key in algo and algo["name"] in grids:
            grids[algo["name"]][variant["name"]] = power * math.log10(algo[key])
    return {
        method: dict(sorted(sizes.items(), key=lambda size: size[1]))
        for method, sizes in grids.items()
    }


def serving(grid: Array, values: Array, level: float) -> tuple[float, float]:
    """Ends of the contiguous range around the largest value in which values are at least ``level``.

    Between two points of the grid the values are joined by a line.  Where no value is so large,
    both ends are the middle of the grid.

    Args:
        grid: ``[K]``, ascending.
        values: ``[K]``.

    """
    top = int(np.argmax(values))
    if values[top] < level:
        middle = float(grid.mean())
        return middle, middle
    low = high = top
    while low > 0 and values[low - 1] >= level:
        low -= 1
    while high < len(grid) - 1 and values[high + 1] >= level:
        high += 1
    return (
        _crossing(grid, values, low, low - 1, level) if low > 0 else float(grid[0]),
        _crossing(grid, values, high, high + 1, level) if high < len(grid) - 1 else float(grid[-1]),
    )


def _crossing(grid: Array, values: Array, inside: int, outside: int, level: float) -> float:
    share = (values[inside] - level) / (values[inside] - values[outside])
    return float(grid[inside] + share * (grid[outside] - grid[inside]))
