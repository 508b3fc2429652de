"""Where the numbers come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.report import provenance
from analysis.study import Study, read_study
from replicate.store import software
from replicate.store.staleness import Answer
from tests.analysis.report.pages import HOSTILE, describe_runs


def test_shared_cohorts_are_counted_once(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    costs = provenance.cost_table([study, study])
    assert [row[3] for row in costs.rows] == ["36", "36"]
    # Of a cohort whose other lanes are not here, the pace counts.
    fewer = study.on("hopper")
    fewer.runs[1:] = []
    assert [row[3] for row in provenance.cost_table([fewer]).rows] == ["12"]
    assert [row[2] for row in costs.rows] == ["3k", "3k"]


def of_other_code(run: dict[str, Any]) -> None:
    if run["seed"] > 0:
        run["code_digest"] = "0" * 64


def with_other_torch(run: dict[str, Any]) -> None:
    if run["seed"] > 0:
        run["versions"] = {**software.versions(), "torch": "2.12.1+cpu"}


def of_dirty_code(run: dict[str, Any]) -> None:
    of_other_code(run)
    run |= {"commit": "c0ffee" * 7, "dirty": True}


def resumed_dirty(run: dict[str, Any]) -> None:
    run |= {"commit": "c0ffee" * 7, "dirty": False}
    run["resumed"] = [{"commit": "decade" * 7, "dirty": True}] * (run["seed"] > 0)


def resumed_by_other_code(run: dict[str, Any]) -> None:
    run["resumed"] = [{"commit": "decade" * 7, "code_digest": "0" * 64}] * (run["seed"] > 0)


UNKNOWN = "by software of which it is not known whether it does as the present: other "


@pytest.mark.parametrize(
    ("more", "expected", "todo"),
    [
        (of_other_code, "training code (000000000000)", ""),
        (with_other_torch, "package versions (torch 2.12.1+cpu)", ""),
        (of_dirty_code, "training code (000000000000), with uncommitted changes", ""),
        (resumed_by_other_code, "training code (000000000000)", " decadedecade"),
    ],
)
def test_runs_of_which_it_is_not_known_are_counted_and_traced(
    page: Path,
    more: Callable[[dict[str, Any]], object],
    expected: str,
    todo: str,
) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    describe_runs(study)
    assert provenance.software_notes("quick", [read_study(study.folder / "plan.json")]) == []
    describe_runs(study, more)
    study = read_study(study.folder / "plan.json")
    ((note, command),) = provenance.software_notes("quick", [study])
    # Two seeds of three, twice.
    assert note.startswith(f"4 of 6 runs were made {UNKNOWN}{expected}")
    assert note.endswith("To find out") and command == f"python -m replicate traces{todo}"


def test_runs_of_other_software_are_counted_and_retrained(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    asked = []

    def other(made: dict[str, Any], settings: list[dict[str, Any]]) -> Answer:
        asked.extend(settings)
        return Answer("other", "other code") if made["seed"] else Answer("same")

    monkeypatch.setattr(provenance, "compare", other)
    ((note, command),) = provenance.software_notes("quick", [study])
    assert note == (
        "4 of 6 runs were made by software that does other than the present: other code. "
        "To train them anew"
    )
    aside, train = command.split(" && ")
    assert aside == "python -m replicate retrain scale=paper studies=table1"
    assert train == "snakemake --config scale=paper studies=table1"
    assert provenance.software_notes("reference", [study]) == [(note, train)]
    assert asked[0]["env"]["id"] == "Hopper-v5" and asked[0]["algo"]["clip_epsilon"] == 0.2


def test_scales_are_told_apart(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = read_study(page.parent / "quick/data/table1/plan.json")
    plan = {**long.on("hopper").plan, "scale": "ledger", "study": "bound", "total_env_steps": 2_048}
    studies = [Study(long.folder, plan), long]
    longest, other = provenance.extents(studies)
    assert (longest.scale, longest.envs) == ("paper", ["Hopper-v5", "Swimmer-v5"])
    assert (other.scale, other.seeds, other.total_env_steps) == ("ledger", [3], 2_048)
    assert other.envs == ["Hopper-v5"]
    monkeypatch.setattr(provenance, "compare", lambda *_: Answer("other", "other code"))
    told = provenance.software_notes("reference", studies)
    assert [(note[:8], command) for note, command in told] == [
        ("3 of 3 r", "snakemake --config scale=ledger studies=bound"),
        ("6 of 6 r", "snakemake --config scale=paper studies=table1"),
    ]


def moved_on(run: dict[str, Any]) -> None:
    run |= {"cpu": "Intel(R) one", "simd": "AVX512", "mkl_cbwr": "AVX512", "device": "cpu"}
    resumed = {"simd": "AVX512", "mkl_cbwr": "AVX512", "device": "cpu", "cpu": "Intel(R) newer"}
    elsewhere = {1: {"mkl_cbwr": "AVX2"}, 2: {"cpu": "AMD one"}}
    moved = [{**resumed, **elsewhere[run["seed"]]}] if run["seed"] in elsewhere else []
    run["resumed"] = [resumed, *moved]


def test_runs_that_went_on_on_another_class_of_cpu_are_told(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    assert provenance.elsewhere(study.runs) == 0
    describe_runs(study, moved_on)
    study = read_study(study.folder / "plan.json")
    measures = pd.read_csv(page.parent / "quick/measures/table1.csv").assign(
        study="table1", scale="paper"
    )
    (note,) = [
        text for text in provenance.notes("quick", measures, study.runs) if "bit by bit" in text
    ]
    assert note.startswith("4 runs went on")


def test_facts_say_where_runs_came_from_and_which_were_interrupted(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    # Data that was made before this was recorded.
    facts = dict(provenance.facts([study]))
    assert facts["Commit"] == "not recorded"
    assert facts["Interrupted"] == "0 runs went on from a checkpoint, 6 did not"
    pace = "0.02 core hours of training, 83 env steps a second and core"
    assert facts["Time"] == f"{HOSTILE} (AVX2): {pace}"  # 6,000 env steps in twice 36 seconds
    describe_runs(study, resumed_dirty)
    facts = dict(provenance.facts([read_study(study.folder / "plan.json")]))
    assert facts["Commit"] == "c0ffeec0ffee, decadedecade with uncommitted changes"
    assert facts["Interrupted"] == "4 runs went on from a checkpoint, 2 did not"


def test_few_seeds_are_told_of_the_scale_that_has_few() -> None:
    keys = {"study": "a", "env": "hopper", "variant": "ppo"}
    few = pd.DataFrame([{**keys, "scale": "paper", "seed": seed} for seed in range(3)])
    many = pd.DataFrame([{**keys, "scale": "ledger", "seed": seed} for seed in range(10)])
    (alone,) = provenance.notes("paper", few, [])
    assert alone.startswith("With 3 seeds, intervals are wide")
    (beside,) = provenance.notes("paper", pd.concat([few, many]), [])
    assert beside.startswith("With 3 seeds at scale paper, intervals are wide")
    more = [{**keys, "env": "swimmer", "scale": "paper", "seed": seed} for seed in range(5)]
    (uneven,) = provenance.notes("paper", pd.concat([few, pd.DataFrame(more)]), [])
    assert uneven.startswith("With 3 to 5 seeds, intervals are wide")
    assert provenance.notes("ledger", many, []) == []
