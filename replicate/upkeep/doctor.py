"""What may be wrong here: machine, software, locks, checkpoints, stored runs, Snakemake, lanes.

python -m replicate doctor [scale=paper] [studies=table1,epsilon] [out=runs]

Exit code 0: no problem, 1: a problem, 2: a wrong argument.  It repairs nothing and says what
would; it writes no more than ``snakemake -n`` does.
"""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from replicate.messages import counted, first_line, one_line_errors
from replicate.planning.choices import KEYS, Choice, choice_of, key_values
from replicate.planning.composition import compose
from replicate.planning.layout import Layout
from replicate.store.software import LOCK, commit, made_by, unlike_the_lock
from replicate.store.staleness import DIGITS, is_known
from replicate.training.progress import SECONDS_BETWEEN_LINES
from replicate.training.provenance import cores, machine
from replicate.upkeep.checks.finding import Check, Finding, State, Tell
from replicate.upkeep.checks.machine import (
    code,
    determinism,
    disk,
    existing,
    simd,
    threads,
    versions,
)
from replicate.upkeep.checks.stored import bytes_needed, manifests, stored_runs, unfinished, writers
from replicate.upkeep.checks.workflow import dry_run, snakemake_lock, to_run

STYLES: dict[State, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}


def examination(choice: Choice, out: Path, tell: Tell) -> list[tuple[str, Check]]:
    """Every check by name, the quick ones first."""
    results = Path("results")
    pipeline_store = Layout(results).store
    stores = list(dict.fromkeys((pipeline_store, out)))

    def the_threads() -> list[Finding]:
        return [threads(cores(), torch.get_num_threads(), os.environ)]

    def the_code() -> list[Finding]:
        here = {**made_by(), **machine("cpu")}
        return [code(commit(), here["code_digest"][:DIGITS], is_known(here))]

    def the_disk() -> Iterator[Finding]:
        for store in stores:
            needed = bytes_needed(choice, store) if store == pipeline_store else 0
            there = existing(store)
            free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
            yield disk(free, needed, writable, store)

    return [
        ("threads", the_threads),
        ("SIMD", lambda: [simd(machine("cpu"))]),
        ("versions", lambda: versions(sys.version_info[:2], unlike_the_lock(), LOCK.is_file())),
        ("code", the_code),
        *(("locks", partial(writers, store)) for store in stores),
        ("locks", lambda: [snakemake_lock(Path())]),
        *(("checkpoints", partial(unfinished, store)) for store in stores),
        ("disk", the_disk),
        *(("runs", partial(stored_runs, store, tell)) for store in stores),
        ("data", partial(manifests, results)),
        ("snakemake", lambda: to_run(dry_run(choice, tell))),
        ("self-test", partial(determinism, tell)),
    ]


def findings_of(name: str, check: Check) -> Iterator[Finding]:
    """Findings of one check; if it fails, that is a finding too, and the others go on."""
    try:
        yield from check()
    except Exception as error:  # whatever it is: what is broken is what one came to learn
        kinds = dict.fromkeys([type(error).__name__, first_line(error)])  # without words, its kind
        yield Finding(name, "problem", ": ".join(["the check failed", *kinds]))


def told(finding: Finding, width: int) -> str:
    """A finding in lines of ``width`` characters, what to do after an arrow."""
    text = f"{finding.text} → {finding.todo}" if finding.todo else finding.text
    return textwrap.fill(
        text,
        width,
        initial_indent=f"{finding.state:8} {finding.name:12} ",
        subsequent_indent=" " * 22,
        break_long_words=False,
        break_on_hyphens=False,
    )


@contextmanager
def teller(console: Console) -> Iterator[Tell]:
    """A function that tells what takes time: beside a spinner, or a line now and then."""
    if console.is_terminal:
        with console.status("") as status:
            yield lambda text: status.update(escape(text))
        return
    last = time.monotonic()

    def tell(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    yield tell


def asked_for(arguments: list[str]) -> tuple[Choice, Path]:
    """Studies and scale, and the folder of runs of one's own.

    Raises:
        ConfigError: an unknown key, study or scale.

    """
    given = key_values(arguments, ("out", *KEYS))
    override = [f"out={given.pop('out')}"] if "out" in given else []
    return choice_of(given), Path(compose(*override, sweep=False).execution.out)


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    choice, out = asked_for(arguments)
    console = Console(highlight=False)
    width = console.width if console.is_terminal else sys.maxsize
    problems = 0
    console.print(f"{choice} out={out}", soft_wrap=True)
    try:
        with teller(console) as tell:
            for name, check in examination(choice, out, tell):
                for finding in findings_of(name, check):
                    problems += finding.state == "problem"
                    text = Text(told(finding, width))
                    text.stylize(STYLES[finding.state], 0, len(finding.state))
                    console.print(text, soft_wrap=True)
    except KeyboardInterrupt as error:
        error.args = ("stopped; nothing was changed",)  # the self-test speaks of its own training
        raise
    console.print(counted(problems, "problem") if problems else "no problem found")
    return 1 if problems else 0
