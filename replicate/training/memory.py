"""What a cohort needs of memory, asked before any of it is taken."""

import os
from pathlib import Path

from replicate.envs import EnvSpec
from replicate.messages import ConfigError
from replicate.networks import make_networks
from replicate.settings import RunSettings

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""This file says how much memory a container may take; "max" means no limit."""
BYTES = 4  # of a float32


def bytes_at_least(cohort: list[RunSettings], spec: EnvSpec) -> dict[str, int]:
    """Key of ``algo`` → the bytes that its value makes a cohort take, at the least.

    Networks count with their gradient and Adam's two moments; a rollout with its observations,
    actions and rewards, as they come and as they are used, and one pass of a network over it.
    """
    algo, lanes = cohort[0].algo, len(cohort)
    policy, value = make_networks(
        spec.observation_size, spec.num_actions, spec.continuous, algo.hidden_sizes
    )
    parameters = policy.num_parameters + value.network.num_parameters
    sample = 4 * spec.observation_size + 3 * spec.num_actions + 4 + sum(algo.hidden_sizes)
    return {
        "hidden_sizes": BYTES * lanes * 4 * parameters,
        "num_steps": BYTES * lanes * algo.num_steps * sample,
    }


def bytes_here() -> int:
    """Bytes of memory that a process here can have at most."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = LIMIT.read_text(encoding="utf-8").strip() if LIMIT.is_file() else "max"
    return min(physical, int(limit)) if limit.isdecimal() else physical


def check_memory(cohort: list[RunSettings], spec: EnvSpec) -> None:
    """Refuse a cohort that cannot fit into memory.

    Raises:
        ConfigError: it cannot fit.

    """
    parts = bytes_at_least(cohort, spec)
    needed, here = sum(parts.values()), bytes_here()
    if needed > here:
        key = max(parts, key=lambda name: parts[name])
        given = getattr(cohort[0].algo, key)
        raise ConfigError(
            f"algo.{key}: {list(given) if isinstance(given, tuple) else given} takes at least "
            f"{_gigabytes(needed)} of memory for {len(cohort)} at once; {_gigabytes(here)} are "
            "here: make it smaller"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count < 1e12 else f"{count // 10**9:,} GB"
