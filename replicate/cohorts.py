"""Floor 0: which runs train together."""

from collections.abc import Iterable

from replicate.settings import RunSettings

MAX_LANES = 33
"""Lanes of one cohort: the cost of an env step falls to about here and not beyond."""


def cohorts(runs: Iterable[RunSettings], max_lanes: int = MAX_LANES) -> list[list[RunSettings]]:
    """Runs grouped into cohorts, in order of first appearance, in parts as even as can be."""
    groups: dict[str, list[RunSettings]] = {}
    for run in runs:
        groups.setdefault(run.cohort_key(), []).append(run)
    found = []
    for group in groups.values():
        parts = -(-len(group) // max_lanes)
        size, longer = divmod(len(group), parts)
        start = 0
        for part in range(parts):
            end = start + size + (part < longer)
            found.append(group[start:end])
            start = end
    return found
