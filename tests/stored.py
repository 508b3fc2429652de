"""Stored runs as training writes them, without the training."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replicate.settings import RunSettings
from replicate.store.records import write_run
from replicate.store.software import made_by

EPISODE = 64
"""Env steps of each."""
MACHINE = {"cpu": "made up", "simd": "AVX2", "mkl_cbwr": None, "device": "cpu", "threads": 1}
SOFTWARE = {
    "python": "3.11",
    **made_by(),
    "lock_digest": None,
    "commit": "c0ffee",
    "dirty": False,
}
RESUMED = {"update": 3, "at": "2026-01-01T00:00:00+00:00", **MACHINE, **SOFTWARE}


def episodes_of(env_steps: int) -> list[dict[str, Any]]:
    """One after the other."""
    ends = range(EPISODE, env_steps + 1, EPISODE)
    common = {"episodic_return": 1.5, "episodic_length": EPISODE, "terminated": True}
    return [{"env_step": end, **common} for end in ends]


def updates_of(run: RunSettings, count: int) -> list[dict[str, Any]]:
    """The first of a run."""
    steps = run.algo.num_steps
    return [{"update": u, "env_step": (u + 1) * steps, "kl": 0.01} for u in range(count)]


def description(run: RunSettings, **changed: Any) -> dict[str, Any]:
    """All of ``run.json`` but the files."""
    env_steps = run.env_steps
    return {
        "run_id": run.run_id,
        "digest": run.digest,
        "settings": run.model_dump(mode="json"),
        "env_kwargs": {"max_episode_steps": EPISODE},
        "status": "finished",
        "diverged_at_env_step": None,
        "env_steps": env_steps,
        "episodes": env_steps // EPISODE,
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T01:00:00+00:00",
        "resumed": [],
        **MACHINE,
        **SOFTWARE,
        "cohort": {"lanes": 1, "threads": 1, "seconds": {"rollout": 2.0, "env_step": 1.0}},
        **changed,
    }


def store_run(
    store: Path,
    run: RunSettings,
    tables: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    **changed: Any,
) -> Path:
    """A run in its place in a store; its folder.

    Args:
        tables: rows of ``episodes`` or ``updates``, by default those of a whole run.
        changed: of its description.

    """
    about = description(run, **changed)
    rows = {
        "episodes": episodes_of(about["env_steps"]),
        "updates": updates_of(run, about["env_steps"] // run.algo.num_steps),
        **(tables or {}),
    }
    write_run(store / run.run_id, rows["episodes"], rows["updates"], about)
    return store / run.run_id
