"""The determinism contract, tried on this machine: the same run has the same Parquet bytes.

Short trainings, so that the doctor can try it in seconds; the tests try it in full.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path

from replicate.engine.cohort import Progress
from replicate.envs import comparison
from replicate.planning.composition import compose
from replicate.settings import RunSettings
from replicate.store.columns import SCHEMAS
from replicate.store.records import read_description, read_table
from replicate.training.runs import train_cohort

# Two physics engines, two recipes; lanes that differ in a value as well as in their seed.
TASKS = (("env=hopper", "recipe=paper2017"), ("env=bipedal_walker", "recipe=modern"))
VARIED = {"ppo": "algo.clip_epsilon=0.1,0.3", "trpo": "algo.max_kl=0.003,0.03"}
SHORT = ("algo.num_steps=128", "total_env_steps=512", "seed=0,1")
STOP_AT_UPDATE = 3

BATCHED = ("half_cheetah", "hopper", "inverted_double_pendulum", "reacher")
BATCH_STEPS = 100

AGAIN, ALONE, REORDERED, RESUMED = (
    "trained again",
    "alone",
    "in another order",
    "interrupted and gone on from its checkpoint",
)


class _StoppedError(Exception):
    """Stands for a crash after a checkpoint."""


def first_difference(run: Path, other: Path) -> str | None:
    """Where two folders of one run differ first (file, column, env step); None: same bytes."""
    for name in SCHEMAS:
        file = f"{name}.parquet"
        if (run / file).read_bytes() == (other / file).read_bytes():
            continue
        rows, others = (read_table(folder, name).to_pylist() for folder in (run, other))
        for row, other_row in zip(rows, others, strict=False):
            for column, value in row.items():
                if repr(value) != repr(other_row[column]):  # NaN equals NaN
                    return f"{file}, {column} at env step {row['env_step']}"
        return f"{file}, {len(rows)} and {len(others)} rows"
    return None


def _train(
    runs: list[RunSettings], store: Path, report: Callable[[Progress], None] = lambda _: None
) -> None:
    # Training tells where it goes on from a checkpoint, which is no news here.
    with redirect_stderr(io.StringIO()):
        train_cohort(runs, store, "cpu", checkpoint_every_updates=1, report=report)


def _train_with_a_break(runs: list[RunSettings], store: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.update == STOP_AT_UPDATE:
            raise _StoppedError

    with suppress(_StoppedError):
        _train(runs, store, stop)
    _train(runs, store)


def differences(
    runs: list[RunSettings], folder: Path, tell: Callable[[str], None]
) -> Iterator[str]:
    """Train a cohort in several ways; a line for each way that gave a run other bytes.

    Args:
        folder: empty; each way has a store of its own in it.
        tell: told what is trained.

    """
    middle = len(runs) // 2
    ways = {
        AGAIN: runs,
        ALONE: [runs[-1]],
        REORDERED: [*runs[middle + 1 :], *runs[: middle + 1]],
        RESUMED: runs,
    }
    label = f"{runs[0].env.id} {runs[0].algo.name}"
    tell(f"self-test: {label}")
    _train(runs, folder / "cohort")
    for way, lanes in ways.items():
        tell(f"self-test: {label}, {way}")
        store = folder / way
        train = _train_with_a_break if way == RESUMED else _train
        train(lanes, store)
        for run in lanes:
            # Without this a checkpoint that is never used would pass.
            if way == RESUMED and not read_description(store / run.run_id)["resumed"]:
                yield f"{label} seed {run.seed}: does not go on from its checkpoint"
                break
            if difference := first_difference(folder / "cohort" / run.run_id, store / run.run_id):
                yield f"{label} seed {run.seed}: other results {way}: {difference}"
                break


def broken_promises(tell: Callable[[str], None]) -> Iterator[str]:
    """A line for each way of stepping or training that gave other bits here; none: all is well."""
    for env in BATCHED:
        (run,) = compose(f"env={env}").runs
        tell(f"self-test: {run.env.id} in one call for all lanes, and through gymnasium")
        if difference := comparison.first_difference(run.env, lanes=3, steps=BATCH_STEPS):
            yield difference
    for task in TASKS:
        for algo, varied in VARIED.items():
            runs = compose(*task, f"algo={algo}", varied, *SHORT).runs
            with tempfile.TemporaryDirectory() as folder:
                yield from differences(runs, Path(folder), tell)
