"""From settings to files: train what is missing, write what was learnt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from replicate.engine.cohort import Cohort, CohortRecords, LaneRecords, Progress
from replicate.messages import InterruptedTraining, say
from replicate.settings import RunSettings
from replicate.store import checkpoints
from replicate.store.checkpoints import cohort_name
from replicate.store.columns import check_columns
from replicate.store.locks import only_writer
from replicate.store.records import is_finished, write_run
from replicate.training.resume import begin, now, save
from replicate.training.signals import stop_request


def train_cohort(
    runs: list[RunSettings],
    store: Path,
    device: str,
    checkpoint_every_updates: int,
    report: Callable[[Progress], None] = lambda _: None,
    watch: Callable[[RunSettings, dict[str, float], str], None] = lambda *_: None,
    threads: int = 1,
) -> None:
    """Train the unfinished ones of ``runs`` as a cohort, each to ``store/<run id>/``.

    They go on from their checkpoint, if there is one.  The networks use one thread: the matrices
    are small, and a second cohort uses the second core.

    Args:
        report: called after every update.
        watch: called after every update of every run with its last row and status
            (``running``, ``finished`` or ``diverged``).
        threads: of the physics.

    Raises:
        ConfigError: an algorithm tells what the table of updates has no column for.
        LockedError: another process trains one of them.
        InterruptedTraining: by SIGINT or SIGTERM, after a checkpoint.
        OSError: they cannot be written; what is finished or in a checkpoint stays.

    """
    torch.set_num_threads(1)
    folder, name = store / checkpoints.FOLDER, cohort_name(runs)
    try:
        with only_writer(folder, name, [run.run_id for run in runs]), stop_request() as stop:
            # Others may have finished some since it was planned.
            runs = [run for run in runs if not is_finished(store / run.run_id)]
            if not runs:
                return
            cohort, history = begin(runs, store, device, threads)

            def after_update(progress: Progress) -> None:
                check_columns("updates", of_last_update(cohort.records))
                report(progress)
                tell(cohort, progress, watch)
                if stop.signal_number is not None:
                    save(cohort, store, history)
                    raise InterruptedTraining(
                        f"after update {progress.update} of {progress.num_updates}",
                        stop.signal_number,
                    )
                due = progress.update % checkpoint_every_updates == 0
                if due and progress.update < progress.num_updates:
                    save_if_possible(cohort, store, history)

            cohort.train(after_update)
            # Writing the runs can fail half-way; they are not trained again for that.
            save_if_possible(cohort, store, history)
            write_runs(cohort, store, history, threads)
            checkpoints.remove_served(store, cohort_name(runs))
            if stop.signal_number is not None:  # it came while the runs were written
                raise InterruptedTraining("after the last update", stop.signal_number)
    finally:
        checkpoints.remove_if_empty(store)


def save_if_possible(cohort: Cohort, store: Path, history: dict[str, Any]) -> None:
    """Write a checkpoint; where that fails, training goes on and one line says so."""
    try:
        save(cohort, store, history)
    except OSError as error:
        say(f"no checkpoint after update {cohort.state.update}: {error}; the one before stays")


def tell(
    cohort: Cohort,
    progress: Progress,
    watch: Callable[[RunSettings, dict[str, float], str], None],
) -> None:
    """Call ``watch`` for every run that took part in the last update."""
    status = "finished" if progress.update == progress.num_updates else "running"
    for run, lane in zip(cohort.runs, cohort.records.lanes, strict=True):
        if lane.updates[-1]["env_step"] == progress.env_steps:
            diverged = lane.diverged_at_env_step is not None
            watch(run, last_row(lane), "diverged" if diverged else status)


def write_runs(cohort: Cohort, store: Path, history: dict[str, Any], threads: int) -> None:
    """Write the folder of every run."""
    ended = now()
    for run, lane in zip(cohort.runs, cohort.records.lanes, strict=True):
        description = {
            "run_id": run.run_id,
            "digest": run.digest,
            "settings": run.model_dump(mode="json"),
            "env_kwargs": cohort.state.envs.kwargs,
            "status": "finished" if lane.diverged_at_env_step is None else "diverged",
            "diverged_at_env_step": lane.diverged_at_env_step,
            "env_steps": lane.updates[-1]["env_step"] if lane.updates else 0,
            "episodes": len(lane.episodes),
            "ended": ended,
            **history,
            "cohort": cohort_note(cohort.runs, cohort.records, threads),
        }
        write_run(store / run.run_id, lane.episodes, lane.updates, description)


def of_last_update(records: CohortRecords) -> set[str]:
    """What the lanes have of their last updates."""
    return {key for lane in records.lanes for key in (lane.updates[-1] if lane.updates else ())}


def last_row(lane: LaneRecords) -> dict[str, float]:
    """The last update, and the mean return of the last 100 episodes if there were any."""
    returns = [episode["episodic_return"] for episode in lane.episodes[-100:]]
    mean = {"mean_return_100": sum(returns) / len(returns)} if returns else {}
    return {**lane.updates[-1], **mean}


def cohort_note(runs: list[RunSettings], records: CohortRecords, threads: int) -> dict[str, Any]:
    """How many lanes trained together, on how many threads, and where their time went."""
    seconds = {name: round(spent, 3) for name, spent in records.seconds.items()}
    return {"lanes": len(runs), "threads": threads, "seconds": seconds}


def cuda_is_available() -> bool:
    """Whether networks can live on a GPU here."""
    return torch.cuda.is_available()
