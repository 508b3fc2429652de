"""What a choice of studies will cost here, before it runs.

python -m replicate estimate [studies=table1,epsilon] [scale=paper] [cores=2]

Trains a moment of every kind of cohort to learn this machine's speed.
"""

import heapq
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from replicate.engine.cohort import Cohort
from replicate.envs import check_env
from replicate.messages import ConfigError, one_line_errors
from replicate.planning.choices import KEYS, choice_of, chosen_runs, key_values
from replicate.planning.cohorts import (
    cohort_env_steps,
    cohorts_to_train,
    env_steps_left,
    missing,
)
from replicate.planning.layout import Layout
from replicate.planning.studies import PlannedRun
from replicate.settings import RunSettings, validated
from replicate.store.checkpoints import updates_done
from replicate.training.memory import check_memory
from replicate.training.provenance import cores

CALIBRATION_ENV_STEPS = 256
# Typical sizes of compressed rows and of a run.json.
BYTES_PER_UPDATE, BYTES_PER_EPISODE, BYTES_PER_RUN = 110, 9, 14_000


@dataclass(frozen=True)
class Pace:
    """How fast a kind of cohort is here.

    Args:
        seconds_per_env_step: of one lane's env step, lanes in lockstep on one core.
        episodes_per_env_step: of untrained policies.

    """

    seconds_per_env_step: float
    episodes_per_env_step: float


def calibrate(runs: list[RunSettings]) -> Pace:
    """Time one short update of the cohort after another that warms up."""
    algo = runs[0].algo
    env_steps = max(CALIBRATION_ENV_STEPS // algo.samples_at_once, 1) * algo.samples_at_once
    short = []
    for run in runs:
        data = run.model_dump(mode="json")
        data["algo"]["num_steps"] = data["total_env_steps"] = env_steps
        short.append(validated(RunSettings, data))
    cohort = Cohort(short)
    cohort.step()
    begin = time.process_time()  # of this process: others may be busy now but not later
    cohort.step()
    seconds = time.process_time() - begin
    episodes = sum(len(lane.episodes) for lane in cohort.records.lanes)
    steps = env_steps * len(runs)
    return Pace(seconds / steps, episodes / (2 * steps))


def kind_of(cohort: list[RunSettings]) -> tuple[str, int]:
    """The kind of a cohort: those of one kind cost the same per env step."""
    return cohort[0].cohort_key(), len(cohort)


def makespan(durations: Iterable[float], cores: int) -> float:
    """Time until the last of ``cores`` is done, longest jobs first."""
    busy_until = [0.0] * cores
    for duration in sorted(durations, reverse=True):
        heapq.heappush(busy_until, heapq.heappop(busy_until) + duration)
    return max(busy_until)


def disk_bytes(cohort: list[RunSettings], pace: Pace) -> float:
    """What the runs of a cohort will take in the store."""
    episodes = cohort_env_steps(cohort) * pace.episodes_per_env_step
    updates = sum(run.num_updates for run in cohort)
    fixed = BYTES_PER_RUN * len(cohort)
    # Twice: the studies' tables hold the runs a second time.
    return fixed + 2 * (BYTES_PER_UPDATE * updates + BYTES_PER_EPISODE * episodes)


def study_table(planned: dict[str, list[PlannedRun]], store: Path) -> Table:
    """Runs of each study: new, shared with those above, finished."""
    table = Table()
    for name in ("study", "runs", "shared with those above", "finished", "to train", "env steps"):
        table.add_column(name, justify="left" if name == "study" else "right")
    seen: set[str] = set()
    for name, runs in planned.items():
        new = [p.run for p in runs if p.run.digest not in seen]
        todo = missing(new, store)
        seen |= {run.digest for run in new}
        numbers = [len(runs), len(runs) - len(new), len(new) - len(todo), len(todo)]
        table.add_row(name, *map(str, numbers), f"{cohort_env_steps(todo):,}")
    return table


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    console = Console()
    given = key_values(arguments, ("cores", *KEYS))
    cores = _cores(given.pop("cores", None))
    planned = {study.name: runs for study, runs in chosen_runs(choice_of(given))}
    layout = Layout(Path("results"))
    console.print(study_table(planned, layout.store))
    all_runs = (p.run for runs in planned.values() for p in runs)
    groups = cohorts_to_train(all_runs, layout.store)
    if not groups:
        console.print("Nothing to train.")
        return 0
    for cohort in groups:
        check_memory(cohort, check_env(cohort[0].env))
    torch.set_num_threads(1)
    kinds = {kind_of(cohort): cohort for cohort in groups}
    paces = {
        kind: calibrate(cohort)
        for kind, cohort in track(kinds.items(), "measuring", console=console, transient=True)
    }
    done = updates_done(layout.store)
    left = [env_steps_left(cohort, done) for cohort in groups]
    seconds = [
        paces[kind_of(cohort)].seconds_per_env_step * steps
        for cohort, steps in zip(groups, left, strict=True)
    ]
    disk = sum(disk_bytes(cohort, paces[kind_of(cohort)]) for cohort in groups)
    console.print(
        f"{sum(map(len, groups))} runs in {len(groups)} cohorts, "
        f"{sum(left):,} env steps: "
        f"about {makespan(seconds, cores) / 3600:.2g} hours on {cores} free cores "
        f"({sum(seconds) / 3600:.2g} core hours, longest cohort {max(seconds) / 60:.0f} min), "
        f"{disk / 1e6:.0f} MB."
    )
    return 0


def _cores(text: str | None) -> int:
    if text is None:
        return cores()
    if not re.fullmatch("[1-9][0-9]{0,4}", text):
        raise ConfigError(f"cores={text}: not a number of cores; nearest valid choice: 1")
    return int(text)
