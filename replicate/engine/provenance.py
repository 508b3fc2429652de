"""Where a run was made: machine, versions, digests of code and lock file."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from replicate.software import commit, lock_digest, made_by


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine(device: str) -> dict[str, Any]:
    """What the numbers of a run are computed with."""
    return {
        "cpu": _cpu_model(),
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
