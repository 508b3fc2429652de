"""Checkpoints – files that an interrupted cohort goes on from.

``OUT/checkpoints/<cohort>.<software>.npz`` holds a JSON header and arrays, without pickle.  The one
before it stays as ``….previous.npz``, for when the newest cannot be read.  By the lane contract any
lanes of a checkpoint go on by themselves, so that one serves whatever part of its runs is asked for
next.  Checkpoints by other training code are never overwritten: after a return to that
code its training goes on from them.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.messages import UnusableCheckpointError, first_line
from replicate.settings import RunSettings, digest_of
from replicate.store.files import PARTIAL, parsed_json, write_atomically
from replicate.store.records import is_finished
from replicate.store.staleness import command, compare, label

FOLDER = "checkpoints"
SUFFIX, PREVIOUS = ".npz", ".previous.npz"
HEADER = "header"
HEADER_KEYS = {"runs", "run_ids", "settings", "update", "num_updates", "seconds", "history"}
DIGEST_BYTES = 32
"""SHA-256 of all that stands before it, at the end of the file."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as its header tells it."""

    file: Path
    header: dict[str, Any]

    @property
    def runs(self) -> list[str]:
        """Digests of its lanes, in order."""
        return list(self.header["runs"])

    @property
    def run_ids(self) -> list[str]:
        """Folders of its lanes, in order."""
        return list(self.header["run_ids"])

    @property
    def update(self) -> int:
        """Updates done."""
        return int(self.header["update"])

    def check_software(self) -> None:
        """Refuse to go on by other software: a run half by one and half by another is of neither.

        Raises:
            UnusableCheckpointError: it was made by software that does other than the one here, or
                of which that is not known.

        """
        answer = compare(self.header["history"], self.header["settings"])
        if answer.same != "same":
            finds_out = f"; {command([answer])} finds out" if answer.same == "unknown" else ""
            raise UnusableCheckpointError(f"{self.file}: made by {answer.why}{finds_out}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays of the checkpoint.

        Raises:
            UnusableCheckpointError: it is damaged.

        """
        with _opened(self.file) as content:
            return {name: content[name] for name in content if name != HEADER}


@contextmanager
def _opened(file: Path) -> Iterator[Arrays]:
    """The arrays of a file, each read when it is asked for.

    Raises:
        UnusableCheckpointError: it is not there, or damaged, which may show only when an array is
            read.
        OSError: it cannot be read, which says nothing of what it holds.

    """
    try:
        data = memoryview(file.read_bytes())
    except FileNotFoundError:
        raise UnusableCheckpointError(f"{file}: not there") from None
    try:
        content, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        # A zip knows of damage to what it holds, not of damage to the list of what it holds.
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("not the bytes that were written")
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            yield arrays
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile, numpy and json make of wrong bytes
        raise UnusableCheckpointError(f"{file}: damaged ({first_line(error)})") from None


def cohort_name(runs: Iterable[RunSettings]) -> str:
    """The name of a cohort's files: environment and algorithm for people, a digest for identity."""
    runs = list(runs)
    digest = digest_of(sorted(run.digest for run in runs))
    return f"{runs[0].env.file_name}_{runs[0].algo.name}_{digest[:12]}"


def read_header(file: Path) -> Checkpoint:
    """A checkpoint without its arrays.

    Raises:
        UnusableCheckpointError: it is damaged.

    """
    with _opened(file) as arrays:
        checkpoint = Checkpoint(file, parsed_json(arrays[HEADER].tobytes()))
        if missing := HEADER_KEYS - checkpoint.header.keys():
            raise ValueError(f"its header lacks {', '.join(sorted(missing))}")
        return checkpoint


def write(
    store: Path, cohort: str, runs: list[RunSettings], header: Mapping[str, Any], arrays: Arrays
) -> None:
    """Store a checkpoint atomically; the one before, if it can be read, becomes the previous one.

    Args:
        cohort: its name.
        runs: its lanes, in order.
        header: the rest of ``HEADER_KEYS``.

    Raises:
        OSError: it cannot be written; the one before it is still there.

    """
    known = {
        "runs": [run.digest for run in runs],
        "run_ids": [run.run_id for run in runs],
        "settings": [run.model_dump(mode="json") for run in runs],
    }
    text = json.dumps({**header, **known}).encode()
    buffer = BytesIO()
    parts = {HEADER: np.frombuffer(text, np.uint8), **arrays}
    np.savez(buffer, allow_pickle=False, **parts)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    name = f"{cohort}.{label(header['history'], runs)}"
    current = store / FOLDER / f"{name}{SUFFIX}"
    with suppress(UnusableCheckpointError):  # a damaged one must not take a good one's place
        read_header(current)
        current.replace(current.with_name(f"{name}{PREVIOUS}"))
    write_atomically(current, buffer.getvalue())


def stored(store: Path) -> tuple[list[Checkpoint], list[str]]:
    """Readable checkpoints of a store, the furthest first, and a line for each of the others."""
    checkpoints, complaints = [], []
    for file in sorted((store / FOLDER).glob(f"*{SUFFIX}")):
        try:
            checkpoints.append(read_header(file))
        except UnusableCheckpointError as error:
            if file.is_file():  # another process has not just removed it
                complaints.append(str(error))
    return sorted(checkpoints, key=lambda c: c.update, reverse=True), complaints


def usable(store: Path) -> list[Checkpoint]:
    """Checkpoints of a store that the software here can go on from, the furthest first."""
    checkpoints = []
    for checkpoint in stored(store)[0]:
        with suppress(UnusableCheckpointError):
            checkpoint.check_software()
            checkpoints.append(checkpoint)
    return checkpoints


def interrupted(store: Path) -> list[set[str]]:
    """Digests of the runs that can go on together, the furthest first; no run twice."""
    groups: list[set[str]] = []
    for checkpoint in usable(store):
        groups.append(set(checkpoint.runs).difference(*groups))
    return [group for group in groups if group]


def updates_done(store: Path) -> dict[str, int]:
    """Digest of a run → updates that it has not to make again."""
    return {run: each.update for each in reversed(usable(store)) for run in each.runs}


def remove_served(store: Path, cohort: str) -> None:
    """Delete the checkpoints of a finished cohort, and others whose runs are all finished."""
    # And what a process that was killed had begun to write.
    for pattern in (f"{cohort}.*{SUFFIX}", f".{cohort}.*{PARTIAL}"):
        for file in (store / FOLDER).glob(pattern):
            file.unlink(missing_ok=True)  # another process may have ended at the same time
    for checkpoint in stored(store)[0]:
        if all(is_finished(store / name) for name in checkpoint.run_ids):
            checkpoint.file.unlink(missing_ok=True)


def remove_if_empty(store: Path) -> None:
    """Delete the folder of checkpoints if it is empty: other processes may have files there."""
    with suppress(OSError):
        (store / FOLDER).rmdir()
