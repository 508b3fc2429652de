"""Cohorts: which runs train together, and which have to be trained at all."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from replicate.settings import RunSettings
from replicate.store.checkpoints import interrupted as runs_with_a_checkpoint
from replicate.store.records import is_finished

MAX_LANES = 33
"""Most lanes of one cohort: with more of them an env step gets no cheaper."""


def cohorts(
    runs: Iterable[RunSettings],
    interrupted: Iterable[set[str]] = (),
) -> list[list[RunSettings]]:
    """Runs grouped into cohorts, in order of first appearance, in parts as even as can be.

    Args:
        interrupted: digests of runs that have a checkpoint in common; they stay together.

    """
    left = {run.digest: run for run in runs}
    trained_together: list[list[RunSettings]] = []
    for digests in interrupted:
        together: dict[str, list[RunSettings]] = {}
        for digest in [digest for digest in left if digest in digests]:
            run = left.pop(digest)
            # Keys without effect are no part of a digest, but lanes share them.
            together.setdefault(run.cohort_key(), []).append(run)
        trained_together += together.values()
    groups: dict[str, list[RunSettings]] = {}
    for run in left.values():
        groups.setdefault(run.cohort_key(), []).append(run)
    for group in groups.values():
        parts = -(-len(group) // MAX_LANES)
        size, longer = divmod(len(group), parts)
        start = 0
        for part in range(parts):
            end = start + size + (part < longer)
            trained_together.append(group[start:end])
            start = end
    return trained_together


def cohort_env_steps(cohort: Iterable[RunSettings]) -> int:
    """Env steps of all lanes of a cohort."""
    return sum(run.env_steps for run in cohort)


def env_steps_left(cohort: Iterable[RunSettings], done: Mapping[str, int]) -> int:
    """:func:`cohort_env_steps`, without the updates that a checkpoint has.

    Args:
        done: :func:`replicate.store.checkpoints.updates_done`.

    """
    return sum(run.env_steps - done.get(run.digest, 0) * run.algo.num_steps for run in cohort)


def missing(runs: Iterable[RunSettings], store: Path) -> list[RunSettings]:
    """Runs that are not finished in ``store``, each once however often it is planned."""
    unique = {run.digest: run for run in runs}.values()
    return [run for run in unique if not is_finished(store / run.run_id)]


def cohorts_to_train(runs: Iterable[RunSettings], store: Path) -> list[list[RunSettings]]:
    """The missing runs, in cohorts; runs that share a checkpoint stay together."""
    return cohorts(missing(runs, store), interrupted=runs_with_a_checkpoint(store))
