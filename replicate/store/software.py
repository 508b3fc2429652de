"""Which software makes a run – digests of code and lock file, versions, commit.

Free of torch, so that the Snakefile and the analysis can ask whether stored data was made by the
code that is here now.
"""

import ast
import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
LOCK = PACKAGE.parent / "requirements.lock"
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""All configuration: within the package where pip has installed it, beside it in a checkout."""
CLAIM_DIGESTS = CONF / "claims" / "digests.json"
"""Claim → digest of its rule, which every plan quotes (``python -m analysis.claims.digests``)."""

# Parts of this package that have no part in making a run.  All else is in the code digest, a file
# that is new too.
NOT_IN_RUNS = {
    *("__main__.py", "interface.py", "planning", "probes", "upkeep"),
    *("store/plans.py", "training/progress.py", "training/mirror.py"),
}
PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "box2d", "hydra-core", "pyarrow")


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _within(file: Path) -> set[str]:
    """A file of this package and the folders around it, relative to the package."""
    path = file.relative_to(PACKAGE)
    return {part.as_posix() for part in (path, *path.parents)}


@cache
def code_digest() -> str:
    """SHA-256 of all code that can be involved in making a run, without comments and docstrings.

    It names a text; what that text does is told by its traces (``replicate.store.staleness``).
    The files are read once, when it is first asked for.
    """
    files = [
        file for file in sorted(PACKAGE.rglob("*.py")) if NOT_IN_RUNS.isdisjoint(_within(file))
    ]
    digest = hashlib.sha256()
    for file in files:
        text = _without_docstrings(file.read_text(encoding="utf-8"))
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\n{text}\n".encode())
    return digest.hexdigest()


@cache
def lock_digest() -> str | None:
    """SHA-256 of the lock file; None where the package runs without one."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that can change the numbers of a run."""
    return {name: version(name) for name in PACKAGES}


def locked_versions() -> dict[str, str]:
    """Package → version that the lock file asks for; empty without one."""
    if not LOCK.is_file():
        return {}
    lines = (
        line.partition("#")[0].strip() for line in LOCK.read_text(encoding="utf-8").splitlines()
    )
    return dict(line.split("==") for line in lines if "==" in line)


def unlike_the_lock() -> dict[str, tuple[str, str | None]]:
    """Package → (version of the lock file, version that is here), where they differ."""
    return {
        name: (locked, here)
        for name, locked in locked_versions().items()
        if not _is_build_of(here := _installed(name), locked)
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_build_of(number: str | None, locked: str) -> bool:
    """Whether ``number`` is a build of the version ``locked``, as 2.13.0+cpu is of 2.13.0."""
    return number is not None and public(number) == locked


@cache
def commit() -> dict[str, Any]:
    """``commit`` and ``dirty`` (tracked files changed) of the checkout; both None outside one."""

    def git(*arguments: str) -> str | None:
        # Whoever kills us must not find the checkout's index locked.
        command = ["git", "--no-optional-locks", "-C", str(PACKAGE), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, encoding="utf-8", timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # The package may lie inside somebody else's checkout (in a .venv, say), which says nothing.
    tracked = git("ls-files", "--error-unmatch", "__init__.py")
    if tracked is None:
        return {"commit": None, "dirty": None}
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else status != ""}


def cpu_model() -> str:
    """The CPU's name for people, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def public(number: str) -> str:
    """A version without the name of its build: 2.13.0 of 2.13.0+cpu."""
    return number.partition("+")[0]


def made_by() -> dict[str, Any]:
    """What ``run.json`` says of the software; ``replicate.store.staleness`` compares it."""
    return {"code_digest": code_digest(), "versions": versions()}
