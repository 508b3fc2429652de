"""Floor 0: checkpoints – files that an interrupted cohort goes on from.

``OUT/checkpoints/<cohort>.npz`` holds a JSON header and arrays, without pickle.  The one before
it stays as ``<cohort>.previous.npz``, for when the newest cannot be read.  By the lane contract
any lanes of a checkpoint go on by themselves, so that one serves whatever part of its runs is
asked for next.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.records import is_finished, write_atomically
from replicate.settings import RunSettings
from replicate.software import made_by

FOLDER = "checkpoints"
SUFFIX, PREVIOUS = ".npz", ".previous.npz"
HEADER = "header"

Arrays = Mapping[str, NDArray[Any]]


class UnusableCheckpointError(ValueError):
    """A checkpoint that cannot be gone on from; the message is one line that names the file."""


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
        """Half a run by one code and half by another would be a run of neither.

        Raises:
            UnusableCheckpointError: it was made by other training code or package versions.

        """
        for name, here in made_by().items():
            if self.header[name] != here:
                what = "training code" if name == "code_digest" else "package versions"
                raise UnusableCheckpointError(f"{self.file}: made by other {what}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that it holds.

        Raises:
            UnusableCheckpointError: it is damaged.

        """
        with _opened(self.file) as found:
            return {name: found[name] for name in found if name != HEADER}


# What zipfile, numpy and json raise where bytes are missing or wrong.
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


@contextmanager
def _opened(file: Path) -> Iterator[Arrays]:
    """The arrays of a file, each read when it is asked for.

    Raises:
        UnusableCheckpointError: here or then.

    """
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as found:
            yield found
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnusableCheckpointError(f"{file}: damaged ({reason})") from None


def read_header(file: Path) -> Checkpoint:
    """A checkpoint without its arrays.

    Raises:
        UnusableCheckpointError: it is damaged.

    """
    with _opened(file) as found:
        checkpoint = Checkpoint(file, json.loads(found[HEADER].tobytes()))
        if len(checkpoint.runs) != len(checkpoint.run_ids) or checkpoint.update < 0:
            raise ValueError("its header makes no sense")
        return checkpoint


def write(
    store: Path, cohort: str, runs: list[RunSettings], header: Mapping[str, Any], arrays: Arrays
) -> None:
    """Store a checkpoint atomically; the one before becomes the previous one.

    Args:
        cohort: name of the file.
        runs: its lanes, in order.
        header: ``update`` and what else JSON can hold.

    Raises:
        OSError: it cannot be written; the one before it is still there.

    """
    known = {"runs": [r.digest for r in runs], "run_ids": [r.run_id for r in runs], **made_by()}
    text = json.dumps({**header, **known}).encode()
    buffer = BytesIO()
    parts = {HEADER: np.frombuffer(text, np.uint8), **arrays}
    np.savez(buffer, allow_pickle=False, **parts)
    current = store / FOLDER / f"{cohort}{SUFFIX}"
    if current.is_file():
        current.replace(current.with_name(f"{cohort}{PREVIOUS}"))
    write_atomically(current, buffer.getbuffer())


def stored(store: Path) -> tuple[list[Checkpoint], list[str]]:
    """Readable checkpoints of a store, the furthest first, and a line for each of the others."""
    found, complaints = [], []
    for file in sorted((store / FOLDER).glob(f"*{SUFFIX}")):
        try:
            found.append(read_header(file))
        except UnusableCheckpointError as error:
            complaints.append(str(error))
    return sorted(found, key=lambda c: c.update, reverse=True), complaints


def interrupted(store: Path) -> list[set[str]]:
    """Digests of the runs that can go on together, the furthest first; no run twice."""
    groups: list[set[str]] = []
    for checkpoint in stored(store)[0]:
        try:
            checkpoint.check_software()
        except UnusableCheckpointError:
            continue
        groups.append(set(checkpoint.runs).difference(*groups))
    return [group for group in groups if group]


def remove_served(store: Path, cohort: str) -> None:
    """Delete the checkpoints of a cohort, and those of others whose runs are all finished."""
    for suffix in (PREVIOUS, SUFFIX):
        (store / FOLDER / f"{cohort}{suffix}").unlink(missing_ok=True)
    for checkpoint in stored(store)[0]:
        if all(is_finished(store / name) for name in checkpoint.run_ids):
            checkpoint.file.unlink(missing_ok=True)


def remove_if_empty(store: Path) -> None:
    """Delete the folder where nothing is left in it, of other processes either."""
    with suppress(OSError):
        (store / FOLDER).rmdir()
