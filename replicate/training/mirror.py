"""Wandb as a mirror of runs, nothing more – the Parquet files stay the only truth.

python -m replicate ... logger=wandb        mirror runs while they train
python -m replicate mirror RUN_FOLDER...    mirror finished runs

The mirror of OUT/<run id>/ is OUT/wandb/offline-run-*-<run id>/; `wandb sync FOLDER` uploads it.
Nothing leaves the machine unless WANDB_MODE=online is set, even where wandb would find a key.  A
wandb run has the id of its run, so that a second upload replaces the first; its step is env_step,
its metrics are the columns of the Parquet files and mean_return_100, its config the run's settings.
Neither arguments, environment, host nor source code are stored.

While runs train, a child process talks to wandb: what wandb does – hang, crash, be missing – cannot
reach the training, which drops lines rather than wait.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from replicate.messages import ConfigError, first_line, one_line_errors, say
from replicate.settings import RunSettings, validated
from replicate.store.records import is_finished, read_checked, read_table

if TYPE_CHECKING:
    import wandb

COMMAND = [sys.executable, "-m", "replicate.training.mirror", "--follow"]
PROJECT = "replicate"  # unless WANDB_PROJECT says otherwise
MAX_WAITING_BYTES = 2**22  # in the training, for a child that does not read
MAX_WAITING_LINES = 100_000  # in the child, for a wandb that does not take them
SECONDS_TO_WAIT = 3.0  # at the end of training
SECONDS_TO_FINISH = 600.0  # the child's, after the training has ended


# What wandb is told.


def mode() -> Literal["online", "offline"]:
    """Offline, unless the user asks for more by name."""
    return "online" if os.environ.get("WANDB_MODE") == "online" else "offline"


def begin(run: RunSettings, store: Path) -> "wandb.Run":
    """A wandb run below ``store/wandb/``; several may be open at once."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when wandb is imported
    import wandb

    if not os.access(store, os.W_OK):  # wandb would silently write to the system's folder
        raise PermissionError(f"{store} cannot be written to")
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=run.run_id,
        name=run.run_id,
        group=run.env.id,
        job_type=run.algo.name,
        config=run.model_dump(mode="json"),
        dir=store,
        mode=mode(),
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_git=True,
            symlink=False,
            host="",
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        ),
    )


def log(run: "wandb.Run", row: Mapping[str, Any]) -> None:
    """A row at its env step."""
    run.log(dict(row), step=row["env_step"], commit=True)


def finish(run: "wandb.Run", status: str) -> None:
    """Close the run; ``status`` as in ``run.json``, or ``interrupted``."""
    run.summary["status"] = status
    run.finish()


# The training's end of the pipe.


class Follower:
    """A child process that mirrors what it is sent; never waits, never raises.

    Args:
        store: the wandb folder is made in it.

    """

    # Kept to the end of this process, or Python complains that nobody waited for them.
    let_go: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, store: Path) -> None:
        self.log = store / "wandb" / "mirror.log"
        self.known: set[str] = set()
        self.waiting = bytearray()
        self.dropped = 0
        self.child: subprocess.Popen[bytes] | None = None
        try:
            self._start(store)
        except Exception as error:
            self._stop(error)

    def _start(self, store: Path) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        here = str(Path(__file__).resolve().parents[2])
        paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [*COMMAND, str(store)],
                bufsize=0,
                stdin=subprocess.PIPE,
                # A file: who waits for the end of our output must not wait for the child.
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the training; the child sees the pipe end
            )
        os.set_blocking(self._pipe(), False)

    def _pipe(self) -> int:
        assert self.child is not None and self.child.stdin is not None
        return self.child.stdin.fileno()

    def send(self, run: RunSettings, row: Mapping[str, Any], status: str) -> None:
        """The row of a run's last update; ``status`` is ``running`` until the run ends."""
        if self.child is None:
            return
        try:
            message = {"run_id": run.run_id, "row": row, "status": status}
            if run.run_id not in self.known:
                message["settings"] = run.model_dump(mode="json")
            line = json.dumps(message).encode() + b"\n"
            if len(self.waiting) + len(line) > MAX_WAITING_BYTES:
                self.dropped += 1
            else:
                self.known.add(run.run_id)
                self.waiting += line
            self._flush()
        except Exception as error:  # a mirror is not worth a run, whatever is wrong with it
            self._stop(error)

    def _flush(self) -> None:
        """Write what the pipe takes now."""
        with suppress(BlockingIOError):
            del self.waiting[: os.write(self._pipe(), self.waiting)]

    def _stop(self, error: Exception) -> None:
        say(f"wandb mirror: off, training goes on ({type(error).__name__}; see {self.log})")
        if self.child is not None:
            self._let_go(self.child)
            self.child = None

    def _let_go(self, child: subprocess.Popen[bytes]) -> None:
        """End the child's input, but not the child."""
        assert child.stdin is not None
        child.stdin.close()
        self.let_go.append(child)

    def close(self) -> None:
        """Say that no more comes; wait a little, so that mostly the mirror is complete."""
        if self.child is None:
            return
        try:
            note = self._end(self.child)
        except Exception as error:
            self._stop(error)
        else:
            if note:
                say(f"wandb mirror: {note}; see {self.log}")

    def _end(self, child: subprocess.Popen[bytes]) -> str | None:
        """Flush, end the child's input, wait; returns what is to be said of it, if anything."""
        end = time.monotonic() + SECONDS_TO_WAIT
        while self.waiting and (left := end - time.monotonic()) > 0:
            select.select([], [self._pipe()], [], left)
            self._flush()
        self._let_go(child)
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(end - time.monotonic(), 0))
        if self.dropped or self.waiting or child.returncode:
            return "incomplete (python -m replicate mirror RUN_FOLDER mirrors a finished run)"
        return "not complete yet, goes on by itself" if child.returncode is None else None


@contextmanager
def mirroring(
    logger: str, store: Path
) -> Iterator[Callable[[RunSettings, Mapping[str, Any], str], None]]:
    """A function to call with every row of every run: ``logger`` is ``none`` or ``wandb``."""
    if logger == "none":
        yield lambda *_: None
        return
    follower = Follower(store)
    try:
        yield follower.send
    finally:
        follower.close()


# The child's end.


def _receive(stream: BinaryIO, inbox: "SimpleQueue[bytes | None]") -> None:
    """Read at once whatever comes, so that the pipe stays empty while wandb is busy or hangs.

    After the last line, None; then this process has so many seconds left to live.
    """
    for line in stream:
        if line.endswith(b"\n") and inbox.qsize() < MAX_WAITING_LINES:
            inbox.put(line)
    inbox.put(None)
    time.sleep(SECONDS_TO_FINISH)
    say("wandb took too long to finish")
    os._exit(1)


def follow(store: Path) -> int:
    """Mirror the lines of standard input; a run whose mirror fails is given up, with one line."""
    os.nice(10)  # beside a busy training about a tenth of a core: enough here, and no harm there
    inbox: SimpleQueue[bytes | None] = SimpleQueue()
    Thread(target=_receive, args=(sys.stdin.buffer, inbox), daemon=True).start()
    runs: dict[str, wandb.Run] = {}
    failed: set[str] = set()
    while (line := inbox.get()) is not None:
        message = json.loads(line)
        run_id = message["run_id"]
        try:
            if run_id in failed:
                continue
            if run_id not in runs:
                runs[run_id] = begin(validated(RunSettings, message["settings"]), store)
            log(runs[run_id], message["row"])
            if message["status"] != "running":
                finish(runs.pop(run_id), message["status"])
        except ImportError as error:
            say(f"wandb cannot be imported: {error}")
            os._exit(1)  # the reading thread cannot be joined
        except Exception as error:
            failed.add(run_id)
            say(f"{run_id}: {_named(error)}")
    for run_id, run in runs.items():
        try:
            finish(run, "interrupted")
        except Exception as error:
            failed.add(run_id)
            say(f"{run_id}: {_named(error)}")
    return 1 if failed else 0


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


# Finished runs.


def stored_rows(folder: Path) -> list[dict[str, Any]]:
    """Episodes and updates of a run by env step, in order; what is null is left out."""
    episodes, updates = (read_table(folder, name).to_pylist() for name in ("episodes", "updates"))
    returns: deque[float] = deque(maxlen=100)
    rows: dict[int, dict[str, Any]] = {}
    for record in sorted(episodes + updates, key=lambda row: row["env_step"]):
        row = rows.setdefault(record["env_step"], {})
        row.update((key, value) for key, value in record.items() if value is not None)
        if "episodic_return" in record:
            returns.append(record["episodic_return"])
        elif returns:
            row["mean_return_100"] = sum(returns) / len(returns)
    return list(rows.values())


def stored_run(folder: Path) -> tuple[RunSettings, str, list[dict[str, Any]]]:
    """Settings, status and rows of a finished run.

    Raises:
        ConfigError: the folder does not hold one.
        DataError: it is damaged.

    """
    if not is_finished(folder):
        raise ConfigError(f"{folder}: not a finished run (it has no run.json)")
    description = read_checked(folder)
    settings = validated(RunSettings, description["settings"])
    return settings, str(description["status"]), stored_rows(folder)


def mirror(folder: Path) -> Path:
    """Mirror a finished run; returns wandb's folder.

    Raises:
        ConfigError: the folder holds no finished run, or wandb fails.
        DataError: the run is damaged.

    """
    settings, status, rows = stored_run(folder)
    try:
        run = begin(settings, folder.resolve().parent)
        for row in rows:
            log(run, row)
        finish(run, status)
        return Path(run.settings.sync_dir)
    except Exception as error:
        raise ConfigError(f"{folder}: wandb failed ({_named(error)})") from None


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if arguments[:1] == ["--follow"] and len(arguments) == 2:
        return follow(Path(arguments[1]))
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError("write python -m replicate mirror RUN_FOLDER...")
    folders = list(dict.fromkeys(map(Path, arguments)))
    for folder in folders:
        stored_run(folder)  # before anything is written
    for folder in folders:
        print(f"{folder} → {mirror(folder)}")
    return 0


if __name__ == "__main__":  # the child of a training
    sys.exit(main(sys.argv[1:]))
