"""Peak memory of a fresh process that trains 33 lanes for two updates, in MiB.

python -m tests.bench.peak_memory half_cheetah ppo
"""

import re
import sys
from pathlib import Path

import torch

from replicate.engine.cohort import Cohort
from replicate.planning.composition import compose

LANES = 33
UPDATES = 2


def peak_mib() -> float:
    """The largest resident set of this process.

    Read from ``/proc``: ``ru_maxrss`` counts what a large parent held when it started us.
    """
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


def main(env: str, algo: str) -> None:
    """Train, then print the peak."""
    torch.set_num_threads(1)
    overrides = f"env={env}", f"algo={algo}", "recipe=paper2017", f"seed=range(0,{LANES})"
    cohort = Cohort(compose(*overrides, "total_env_steps=1000000").runs)
    for _ in range(UPDATES):
        cohort.step()
    print(peak_mib())


if __name__ == "__main__":
    main(*sys.argv[1:])
