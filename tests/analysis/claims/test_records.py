"""What is recorded of a finding."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.fixed_data import probes
from analysis.claims.ledger import ledger
from analysis.claims.parts import Data
from analysis.claims.records import record
from analysis.claims.strategies import s3
from tests.analysis.claims import worlds
from tests.analysis.claims.test_rules import METHODS, stability_world, stopping_world, table1_world


def test_what_explains_a_verdict_is_named_with_its_evidence(tmp_path: Path) -> None:
    claims, settings = load_claims(), load_ledger()
    data = dataclasses.replace(stopping_world(3, 0.0), probes=probes())
    finding = ledger(claims, {"S3": s3(data, claims["S3"])}, settings)["S3"]
    files = {name: tmp_path / f"{name}.csv" for name in ("early_stopping", "update_passes")}
    made = record(finding, data, settings, None, files, "ledger")
    assert made["evidence"] == [str(files[name]) for name in ("early_stopping", "update_passes")]
    (table,) = made["tables"]
    assert "pass by pass" in table["title"] and len(table["rows"]) == 1
    assert table["rows"][0][table["columns"].index("environment")] == "Hopper-v5"


def runs_of(claim: str, data: Data) -> dict[str, Any]:
    """What is recorded of a claim's scope."""
    made = record(worlds.find(claim, data), data, worlds.SETTINGS, None, {}, "full")
    return {key: made[key] for key in ("runs", "envs", "recipes", "studies")}


def test_the_scope_has_no_run_that_was_not_judged() -> None:
    # ε on an environment without a published return, on which nobody can tell ruin.
    data = stability_world([0, 0, 0, 0, 1], [1] * 5, seeds=2)
    whole = runs_of("E3", data)
    for table in data.measures.values():
        table.loc[table.env == "swimmer", "u"] = math.nan
    without = runs_of("E3", data)
    assert set(whole["envs"]) - set(without["envs"]) == {"swimmer"}
    assert without["runs"] == whole["runs"] * 6 // 7
    # An objective of one's own in Table 1.
    settings, own = table1_world(0.5), table1_world(0.5)
    study, measured = own.studies["table1"], own.measures["table1"]
    first = study.plan["variants"][0]
    study.plan["variants"].append({**first, "name": "mine", "published": None})
    added = [run for run in study.plan["runs"] if run["variant"] == first["name"]]
    study.plan["runs"] += [{**run, "variant": "mine", "digest": ""} for run in added]
    mine = measured[measured.variant == first["name"]].assign(variant="mine", score=900.0)
    own = dataclasses.replace(own, measures={"table1": pd.concat([measured, mine])})
    assert runs_of("E5", own) == runs_of("E5", settings)
    # Nor is it the best run of the paper's score.
    (first, *_), (second, *_) = (worlds.find("E5", d).evidence.tables() for d in (own, settings))
    assert str(first) == str(second)
    # A study that was not run on the claim's environment.
    walker = {"bipedal_walker": "BipedalWalker-v3"}
    walked = worlds.world("comparison", METHODS, 3, walker)
    both = worlds.together(walked, worlds.world("comparison_modern", METHODS, 3))
    assert runs_of("P3", both)["studies"] == ["comparison"]
