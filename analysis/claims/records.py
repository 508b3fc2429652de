"""A finding as ``claims.json`` and ``claims.csv`` have it, for the report and the terminal."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.claims import rules
from analysis.claims.configuration import Claim, LedgerSettings
from analysis.claims.ledger import (
    JUDGED,
    NOT_RUN,
    Finding,
    Judged,
    level_of_each,
    with_what_decided,
)
from analysis.claims.parts import ENVIRONMENT, FACTOR, Data, Table
from analysis.claims.sentences import effect, sentence, with_bounds
from analysis.study import env_labels
from replicate.store.records import REFERENCE, is_reference

CSV_COLUMNS = [
    "claim",
    "verdict",
    "part",
    "aim",
    "part_verdict",
    "estimate",
    "low",
    "high",
    "unit",
    "margin",
    "level",
    "n",
    "seeds",
    "seeds_needed",
]


def record(
    finding: Finding,
    data: Data,
    settings: LedgerSettings,
    digest: str | None,
    files: Mapping[str, Path],
    name: str,
) -> dict[str, Any]:
    """What the report and the terminal show of a finding."""
    claim = finding.claim
    ran = finding.verdict != NOT_RUN
    judged_envs = finding.evidence.judged
    given = [
        data.studies[study]
        for study in judged_envs or claim.studies
        if study in data.studies and ran
    ]
    # Shares of all runs are of no single environment.
    envs = {env: None for judged in finding.parts for env in judged.part.by_env} or {
        env: None
        for study in given
        for env in judged_envs.get(study.name, study.envs)
        if env not in claim.without
    }
    labels = env_labels(data.studies.values())
    envs_of = {study.name: judged_envs.get(study.name, envs) for study in given}
    used = [study for study in given if not envs or set(study.envs) & set(envs_of[study.name])]
    seeds = {
        len(study.on(env).seeds)
        for study in used
        for env in study.envs
        if env in envs_of[study.name]
    }
    runs = {
        entry["digest"] or (study.name, entry["env"], entry["variant"], entry["seed"])
        for study in used
        for entry in study.plan["runs"]
        if entry["env"] in envs_of[study.name]
        and entry["variant"] in (finding.evidence.variants or study.variants)
    }
    recorded = [study.plan.get("claims", {}).get(claim.name) for study in used]
    main = next((judged for judged in finding.parts if judged.verdict != NOT_RUN), None)
    tables = finding.evidence.tables() if ran else []
    evidence = [*claim.studies, *claim.probes, *claim.explained_by] if ran else []
    return {
        "claim": claim.name,
        "statement": " ".join(claim.statement.split()),
        "source": claim.source,
        "family": claim.family,
        "verdict": finding.verdict,
        "why": finding.why,
        "sentence": sentence(finding, settings.words),
        "effect": effect(main) if main is not None else "",
        "effect_of": main.part.label if main is not None else "",
        "n": _n(main),
        "post_hoc": any(known != digest for known in recorded),
        "digest": digest,
        "parts": [
            part_record(each, labels)
            for judged in finding.parts
            for each in with_what_decided(judged, settings)
        ],
        "tables": [table_record(table, labels) for table in tables],
        "seeds_needed": finding.seeds_needed,
        "runs": len(runs),
        "seeds": sorted(seeds),
        "envs": {env: labels.get(env, env) for env in envs},
        "recipes": list(dict.fromkeys(study.recipe for study in used)),
        "scales": list(dict.fromkeys(study.plan["scale"] for study in used)),
        "total_env_steps": sorted({study.total_env_steps for study in used}),
        "studies": [study.name for study in used],
        "missing": [study for study in claim.studies if study not in data.studies],
        "evidence": [str(files[source]) for source in evidence if source in files],
        "command": command(claim, name, [files[probe] for probe in claim.probes if probe in files]),
    }


def command(claim: Claim, name: str, probes: Sequence[Path]) -> str:
    """What makes the data again; of records that take long and are stored, what draws them.

    Args:
        name: of the report.
        probes: the records that the claim reads.

    """
    if claim.name not in rules.RULES:
        return ""
    if claim.studies and not is_reference(name):
        return f"snakemake --config scale={name} studies={','.join(claim.studies)}"
    if claim.studies or any(REFERENCE in file.parts for file in probes):
        return "snakemake figures"
    return f"snakemake -- {' '.join(map(str, probes))}"


def _n(judged: Judged | None) -> int | None:
    if judged is None:
        return None
    part = judged.part
    return part.estimate.n if part.estimate is not None else part.count and part.count[1]


def part_record(judged: Judged, labels: Mapping[str, str]) -> dict[str, Any]:
    """A part with its numbers as they are read: factors are no logarithms."""
    part = judged.part
    unit = None if part.estimate is None else part.estimate.unit

    def read(value: float | None) -> float | None:
        if value is None or math.isnan(value):
            return None
        return math.exp(value) if unit == FACTOR else value

    level = level_of_each(judged)
    each = []
    for env, estimate in part.by_env.items():
        low, high = estimate.bounds(level)
        each.append(
            {
                "env": env,
                "label": labels.get(env, env),  # a probe may know more of them than the studies
                "estimate": read(estimate.value),
                "low": read(low),
                "high": read(high),
                "level": level,
                "n": estimate.n,
                "text": with_bounds(estimate.value, low, high, estimate.unit),
            }
        )
    return {
        "key": part.key,
        "label": part.label,
        "aim": part.aim,
        "judged": part.aim in JUDGED,
        "verdict": judged.verdict,
        "why": judged.why,
        "text": effect(judged),
        "estimate": None if part.estimate is None else read(part.estimate.value),
        "low": read(judged.low),
        "high": read(judged.high),
        "margin": read(part.margin) if part.margin else None,
        "unit": unit,
        "level": judged.level,
        "p": None if part.p_values is None else min(1.0, 2 * min(part.p_values)),
        "count": part.count,
        "n": _n(judged),
        "seeds": part.seeds or None,
        "seeds_needed": judged.seeds_needed,
        "environments": each,
    }


def table_record(table: Table, labels: Mapping[str, str]) -> dict[str, Any]:
    """Numbers that JSON knows, and names that people read; what is missing is null."""
    place = table.columns.index(ENVIRONMENT) if ENVIRONMENT in table.columns else None
    rows = [
        [labels.get(value, value) if i == place else plain(value) for i, value in enumerate(row)]
        for row in table.rows
    ]
    return {"title": table.title, "columns": table.columns, "rows": rows}


def plain(value: Any) -> Any:
    """As Python's own type."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_csv(records: list[dict[str, Any]]) -> str:
    """One row per part; a claim without parts has one too."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for claim in records:
        known = {"claim": claim["claim"], "verdict": claim["verdict"]}
        for part in claim["parts"] or [{}]:
            named = {"part": part.get("label"), "part_verdict": part.get("verdict")}
            numbers = {
                key: f"{value:.6g}" if isinstance(value, float) else value
                for key, value in part.items()
            }
            writer.writerow({**numbers, **named, **known})
    return text.getvalue()
