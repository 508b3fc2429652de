"""Runs that diverge, or finish no episode, come through the whole pipeline to a report."""

import json
import re
from pathlib import Path
from typing import Any

from replicate.store.records import read_description, read_table, write_run
from tests.planning.test_pipeline import MADE, copy_of, fresh, snakemake

__all__ = ["fresh"]

UPDATE = 256
ENVS = {
    "comparison": ["half_cheetah"],  # no run ends an episode
    "table1": ["half_cheetah", "hopper", "inverted_pendulum"],
    "epsilon": ["hopper", "inverted_pendulum"],
}
SMOKE = "--config", "scale=smoke", f"studies={','.join(ENVS)}"
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
    folder = tree / MADE / "smoke/data"
    return [json.loads((folder / study / "plan.json").read_text()) for study in ENVS]


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


def test_diverged_runs_and_runs_without_an_episode_come_to_a_report(
    fresh: Path, tmp_path: Path
) -> None:
    tree = copy_of(fresh, tmp_path / "tree")
    shortened(tree)
    assert snakemake(tree, "-n", *SMOKE).returncode == 0  # writes the plans
    runs = [entry for plan in plans(tree) for entry in plan["runs"]]
    stamps = sorted({str(MADE / "finished" / entry["run_id"]) for entry in runs})
    trained = snakemake(tree, *SMOKE, "--", *stamps)
    assert trained.returncode == 0, trained.stderr
    for entry in runs:
        folder = tree / MADE / "runs" / entry["run_id"]
        if entry["variant"] == "far":
            assert read_description(folder)["status"] == "diverged"
        elif entry["env"] == "inverted_pendulum" or (entry["env"], entry["seed"]) == ("hopper", 1):
            diverge(folder)
        elif entry["env"] == "half_cheetah":
            assert read_description(folder)["episodes"] == 0
    done = snakemake(tree, *SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tree / MADE / "smoke/report.html").read_text()
    assert "diverged" in report
    for plan in plans(tree):
        for kind, suffix in (("figures", ".svg"), ("tables", ".csv")):
            for product in plan[kind]:
                made = tree / MADE / "smoke" / kind / plan["study"] / f"{product}{suffix}"
                assert made.stat().st_size > 20
