"""Where a run is made: machine, versions, digests of code and lock file."""

import os
import platform
from typing import Any

import torch

from replicate.store.software import commit, cpu_model, lock_digest, made_by


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def machine(device: str) -> dict[str, Any]:
    """What the numbers of a run are computed with."""
    return {
        "cpu": cpu_model(),
        "simd": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": os.environ.get("MKL_CBWR"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def provenance(device: str) -> dict[str, Any]:
    """What ``run.json`` says of the machine and the software."""
    return {
        **machine(device),
        "python": platform.python_version(),
        **made_by(),
        "lock_digest": lock_digest(),
        **commit(),
    }
