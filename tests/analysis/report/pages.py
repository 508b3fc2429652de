"""Studies with all that a report shows of them, and the claims of a data set that never changes."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import manifest, slider
from analysis.claims import rules
from analysis.claims.configuration import LedgerSettings, load_claims, load_ledger
from analysis.claims.digests import same_data
from analysis.claims.ledger import Finding, ledger
from analysis.claims.parts import Data
from analysis.claims.records import record
from analysis.report.__main__ import main
from analysis.study import Study, env_labels
from replicate.store import software
from tests.analysis import made_up
from tests.conftest import runs_of

HOSTILE = "<img src=x onerror=alert(1)></script>|\u2028\"'"
SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='403pt' height='90pt' viewBox='0 0 403 90'>"
    "<path d='M0 0h403v90z'/></svg>"
)
SUFFIXES = (".svg", ".csv", ".md", ".caption.txt")


@functools.cache
def _found() -> tuple[Data, LedgerSettings, dict[str, Finding]]:
    """Fixed data and what is found in them, made once."""
    claims, settings = load_claims(), load_ledger()
    data = same_data()
    labels = env_labels(data.studies.values())
    return data, settings, ledger(claims, rules.gather(claims, data), settings, labels)


def judged(files: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """``claims.json`` of the fixed data; nothing is post hoc.

    Args:
        files: evidence, by study or probe.

    """
    data, settings, findings = _found()
    records = [record(f, data, settings, None, files or {}, "quick") for f in findings.values()]
    copies: list[dict[str, Any]] = json.loads(json.dumps(records))
    return copies


def store_product(stem: Path, moves: bool = False) -> None:
    """A figure or table of hostile text; one that moves has two steps, A and B, and starts at B."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    header, cell = "| environment | mean |\n| --- | --- |\n", HOSTILE.replace("|", "\\|")
    for suffix, text in {
        ".svg": SVG,
        ".csv": "environment,mean\n",
        ".md": f"{header}| Hopper-v5 | {cell} |\n| Swimmer-v5 | 0.82 |\n",
        ".caption.txt": HOSTILE,
    }.items():
        stem.with_suffix(suffix).write_text(text)
    files = [stem.with_suffix(suffix) for suffix in SUFFIXES]
    if moves:
        moving = {"label": HOSTILE, "start": 1, "names": ["A", "B"], "svgs": [SVG, SVG]}
        files.append(stem.with_suffix(slider.SUFFIX))
        files[-1].write_text(json.dumps(moving))
    made_up.list_beside(*files)


def store_claims(folder: Path, records: list[dict[str, Any]]) -> None:
    """As ``analysis.claims`` does."""
    (folder / "claims.json").write_text(json.dumps(records))
    (folder / "claims.csv").write_text("claim,verdict\n")
    made_up.list_beside(folder / "claims.json", folder / "claims.csv")


def store_simulations(folder: Path) -> None:
    """Coverage and error rates, one row each."""
    simulated = {"statistic": "mean", "method": "t", "environments": 1, "distribution": "normal"}
    pd.DataFrame([{**simulated, "seeds": 3, "coverage": 0.951}]).to_csv(folder / "coverage.csv")
    rates = {"claim": "E1", "truth": "no step changes KL", "wrong": "supported or contradicted"}
    rates |= {"environments": 3, "seeds": 3, "data_sets": 500, "error": 0.034}
    rates |= {"inconclusive": 0.8, "supported in part": 0.1}
    pd.DataFrame([rates]).to_csv(folder / "error_rates.csv")
    manifest.update(folder, [folder / "coverage.csv", folder / "error_rates.csv"])


def arguments(root: Path, out: Path, plans: list[Path]) -> list[str]:
    """Of the command line."""
    simulations = ["--coverage", root / "coverage.csv", "--error-rates", root / "error_rates.csv"]
    return [str(x) for x in ("quick", root, out, *simulations, "--plans", *plans)]


def write(root: Path, studies: list[Study], records: list[dict[str, Any]]) -> Path:
    """The report of studies whose products and measures are stored."""
    store_claims(root / "quick", records)
    store_product(root / "quick/figures/forest")
    store_product(root / "figures/update_passes")
    for name in ("clipped_objective", "update_line"):
        store_product(root / "figures" / name, moves=True)
    (root / "probes").mkdir()
    (root / "probes/clipped_objective.csv").write_text("ratio\n")
    made_up.list_beside(root / "probes/clipped_objective.csv")
    store_simulations(root)
    out = root / "report.html"
    plans = [study.folder / "plan.json" for study in studies]
    assert main(arguments(root, out, plans)) == 0
    return out


def nothing_more(run: dict[str, Any]) -> None:
    """As a run of the present software says."""


def describe_runs(study: Study, more: Callable[[dict[str, Any]], object] = nothing_more) -> None:
    """Fills in what only a real run leaves behind."""
    settings = runs_of("env=hopper")[0].model_dump(mode="json")
    for env in study.plan["envs"]:
        file = study.folder / f"{env}.runs.json"
        runs = json.loads(file.read_text())
        for run in runs:
            run |= {
                "seed": int(run["run_id"].rpartition("-s")[2]),
                "settings": settings,
                "env_steps": 1000,
                "started": "2026-01-01T00:00:00+00:00",
                "ended": "2026-01-01T00:01:00+00:00",
                "cohort": {
                    "lanes": len(runs),
                    "seconds": {"rollout": 30, "env_step": 20, "advantages": 1, "update": 5},
                },
                "cpu": HOSTILE,
                "simd": "AVX2",
                "threads": 1,
                "device": "cpu",
                "python": "3.11",
                "versions": software.versions(),
                "code_digest": software.code_digest(),
                "lock_digest": "1" * 64,
            }
            more(run)
        file.write_text(json.dumps(runs))
        made_up.list_tables(study.folder, env)
