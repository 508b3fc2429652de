"""Plans – what a study consists of at a scale, and which rules of claims came before its runs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from replicate.planning.studies import PlannedRun, StudySettings
from replicate.store.checkpoints import stored
from replicate.store.files import write_atomically
from replicate.store.plans import read_plan
from replicate.store.records import is_finished


def claims_of(
    plan: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    others: list[dict[str, Any]],
    begun: Callable[[str], bool],
    known: Mapping[str, str],
) -> dict[str, str | None]:
    """Claim → the digest of its rule from before the first of the plan's runs was begun.

    Where no run was begun, today's digests.  Otherwise what was recorded first stays: in the
    study's own plan or, if that is new, in the plans that had its runs before.  None: the rule
    is not known to be older than the runs, and its verdict is *post hoc*.

    Args:
        before: the study's plan as it was written last.
        others: all plans.
        begun: whether a run, by its id, is finished or in a checkpoint.
        known: today's digests.

    """
    runs = {entry["run_id"] for entry in plan["runs"] if begun(entry["run_id"])}
    if not runs:
        return dict(known)
    if before is not None and runs & run_ids(before):
        return {claim: before.get("claims", {}).get(claim) for claim in known}
    # The plans that had each run: a digest counts if all runs have it.
    holders = [[other for other in others if run in run_ids(other)] for run in sorted(runs)]
    return {
        claim: digest
        if all(
            any(other.get("claims", {}).get(claim) == digest for other in plans)
            for plans in holders
        )
        else None
        for claim, digest in known.items()
    }


def run_ids(plan: Mapping[str, Any] | None) -> set[str]:
    """The runs of a plan; none where there is no plan."""
    return {entry["run_id"] for entry in plan["runs"]} if plan else set()


def written_plans(root: Path) -> dict[Path, dict[str, Any]]:
    """Every plan that was written to a ``results/replication``, at any scale."""
    return {path: read_plan(path) for path in sorted(root.glob("*/data/*/plan.json"))}


def begun_in(store: Path) -> Callable[[str], bool]:
    """A function that says whether a run, by its id, is finished or in a checkpoint."""
    interrupted = {run for checkpoint in stored(store)[0] for run in checkpoint.run_ids}
    return lambda run: run in interrupted or is_finished(store / run)


def plan_of(study: StudySettings, scale: str, planned: list[PlannedRun]) -> dict[str, Any]:
    """A plan: what a study consists of at a scale, for the analysis and for people."""
    settings = {p.variant: p.run.model_dump(mode="json") for p in planned}
    first = planned[0].run
    return {
        "study": study.name,
        "scale": scale,
        "title": study.title,
        "question": study.question,
        "figures": list(study.figures),
        "tables": list(study.tables),
        "recipe": first.recipe.name,
        "num_steps": first.algo.num_steps,
        "total_env_steps": first.env_steps,
        "envs": {p.env: p.run.env.id for p in planned},
        # Where the tables of each environment are, relative to the plan's folder.
        "data": {p.env: [f"../{p.env}"] for p in planned},
        "variants": [
            {
                "name": name,
                "label": variant.label,
                "published": variant.published,
                "algo": settings[name]["algo"],
                **({"change": settings[name]["change"]} if settings[name]["change"] else {}),
                "recipe": settings[name]["recipe"],
            }
            for name, variant in study.variants.items()
        ],
        "runs": [
            {
                "env": p.env,
                "variant": p.variant,
                "seed": p.run.seed,
                "run_id": p.run.run_id,
                "digest": p.run.digest,
            }
            for p in planned
        ],
    }


def write_if_changed(path: Path, data: Any) -> None:
    """Write JSON, unless the file has it already: then nothing that depends on it is made anew."""
    text = json.dumps(data, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text.encode())
