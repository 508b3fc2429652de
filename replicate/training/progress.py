"""How far a cohort is – a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from replicate.engine.cohort import Progress
from replicate.messages import say

SECONDS_BETWEEN_LINES = 10.0


def _left(progress: Progress) -> str:
    return str(timedelta(seconds=round(progress.seconds_left)))


def line(label: str, progress: Progress) -> str:
    """The progress as one line of plain text."""
    share = progress.update / progress.num_updates
    return (
        f"{label}: {share:4.0%}  {progress.env_steps:,} env steps × {progress.lanes} lanes  "
        f"{progress.steps_per_second:,.0f} steps/s  mean return {progress.mean_return:.4g}  "
        f"{_left(progress)} left"
    )


@contextmanager
def reporter(label: str) -> Iterator[Callable[[Progress], None]]:
    """A function that shows the progress, to be called after every update."""
    if sys.stderr.isatty():
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[text]}"),
        ]
        # Not on stdout, which has the folders of the runs and may be piped.
        with Bar(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
            task = bar.add_task(label, total=None, text="")

            def show(progress: Progress) -> None:
                text = (
                    f"{progress.steps_per_second:,.0f} steps/s  "
                    f"mean return {progress.mean_return:.4g}  {_left(progress)} left"
                )
                total, done = progress.num_updates, progress.update
                bar.update(task, total=total, completed=done, text=text)

            yield show
        return

    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or progress.update == progress.num_updates:
            last = now
            say(line(label, progress))

    yield tell
