"""Where a run was made: machine, versions, digests of code and lock file."""

import ast
import hashlib
import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).resolve().parents[1]
LOCK = PACKAGE.parent / "requirements.lock"

# Floors 0–3: what can change the numbers of a run.
SOURCES = ("settings.py", "networks.py", "envs.py", "maths", "algorithms", "engine")
VERSIONS = ("torch", "numpy", "gymnasium", "mujoco", "box2d", "hydra-core", "pyarrow")


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)


@cache
def code_digest() -> str:
    """SHA-256 of floors 0–3, comments and docstrings left out."""
    files = [
        file
        for name in SOURCES
        for file in (
            [PACKAGE / name] if name.endswith(".py") else sorted((PACKAGE / name).glob("*.py"))
        )
    ]
    digest = hashlib.sha256()
    for file in files:
        digest.update(
            f"{file.relative_to(PACKAGE)}\n{_without_docstrings(file.read_text())}\n".encode()
        )
    return digest.hexdigest()


@cache
def lock_digest() -> str | None:
    """SHA-256 of the lock file; None where the package runs without one."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def provenance(device: str) -> dict[str, Any]:
    """What ``run.json`` says of the machine and the software."""
    return {
        "cpu": _cpu_model(),
        "simd": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": os.environ.get("MKL_CBWR"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
        "code_digest": code_digest(),
        "lock_digest": lock_digest(),
    }
