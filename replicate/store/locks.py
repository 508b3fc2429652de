"""One writer per run – a lock that the kernel lets go of when its process dies.

``OUT/checkpoints/<cohort>.lock`` says who trains which runs.  What counts is not the file but the
kernel's lock (``flock``) on it: after a crash or ``kill -9`` the file is left and locks nothing.
"""

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from replicate.messages import LockedError
from replicate.store.files import parsed_json

SUFFIX = ".lock"
# To see whether a lock is held, another process takes it for a moment: one failure is no refusal.
SECONDS_TO_TRY = 1.0
PAUSE_SECONDS = 0.05
NOBODY: dict[str, Any] = {"pid": "?", "host": "?", "since": "?", "runs": []}


def _try_lock(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        raise OSError(error.errno, f"cannot be locked ({error.strerror})", file.name) from None
    return True


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds a lock (``pid``, ``host``, ``since``, ``runs``); None where nobody does."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            if _try_lock(file):
                return None
            file.seek(0)
            return {**NOBODY, **dict(parsed_json(file.read()))}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # it was taken a moment ago and is not written yet
        return NOBODY


def _refusal(path: Path, writer: dict[str, Any], runs: Iterable[str]) -> LockedError:
    shared = sorted(set(runs) & set(writer["runs"])) or ["these runs"]
    more = f" and {len(shared) - 1} more of these runs" if len(shared) > 1 else ""
    return LockedError(
        f"{path}: process {writer['pid']} on {writer['host']} trains {shared[0]}{more} since "
        f"{writer['since']}; wait for it, or stop it there (kill {writer['pid']}: it writes a "
        "checkpoint), and give the command again; delete the file only if that machine is gone"
    )


def _locked(path: Path, runs: Iterable[str]) -> TextIOWrapper:
    """The file, held.

    Raises:
        LockedError: somebody else holds it.

    """
    give_up = time.monotonic() + SECONDS_TO_TRY
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except (FileNotFoundError, FileExistsError):
            # Who ended a moment ago has deleted the empty folder; what else is in the way stays.
            if time.monotonic() > give_up:
                raise
            time.sleep(PAUSE_SECONDS)
            continue
        if _try_lock(file) and _is(file, path):
            return file
        file.close()
        if time.monotonic() > give_up:
            raise _refusal(path, holder(path) or NOBODY, runs)
        time.sleep(PAUSE_SECONDS)


def _is(file: TextIOWrapper, path: Path) -> bool:
    """Whether an open file is still the one at ``path``: its last holder may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _write(file: TextIOWrapper, text: str) -> None:
    try:
        # Not through the buffer: what it could not write, it would try again when it is closed.
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), text.encode())
    except OSError as error:  # which does not name its file
        raise OSError(error.errno, error.strerror, file.name) from None


@contextmanager
def only_writer(folder: Path, name: str, run_ids: Iterable[str]) -> Iterator[None]:
    """Hold ``folder/<name>.lock``; afterwards the file is gone.

    Raises:
        LockedError: a living process trains one of these runs, in whatever cohort.
        OSError: the file cannot be written.

    """
    path, runs = folder / f"{name}{SUFFIX}", sorted(run_ids)
    with _locked(path, runs) as file:
        about = {
            "pid": os.getpid(),
            "host": platform.node(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "runs": runs,
        }
        try:
            _write(file, json.dumps(about))
            for other in folder.glob(f"*{SUFFIX}"):
                writer = None if other == path else holder(other)
                if writer and not set(runs).isdisjoint(writer["runs"]):
                    raise _refusal(other, writer, runs)
            yield
        finally:
            path.unlink(missing_ok=True)
