"""Checks of this machine: threads, SIMD, versions, code, disk, and whether runs repeat."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from replicate.messages import counted, few
from replicate.networks import MKL_CODE_PATH
from replicate.store.software import PACKAGES
from replicate.store.staleness import COMMAND
from replicate.upkeep.checks.finding import Finding, Tell
from replicate.upkeep.selftest import broken_promises

PYTHON = (3, 11)
LEAST_FREE_BYTES = 1e9


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


def simd(described: Mapping[str, Any]) -> Finding:
    """What the bits of a run depend on besides the software, as ``machine`` tells it."""
    text = (
        f"{described['cpu']}, torch {described['simd']}, MKL_CBWR={described['mkl_cbwr']}; equal "
        "bits are promised on this class of CPU only"
    )
    if described["mkl_cbwr"] == MKL_CODE_PATH:
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
        text = f"{text}, commit {where['commit'][:12]}{' and changes since' * bool(where['dirty'])}"
    if not known:
        text = f"{text}; its traces on this class of CPU are not known"
        todo = f"{COMMAND} adds them: what it trains stays known after a change of the code"
    elif where["dirty"]:
        todo = "commit or undo them before you train what others shall repeat"
    else:
        return Finding("code", "ok", text)
    return Finding("code", "note", text, todo)


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
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def determinism(tell: Tell) -> Iterator[Finding]:
    """The self-test: whether runs repeat here, tried for seconds."""
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
