"""Which runs train together."""

from collections.abc import Iterable

from replicate.settings import RunSettings, digest_of

MAX_LANES = 33
"""Lanes of one cohort: the cost of an env step falls to about here and not beyond."""


def cohort_name(runs: Iterable[RunSettings]) -> str:
    """Names of a cohort's files: environment and algorithm for people, a digest for identity."""
    runs = list(runs)
    env = runs[0].env.id.lower().replace("-", "_")
    return f"{env}_{runs[0].algo.name}_{digest_of(sorted(run.digest for run in runs))[:12]}"


def cohorts(
    runs: Iterable[RunSettings],
    max_lanes: int = MAX_LANES,
    interrupted: Iterable[set[str]] = (),
) -> list[list[RunSettings]]:
    """Runs grouped into cohorts, in order of first appearance, in parts as even as can be.

    Args:
        interrupted: digests of runs that have a checkpoint in common; they stay together.

    """
    left = {run.digest: run for run in runs}
    found = []
    for digests in interrupted:
        if together := [left.pop(digest) for digest in list(left) if digest in digests]:
            found.append(together)
    groups: dict[str, list[RunSettings]] = {}
    for run in left.values():
        groups.setdefault(run.cohort_key(), []).append(run)
    for group in groups.values():
        parts = -(-len(group) // max_lanes)
        size, longer = divmod(len(group), parts)
        start = 0
        for part in range(parts):
            end = start + size + (part < longer)
            found.append(group[start:end])
            start = end
    return found
