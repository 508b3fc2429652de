"""The whole page: one file, nothing loaded, every text escaped."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis import manifest
from analysis.report import cards, intervals, provenance, simulations, studies
from analysis.report.elements import (
    Source,
    amount,
    base64_text,
    moving_picture,
    source,
    stored_picture,
)
from analysis.study import Study, env_labels
from replicate.store.records import is_reference

HERE = Path(__file__).parent
TITLE = "PPO, TRPO and naive policy gradient: what was found"


@dataclass(frozen=True)
class Inputs:
    """What the page is made of.

    Args:
        name: a scale, ``reference`` or ``reference_<scale>``.
        root: holds NAME/figures, NAME/tables, NAME/measures, NAME/claims.json, figures and probes.
        studies: with data.
        claims: records of ``claims.json``.
        coverage: of ``analysis.coverage``.
        error_rates: of ``analysis.claims.error_rates``.

    """

    name: str
    root: Path
    studies: list[Study]
    claims: list[dict[str, Any]]
    coverage: pd.DataFrame
    error_rates: pd.DataFrame


def render(inputs: Inputs) -> str:
    """The file's text."""
    sheet, script = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pieces"] = cards.pieces
    return environment.get_template("page.html.jinja").render(
        title=TITLE,
        name=inputs.name,
        from_repository=is_reference(inputs.name),
        style=Markup(sheet),  # files of ours
        script=Markup(script),
        style_hash=sha256_base64(sheet),
        script_hash=sha256_base64(script),
        **_found(inputs),
        **_shown(inputs),
        **_made(inputs),
    )


def _found(inputs: Inputs) -> dict[str, Any]:
    """Verdicts."""
    told = cards.read_questions()
    return {
        "answers": cards.answers(inputs.claims, told["questions"], told["words"]),
        "topics": cards.cards(inputs.claims, told["topics"]),
        "not_run": cards.not_run(inputs.claims),
        "verdict_of": {claim["claim"]: claim for claim in inputs.claims},
        "judges": {
            study.name: [c["claim"] for c in inputs.claims if study.name in c["studies"]]
            for study in inputs.studies
        },
        "signs": cards.SIGNS,
        "meanings": cards.MEANINGS,
        "anchor": anchor,
        "returns": cards.published_returns(inputs.claims),
        "plot": {
            "width": intervals.WIDTH,
            "row": intervals.ROW_HEIGHT,
            "axis": intervals.AXIS_HEIGHT,
        },
    }


def _shown(inputs: Inputs) -> dict[str, Any]:
    """Tables and pictures."""
    folder = inputs.root / inputs.name
    figures = inputs.root / "figures"
    probe = inputs.root / "probes" / "clipped_objective.csv"
    return {
        "studies": studies.sections(inputs.name, folder, inputs.studies),
        "forest": stored_picture(folder / "figures" / "forest", inputs.name),
        "clipped": moving_picture(figures / "clipped_objective", inputs.name, probe),
        "line": moving_picture(figures / "update_line", inputs.name),
        "passes": stored_picture(figures / "update_passes", inputs.name),
    }


def _made(inputs: Inputs) -> dict[str, Any]:
    """Where it all comes from."""
    folder = inputs.root / inputs.name
    files = {study.name: folder / "measures" / f"{study.name}.csv" for study in inputs.studies}
    manifest.check(files.values())
    scales = {study.name: study.plan["scale"] for study in inputs.studies}
    measures = pd.concat(
        [
            pd.read_csv(file).assign(study=study, scale=scales[study])
            for study, file in files.items()
        ],
        ignore_index=True,
    )
    runs = provenance.unique_runs(inputs.studies)
    labels = env_labels(inputs.studies)
    return {
        "extents": provenance.extents(inputs.studies),
        "runs": len(runs),
        "steps": amount(sum(run["env_steps"] for run in runs)),
        "recipes": sorted({study.recipe for study in inputs.studies}),
        "envs": list(dict.fromkeys(labels.values())),
        "notes": provenance.notes(inputs.name, measures, runs),
        "software_notes": provenance.software_notes(inputs.name, inputs.studies),
        "facts": provenance.facts(inputs.studies),
        "costs": provenance.cost_table(inputs.studies),
        "scale": provenance.scale_table(measures, labels),
        "coverage": simulations.coverage_table(inputs.coverage),
        "error_rates": simulations.error_table(inputs.error_rates),
        "evidence": evidence(inputs, [folder / "claims.csv", *files.values()]),
    }


def evidence(inputs: Inputs, files: Iterable[Path]) -> list[tuple[str, Source]]:
    """Files that verdicts are made of, each once: anchor and file."""
    named = [Path(file) for claim in inputs.claims for file in claim["evidence"]]
    return [(anchor(file), source(file, inputs.name)) for file in dict.fromkeys([*files, *named])]


def anchor(file: Path | str) -> str:
    """Name of a file's place on the page."""
    file = Path(file)
    return f"file-{file.parent.name}-{file.stem}"


def sha256_base64(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return base64_text(hashlib.sha256(text.encode()).digest())
