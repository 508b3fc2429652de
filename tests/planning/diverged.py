"""A replication in which runs diverge, or finish no episode."""

import json
import re
from pathlib import Path
from typing import Any

from replicate.planning.layout import Layout
from replicate.store.records import read_description, read_table, write_run

UPDATE = 256
ENVS = {
    "comparison": ["half_cheetah"],  # no run ends an episode
    "table1": ["half_cheetah", "hopper", "inverted_pendulum"],
    "epsilon": ["hopper", "inverted_pendulum"],
}
CONFIG = "--config", "scale=smoke", f"studies={','.join(ENVS)}"
SCALE = f"seeds: 2\ntotal_env_steps: {3 * UPDATE}\n"
FAR = """
  far:
    label: a step size that no run survives
    overrides: [algo=ppo, algo.learning_rate=1e30]
"""


def shortened(tree: Path) -> None:
    """Three updates a run, few environments, and a variant that diverges by itself."""
    (tree / "conf/scale/smoke.yaml").write_text(SCALE)
    for study, envs in ENVS.items():
        file = tree / f"conf/study/{study}.yaml"
        text, changed = re.subn(
            r"\nenvs:\n(  - \w+\n)+overrides: \[",
            f"\nenvs: [{', '.join(envs)}]\noverrides: [algo.num_steps={UPDATE}, ",
            file.read_text(),
        )
        assert changed == 1
        file.write_text(text + FAR)


def plans(tree: Path) -> list[dict[str, Any]]:
    layout = Layout(tree / "results")
    return [json.loads(layout.plan_file("smoke", study).read_text()) for study in ENVS]


def diverge(folder: Path) -> None:
    """Let a finished run be one that left the finite numbers in its first update."""
    run = read_description(folder)
    tables = {name: read_table(folder, name).to_pylist() for name in ("episodes", "updates")}
    kept = {
        name: [row for row in rows if row["env_step"] <= UPDATE] for name, rows in tables.items()
    }
    run |= {"status": "diverged", "diverged_at_env_step": UPDATE, "env_steps": UPDATE}
    run["episodes"] = len(kept["episodes"])
    write_run(folder, kept["episodes"], kept["updates"], run)


def let_some_diverge(tree: Path) -> None:
    """Of what was trained: the far ones did, HalfCheetah's ended no episode, and others as if."""
    for entry in (entry for plan in plans(tree) for entry in plan["runs"]):
        folder = Layout(tree / "results").store / entry["run_id"]
        if entry["variant"] == "far":
            assert read_description(folder)["status"] == "diverged"
        elif entry["env"] == "inverted_pendulum" or (entry["env"], entry["seed"]) == ("hopper", 1):
            diverge(folder)
        elif entry["env"] == "half_cheetah":
            assert read_description(folder)["episodes"] == 0
