"""From settings to files: train what is missing, write what was learnt."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from replicate.engine.provenance import provenance
from replicate.engine.train import Cohort, CohortRecords, LaneRecords, Progress
from replicate.records import write_run
from replicate.settings import RunSettings


def train_cohort(
    runs: list[RunSettings],
    store: Path,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda _: None,
    watch: Callable[[RunSettings, dict[str, float], str], None] = lambda *_: None,
) -> None:
    """Train runs as one cohort and write each to ``store/<run id>/``.

    One thread: the matrices are small, and a second cohort uses the second core.

    Args:
        report: called after every update.
        watch: called after every update of every run with its last row and status
            (``running``, ``finished`` or ``diverged``).

    """
    torch.set_num_threads(1)
    started = datetime.now(UTC)
    cohort = Cohort(runs, device)

    def tell(progress: Progress) -> None:
        report(progress)
        status = "finished" if progress.update == progress.num_updates else "running"
        for run, lane in zip(runs, cohort.records.lanes, strict=True):
            if lane.updates[-1]["env_step"] == progress.env_steps:
                diverged = lane.diverged_at_env_step is not None
                watch(run, last_row(lane), "diverged" if diverged else status)

    records = cohort.train(tell)
    ended = datetime.now(UTC)
    for run, lane in zip(runs, records.lanes, strict=True):
        description = {
            "run_id": run.run_id,
            "digest": run.digest,
            "settings": run.model_dump(mode="json"),
            "status": "finished" if lane.diverged_at_env_step is None else "diverged",
            "diverged_at_env_step": lane.diverged_at_env_step,
            "env_steps": lane.updates[-1]["env_step"] if lane.updates else 0,
            "episodes": len(lane.episodes),
            "started": started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds"),
            "cohort": cohort_note(runs, records),
            **provenance(device),
        }
        write_run(store / run.run_id, lane.episodes, lane.updates, description)


def last_row(lane: LaneRecords) -> dict[str, float]:
    """The last update, and the mean return of the last 100 episodes if there were any."""
    returns = [episode["episodic_return"] for episode in lane.episodes[-100:]]
    mean = {"mean_return_100": sum(returns) / len(returns)} if returns else {}
    return {**lane.updates[-1], **mean}


def cohort_note(runs: list[RunSettings], records: CohortRecords) -> dict[str, Any]:
    """How many lanes trained together, and where their time went."""
    return {"lanes": len(runs), "seconds": {k: round(v, 3) for k, v in records.seconds.items()}}


def cuda_is_available() -> bool:
    """Whether networks can live on a GPU here."""
    return torch.cuda.is_available()
