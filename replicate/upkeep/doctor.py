"""What may be wrong here: machine, software, locks, checkpoints, stored runs, Snakemake, lanes.

python -m replicate doctor [scale=paper] [studies=table1,epsilon] [out=runs]

Exit code 0: no problem, 1: a problem, 2: a wrong argument.  It repairs nothing and says what
would; it writes no more than ``snakemake -n`` does.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from replicate.messages import DamagedRunError, UnusableCheckpointError, one_line_errors
from replicate.networks import MKL_CODE_PATH
from replicate.planning.choices import KEYS, Choice, choice_of, chosen_runs, key_values
from replicate.planning.cohorts import missing
from replicate.planning.composition import compose
from replicate.planning.pipeline import Layout
from replicate.store import checkpoints, locks
from replicate.store.files import MANIFEST
from replicate.store.records import read_stored
from replicate.store.software import LOCK, PACKAGES, commit, made_by, unlike_the_lock
from replicate.store.staleness import COMMAND, DIGITS, Answer, command, compare, is_known
from replicate.training.progress import SECONDS_BETWEEN_LINES
from replicate.training.provenance import machine
from replicate.upkeep.estimate import Pace, disk_bytes
from replicate.upkeep.selftest import broken_promises

PYTHON = (3, 11)
LEAST_FREE_BYTES = 1e9
# Untrained policies of the shortest tasks: more episodes than a training has.
MOST_EPISODES_PER_ENV_STEP = 0.1

State = Literal["ok", "note", "problem"]
STYLES: dict[State, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        text: one line.
        todo: what to do about it; empty where nothing is to be done.

    """

    name: str
    state: State
    text: str
    todo: str = ""


Check = Callable[[], Iterable[Finding]]


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, what: str) -> str:
    """1 run, 2 runs."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def threads(cores: int, torch_threads: int, environment: Mapping[str, str]) -> Finding:
    """Cores that this process may use, and threads that libraries would take."""
    text = (
        f"{counted(cores, 'core')}; torch takes {counted(torch_threads, 'thread')}, training 1 a "
        "process"
    )
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    more = [f"{name}={environment[name]}" for name in names if environment.get(name, "1") != "1"]
    if not more:
        return Finding("threads", "ok", text)
    todo = f"unset {' '.join(text.partition('=')[0] for text in more)}: more than one is slower"
    return Finding("threads", "note", f"{text}; {', '.join(more)}", todo)


def simd(found: Mapping[str, Any]) -> Finding:
    """What the bits of a run depend on besides the software, as ``machine`` tells it."""
    text = (
        f"{found['cpu']}, torch {found['simd']}, MKL_CBWR={found['mkl_cbwr']}; equal bits are "
        "promised on this class of CPU only"
    )
    if found["mkl_cbwr"] == MKL_CODE_PATH:
        return Finding("SIMD", "ok", text)
    todo = f"unset MKL_CBWR for the bits of other runs here (they have {MKL_CODE_PATH})"
    return Finding("SIMD", "note", text, todo)


def versions(
    python: tuple[int, int], unlike: Mapping[str, tuple[str, str | None]], lock_is_there: bool
) -> Iterator[Finding]:
    """Python, and packages that are not those of the lock file."""
    if python != PYTHON:
        text = f"Python {python[0]}.{python[1]}, not {PYTHON[0]}.{PYTHON[1]}"
        yield Finding("versions", "problem", text, "make .venv with that Python: make setup")
    if not lock_is_there:
        yield Finding("versions", "note", "no requirements.lock here to compare with")
        return
    if not unlike:
        yield Finding("versions", "ok", "all packages as in requirements.lock")
        return
    matters = {name.lower() for name in unlike} & set(PACKAGES)
    # Those that change the numbers of a run first.
    names = sorted(unlike, key=lambda name: (name.lower() not in matters, name))
    lines = [f"{name} {unlike[name][1] or 'missing'} (lock: {unlike[name][0]})" for name in names]
    yield Finding(
        "versions",
        "problem" if matters else "note",
        f"unlike requirements.lock: {few(lines)}",
        "python -m pip install --requirement requirements.lock",
    )


def code(where: Mapping[str, Any], digest: str, known: bool) -> Finding:
    """Which code trains, and whether its traces on this class of CPU are in the table."""
    text = f"training code {digest}"
    if where["commit"] is None:
        text = f"{text}, not in a git checkout"
    else:
        text = f"{text}, commit {where['commit'][:12]}{' and changes since' * where['dirty']}"
    if not known:
        text = f"{text}; its traces on this class of CPU are not known"
        todo = f"{COMMAND} adds them: what it trains stays known after a change of the code"
    elif where["dirty"]:
        todo = "commit or undo them before you train what others shall repeat"
    else:
        return Finding("code", "ok", text)
    return Finding("code", "note", text, todo)


def writers(store: Path) -> Iterator[Finding]:
    """Who trains into a store, and locks of those who did and are gone."""
    left = []
    files = sorted((store / checkpoints.FOLDER).glob(f"*{locks.SUFFIX}"))
    for file in files:
        if found := locks.holder(file):
            yield Finding(
                "locks",
                "note",
                f"{file}: process {found['pid']} on {found['host']} trains "
                f"{counted(len(found['runs']), 'run')} since {found['since']}",
            )
        else:
            left.append(file.name)
    if left:
        yield Finding(
            "locks",
            "note",
            f"{store / checkpoints.FOLDER}: {few(left)} left by a process that is gone",
            "nothing: it locks nothing, and the next training of that cohort takes it",
        )
    if not files:
        yield Finding("locks", "ok", f"nobody trains into {store}")


def snakemake_processes(folder: Path) -> list[int]:
    """Of Snakemake with ``folder`` as working folder; empty where the system has no /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is somebody else's
            words = (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            is_snakemake = any(Path(word).name == "snakemake" for word in words[:3])
            if is_snakemake and (process / "cwd").readlink() == folder.resolve():
                found.append(int(process.name))
    return found


def snakemake_lock(folder: Path) -> Finding:
    """Snakemake's lock on a working folder: files without a word of who made them."""
    if not list((folder / ".snakemake/locks").glob("*.lock")):
        return Finding("locks", "ok", "Snakemake's: none")
    running = snakemake_processes(folder)
    if running:
        processes = few([str(number) for number in sorted(running)])
        return Finding("locks", "note", f"Snakemake runs in this folder (process {processes})")
    return Finding(
        "locks",
        "problem",
        "Snakemake's lock is there and no Snakemake runs in this folder on this machine",
        "snakemake --unlock, unless one runs on another machine",
    )


def unfinished(store: Path) -> Iterator[Finding]:
    """Checkpoints of a store: how far, and those that cannot be gone on from."""
    found, complaints = checkpoints.stored(store)
    for complaint in complaints:
        todo = "delete it; the cohort goes on from the checkpoint before, or else starts anew"
        yield Finding("checkpoints", "problem", complaint, todo)
    readable = {checkpoint.file for checkpoint in found}
    for checkpoint in found:
        newest = checkpoint.file.with_name(
            checkpoint.file.name.replace(checkpoints.PREVIOUS, checkpoints.SUFFIX)
        )
        if newest != checkpoint.file and newest in readable:
            continue
        progress = (
            f"update {checkpoint.update} of {checkpoint.header['num_updates']}, "
            f"{counted(len(checkpoint.runs), 'run')}"
        )
        try:
            checkpoint.check_software()
        except UnusableCheckpointError as error:
            made_at = checkpoint.header["history"].get("commit")
            back = f"check out commit {made_at[:12]}" if made_at else "go back to that software"
            todo = f"{back} to go on from it, or delete it: its runs start anew"
            yield Finding("checkpoints", "note", f"{error} ({progress})", todo)
        else:
            todo = "the command that made it goes on from it"
            yield Finding("checkpoints", "note", f"{checkpoint.file}: {progress}", todo)
    if not found and not complaints:
        yield Finding("checkpoints", "ok", f"none in {store}")


def disk(free_bytes: float, needed_bytes: float, writable: bool, store: Path) -> Finding:
    """Free disk against what a choice of studies can take."""
    if not writable:
        return Finding(
            "disk", "problem", f"{store}: cannot be written to", "nothing can be trained"
        )
    text = f"{free_bytes / 1e9:.1f} GB free for {store}"
    if needed_bytes:
        text += f"; what is to train there takes at most about {needed_bytes / 1e6:.0f} MB"
    if free_bytes >= max(needed_bytes, LEAST_FREE_BYTES):
        return Finding("disk", "ok", text)
    todo = "make room; a training that cannot write keeps its last checkpoint and ends"
    return Finding("disk", "problem", text, todo)


def existing(folder: Path) -> Path:
    """The folder, or the one in which it would be made."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def bytes_needed(choice: Choice, store: Path) -> float:
    """Generous bound for the runs that a choice of studies has not finished."""
    runs = [planned.run for _, some in chosen_runs(choice) for planned in some]
    pace = Pace(seconds_per_env_step=0, episodes_per_env_step=MOST_EPISODES_PER_ENV_STEP)
    return disk_bytes(missing(runs, store), pace)


def stored_runs(store: Path, tell: Tell) -> Iterator[Finding]:
    """Finished runs that are damaged, or by software that does other than the one here."""
    folders = sorted(file.parent for file in store.glob("*/run.json"))
    stale: dict[str, list[tuple[str, Answer]]] = {"other": [], "unknown": [], "same": []}
    damaged = []
    for number, folder in enumerate(folders, 1):
        tell(f"{store}: reading run {number} of {len(folders)}")
        try:
            description = read_stored(store, folder.name)
        except DamagedRunError as error:
            damaged.append(str(error))
            continue
        answer = compare(description, [description["settings"]])
        stale[answer.same].append((folder.name, answer))
    for line in damaged[:3]:
        message, _, todo = line.rpartition("; ")
        yield Finding("runs", "problem", message, todo)
    if len(damaged) > 3:
        yield Finding("runs", "problem", f"{store}: {len(damaged) - 3} more are damaged")
    finds_out = command(answer for _, answer in stale["unknown"])
    for kind, todo in (
        (
            "other",
            "they are used as they are; python -m replicate retrain sets those of a study "
            "aside, to be trained anew",
        ),
        ("unknown", f"{finds_out} finds out whether that is the same"),
    ):
        if found := stale[kind]:
            names = few([name for name, _ in found])
            why = few(sorted({answer.why for _, answer in found}))
            text = f"{len(found)} of {len(folders)} made by {why}: {names}"
            yield Finding("runs", "note", f"{store}: {text}", todo)
    if len(stale["same"]) == len(folders):
        number = len(folders)
        text = f"{number} finished, all whole and as by the software here" if number else "none"
        yield Finding("runs", "ok", f"{store}: {text}")


def manifests(results: Path) -> Iterator[Finding]:
    """Whether stored data is what its manifest lists."""
    for folder in sorted(results.glob("*/")):
        if not any(folder.rglob(f"*{MANIFEST}")):
            continue
        # A process, since nothing here may know the analysis.
        command = [sys.executable, "-m", "analysis.manifest", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if done.returncode == 0:
            yield Finding("data", "ok", f"{folder}: as its manifests list it")
        else:
            message, _, todo = why_it_ended(done.stderr).rpartition("; ")
            yield Finding("data", "problem", message, todo)


def why_it_ended(text: str) -> str:
    """What a process ended with: its ``error:`` line, or its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no word of why"])[-1]


# How Snakemake begins a reason, and what it means here.
UPDATED_INPUT = "Updated input files"
REASONS = {
    "Missing output files": "not made yet, or deleted",
    "Incomplete output files": "cut off while it was made",
    UPDATED_INPUT: "an input is newer",
    "Input files updated by another job": "an input is made anew",
    "Set of input files has changed since last execution": "it has other inputs than last time",
    "Code has changed since last execution": "the rule's command has changed",
    "Params have changed since last execution": "the rule's parameters have changed",
    "Software environment definition has changed since last execution": (
        "environment.yaml has changed"
    ),
    "Forced execution": "forced",
}
IF_TIMES_LIE = (
    "where only times differ (a clone, a copy), snakemake --touch, with the same --config, takes "
    "the files as they are"
)


def jobs_and_reasons(dry_run: str) -> dict[str, tuple[int, Counter[str]]]:
    """Rule → number of jobs, and how often each reason, from what ``snakemake -n`` prints.

    Rules that train count as one, ``train``; the rule ``all`` makes nothing.
    """
    found: dict[str, tuple[int, Counter[str]]] = {}
    rule = ""
    for line in dry_run.splitlines():
        if heading := re.fullmatch(r"(?:local)?rule (\w+):", line):
            rule = "train" if heading[1].startswith("train_") else heading[1]
            count, reasons = found.get(rule, (0, Counter()))
            found[rule] = count + 1, reasons
        elif given := re.fullmatch(r" +reason: (.*)", line):
            found[rule][1].update(part.partition(":")[0] for part in given[1].split("; "))
    found.pop("all", None)
    return found


def to_run(done: subprocess.CompletedProcess[str]) -> Iterator[Finding]:
    """What ``snakemake -n`` would run, and mostly why."""
    if done.returncode != 0:
        why = why_it_ended(done.stderr or done.stdout)
        text = f"snakemake -n ends with code {done.returncode}: {why}"
        yield Finding("snakemake", "problem", text, "put that right; nothing can run before")
        return
    jobs = jobs_and_reasons(done.stdout)
    if not jobs and "Nothing to be done" in done.stdout + done.stderr:
        yield Finding("snakemake", "ok", "nothing to run")
    elif not jobs:
        text = "cannot read what snakemake -n prints"
        yield Finding("snakemake", "problem", text, "look at it yourself: snakemake -n")
    for rule, (count, reasons) in jobs.items():
        ((reason, _),) = reasons.most_common(1) or [("no reason given", 0)]
        yield Finding(
            "snakemake",
            "note",
            f"{rule}: {counted(count, 'job')}, {REASONS.get(reason, reason)}",
            IF_TIMES_LIE if UPDATED_INPUT in reasons else "",
        )


def dry_run(choice: Choice, tell: Tell) -> subprocess.CompletedProcess[str]:
    """Of the Snakefile of the working folder."""
    tell("asking snakemake -n what it would run")
    config = [f"scale={choice.scale}", f"studies={','.join(choice.studies)}"]
    command = [sys.executable, "-m", "snakemake", "-n", "--config", *config]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def determinism(tell: Tell) -> Iterator[Finding]:
    """The self-test, for seconds."""
    begin = time.monotonic()
    broken = list(broken_promises(tell))
    for line in broken:
        todo = "do not trust runs made here; look at SIMD and versions above, then report it"
        yield Finding("self-test", "problem", line, todo)
    if not broken:
        yield Finding(
            "self-test",
            "ok",
            "ppo and trpo give the same bytes again, alone, in another order and after an "
            f"interruption ({time.monotonic() - begin:.0f} s)",
        )


def examination(choice: Choice, out: Path, tell: Tell) -> list[tuple[str, Check]]:
    """Every check by name, the quick ones first."""
    results = Path("results")
    pipeline_store = Layout(results).store
    stores = list(dict.fromkeys((pipeline_store, out)))

    def the_threads() -> list[Finding]:
        return [threads(os.cpu_count() or 1, torch.get_num_threads(), os.environ)]

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
    """Of one check; one that fails is a finding too, and the others go on."""
    try:
        yield from check()
    except Exception as error:  # whatever it is: what is broken is what one came to learn
        reason = str(error).strip().partition("\n")[0]
        yield Finding(name, "problem", f"the check failed: {type(error).__name__}: {reason}")


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
    """To say what takes its time: beside a spinner on a terminal, now and then a line elsewhere."""
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
