"""A cohort as arrays, and back: what a checkpoint holds besides its header."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from replicate.engine.cohort import Cohort, LaneRecords
from replicate.engine.state import take_lanes_of_tensors
from replicate.messages import ReplayError, UnusableCheckpointError, first_line, say
from replicate.settings import RunSettings
from replicate.store.checkpoints import Arrays, Checkpoint, cohort_name, stored, write
from replicate.training.provenance import provenance

STATE = "state."
TABLES = ("episodes", "updates")


def records_as_arrays(lanes: list[LaneRecords]) -> dict[str, NDArray[Any]]:
    """Rows of all lanes by column, ``<table>.<column>``, with ``<table>:lane`` beside them.

    ``<table>?<column>`` says which rows have a column that not all have.
    """
    arrays = {
        "diverged": np.array(
            [-1 if r.diverged_at_env_step is None else r.diverged_at_env_step for r in lanes]
        )
    }
    for table in TABLES:
        rows = [row for lane in lanes for row in getattr(lane, table)]
        counts = [len(getattr(lane, table)) for lane in lanes]
        arrays[f"{table}:lane"] = np.repeat(np.arange(len(lanes)), counts)
        for column in dict.fromkeys(column for row in rows for column in row):
            there = np.array([column in row for row in rows])
            arrays[f"{table}.{column}"] = np.array([row[column] for row in rows if column in row])
            if not there.all():
                arrays[f"{table}?{column}"] = there
    return arrays


def records_from_arrays(arrays: Arrays, lanes: list[int]) -> list[LaneRecords]:
    """The records of some of the lanes."""
    diverged = arrays["diverged"].tolist()
    records = {i: LaneRecords([], [], None if diverged[i] < 0 else diverged[i]) for i in lanes}
    for table in TABLES:
        prefix = f"{table}."
        owners = arrays[f"{table}:lane"].tolist()
        rows: list[dict[str, Any]] = [{} for _ in owners]
        for name in (name.removeprefix(prefix) for name in arrays if name.startswith(prefix)):
            there = arrays.get(f"{table}?{name}", np.ones(len(rows), dtype=bool))
            values = arrays[f"{prefix}{name}"].tolist()
            for place, value in zip(np.flatnonzero(there).tolist(), values, strict=True):
                rows[place][name] = value
        for owner, row in zip(owners, rows, strict=True):
            if owner in records:
                getattr(records[owner], table).append(row)
    return [records[i] for i in lanes]


def save(cohort: Cohort, store: Path, history: dict[str, Any]) -> None:
    """Write a checkpoint of everything.

    Args:
        history: when the training began and where it went on from checkpoints.

    Raises:
        OSError: it cannot be written.

    """
    state = {f"{STATE}{k}": t.cpu().numpy() for k, t in cohort.state.tensors().items()}
    arrays = {**state, **records_as_arrays(cohort.records.lanes)}
    header = {
        "update": cohort.state.update,
        "num_updates": cohort.num_updates,
        "seconds": cohort.records.seconds,
        "history": history,
    }
    write(store, cohort_name(cohort.runs), cohort.runs, header, arrays)


def restore(cohort: Cohort, checkpoint: Checkpoint) -> None:
    """Bring a cohort to the state that a checkpoint has of its lanes.

    Raises:
        UnusableCheckpointError: damaged, of another shape, or an environment does not replay.

    """
    arrays = checkpoint.arrays()
    places = {digest: place for place, digest in enumerate(checkpoint.runs)}
    lanes = [places[run.digest] for run in cohort.runs]
    tensors = {
        name.removeprefix(STATE): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith(STATE)
    }
    try:
        cohort.restore(take_lanes_of_tensors(tensors, lanes))
        cohort.records.lanes = records_from_arrays(arrays, lanes)
    except ReplayError as error:
        raise UnusableCheckpointError(f"{checkpoint.file}: {error}") from None
    except (LookupError, ValueError, RuntimeError) as error:  # no such tensor, or another shape
        raise UnusableCheckpointError(
            f"{checkpoint.file}: the state of another environment or learner ({first_line(error)})"
        ) from None
    share = len(lanes) / len(places)
    for name, seconds in checkpoint.header["seconds"].items():
        cohort.records.seconds[name] = seconds * share
    cohort.state.envs.seconds = cohort.records.seconds["env_step"]


def restored(runs: list[RunSettings], checkpoint: Checkpoint, device: str, threads: int) -> Cohort:
    """The cohort where a checkpoint left it.

    Raises:
        UnusableCheckpointError: damaged, of another shape, or an environment does not replay.

    """
    cohort = Cohort(runs, device, threads)
    try:
        restore(cohort, checkpoint)
    except BaseException:
        cohort.state.envs.close()
        raise
    return cohort


def begin(
    runs: list[RunSettings], store: Path, device: str, threads: int
) -> tuple[Cohort, dict[str, Any]]:
    """The cohort where its furthest usable checkpoint left it, else at its start; its history.

    The history says where and with what it started (``provenance``), and where it went on.  A
    line tells where it goes on now, and one for each checkpoint that is of no use, why.

    """
    wanted = {run.digest for run in runs}
    checkpoints, complaints = stored(store)
    for complaint in complaints:
        say(complaint)
    for checkpoint in checkpoints:
        if not wanted <= set(checkpoint.runs):
            continue
        try:
            checkpoint.check_software()
            cohort = restored(runs, checkpoint, device, threads)
        except UnusableCheckpointError as error:
            say(str(error))
            continue
        say(f"going on after update {cohort.state.update} of {cohort.num_updates}")
        before = checkpoint.header["history"]
        resumed = {"update": cohort.state.update, "at": now(), **provenance(device)}
        return cohort, {**before, "resumed": [*before["resumed"], resumed]}
    return Cohort(runs, device, threads), {"started": now(), "resumed": [], **provenance(device)}


def now() -> str:
    """Time of day, UTC.  For people: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
