"""From files to claims.json, and from there to the terminal."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import findings
from analysis.claims import __main__ as command
from analysis.claims.fixed_data import probes
from analysis.claims.sentences import with_bounds
from replicate.store.files import MANIFEST
from replicate.store.software import CLAIM_DIGESTS
from tests.analysis import made_up

DIGEST = json.loads(CLAIM_DIGESTS.read_text())
ENVS = {"hopper": "Hopper-v5", "walker2d": "Walker2d-v5"}
PUBLISHED = [f"results/published/{name}.csv" for name in ("ppo_table1", "reference_returns")]
Judge = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judges the ε study, whose KL rises with ε; the plan has the claims' digests.

    Today's digests are those of the file, as tests/analysis/claims/test_digests.py finds.
    """
    monkeypatch.setattr(command, "same_data", lambda: None)
    monkeypatch.setattr(command, "digests", lambda *_: DIGEST)

    def run(claims: dict[str, str | None] | None = DIGEST, probed: bool = True) -> Any:
        study = made_up.study(tmp_path / "epsilon", made_up.EPSILONS, ENVS, name="epsilon")
        plan = tmp_path / "epsilon/plan.json"
        if claims is not None:
            plan.write_text(json.dumps({**study.plan, "claims": claims}))
        kl = {v: float(place) for place, v in enumerate(study.variants)}
        noise = made_up.noisy(kl, sd=0.05)
        table = made_up.measures(study, 90.0, mean_log_kl=noise)
        table.to_csv(tmp_path / "epsilon.csv", index=False)
        files = []
        for name, probe in probes().items() if probed else ():
            files.append(str(tmp_path / f"{name}.csv"))
            probe.to_csv(files[-1], index=False)
        made_up.list_beside(tmp_path / "epsilon.csv", *map(Path, files))
        outputs = [str(tmp_path / f"claims.{kind}") for kind in ("json", "csv", MANIFEST)]
        arguments = ["full", *outputs, "--plans", str(plan)]
        arguments += ["--measures", str(tmp_path / "epsilon.csv"), "--probes", *files]
        assert command.main([*arguments, "--published", *PUBLISHED]) == 0
        return json.loads((tmp_path / "claims.json").read_text())

    return run


def by_claim(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["claim"]: each for each in records}


def test_every_claim_is_there_and_says_all_that_is_shown(judge: Judge, tmp_path: Path) -> None:
    records = judge()
    judged = by_claim(records)
    assert len(judged) == 32
    assert list(judged) == sorted(judged, key=lambda name: (name[0], int(name[1:])))
    e1 = judged["E1"]
    assert e1["verdict"] == "supported" and not e1["post_hoc"] and e1["missing"] == []
    assert e1["runs"] == 2 * 5 * 3 and e1["seeds"] == [3] and e1["envs"] == ENVS
    assert e1["recipes"] == ["paper2017"] and e1["scales"] == ["paper"]
    assert e1["command"] == "snakemake --config scale=full studies=epsilon"
    c1, c4 = judged["C1"], judged["C4"]
    assert c1["command"].startswith("snakemake -- ") and c1["command"].endswith(
        "clipped_objective.csv"
    )
    assert c4["command"] == "snakemake figures" or "reference" not in "".join(c4["evidence"])
    assert e1["evidence"] == [str(tmp_path / "epsilon.csv")]
    (first, *_) = e1["parts"]
    # Factors as they are read, not their logarithms.
    assert first["estimate"] == pytest.approx(2.718, rel=0.1)
    assert first["low"] < first["estimate"] < first["high"] and first["margin"] == pytest.approx(
        1.25
    )
    assert (
        first["unit"] == "factor"
        and first["n"] == 6
        and first["level"] == pytest.approx(1 - 0.05 / 4)
    )
    assert first["text"] in e1["sentence"]
    hopper, walker2d = first["environments"]
    assert [hopper["label"], walker2d["label"]] == ["Hopper-v5", "Walker2d-v5"]
    value, low, high = (math.log(hopper[key]) for key in ("estimate", "low", "high"))
    assert hopper["text"] == with_bounds(value, low, high, "factor")
    assert judged["E3"]["why"] == "fewer than 35 runs for each ε"
    assert judged["E3"]["seeds_needed"] == 18
    assert judged["P1"]["verdict"] == "not run"
    assert judged["P1"]["missing"] == ["comparison", "comparison_modern"]
    assert judged["L1"]["verdict"] == "not run" and judged["L1"]["command"] == ""
    assert judged["C1"]["verdict"] == "supported" and not judged["C1"]["post_hoc"]
    # On an environment that no study here has, called as its file.
    c4 = judged["C4"]
    assert c4["verdict"] == "supported in part" and c4["why"] == "fails on Hopper-v5"
    assert c4["envs"] == {"hopper": "Hopper-v5", "half_cheetah": "half_cheetah"}
    assert c4["runs"] == 0 and len(c4["evidence"]) == 3


def test_numbers_are_read_with_their_unit() -> None:
    assert with_bounds(-0.11, -0.15, -0.07, "share") == "−11.0 points [−15.0, −7.0]"
    assert with_bounds(0.1, math.nan, math.nan, "u") == "+0.10 u (too few seeds for an interval)"
    assert with_bounds(math.log(1073), math.log(2), math.log(3e4), "factor") == "×1,073 [2, 30,000]"


def test_digests_are_those_of_the_fixed_data(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    judged = by_claim(judge())
    assert judged["E1"]["digest"] == DIGEST["E1"] and not judged["E1"]["post_hoc"]


def test_a_number_that_the_sentence_does_not_have_is_named() -> None:
    told = {"claim": "P3", "verdict": "no rule", "post_hoc": False, "sentence": "Shown."}
    told |= {"runs": 15, "n": 3, "seeds_needed": None}
    told |= {"effect": "+1.00 u [0.5, 1.5]", "effect_of": "PPO minus naive policy gradient"}
    (line,) = findings.lines([told])
    assert line.endswith(
        "Shown. (PPO minus naive policy gradient: +1.00 u [0.5, 1.5]; 15 runs, n = 3)"
    )


def test_the_same_bytes_every_time(judge: Judge, tmp_path: Path) -> None:
    judge()
    before = [(tmp_path / f"claims.{kind}").read_bytes() for kind in ("json", "csv")]
    judge()
    assert [(tmp_path / f"claims.{kind}").read_bytes() for kind in ("json", "csv")] == before


def test_the_csv_has_a_row_for_each_part(judge: Judge, tmp_path: Path) -> None:
    records = judge()
    table = pd.read_csv(tmp_path / "claims.csv")
    assert len(table) == sum(max(1, len(each["parts"])) for each in records)
    row = table[table.claim == "E1"].iloc[0]
    part = by_claim(records)["E1"]["parts"][0]
    assert row.estimate == pytest.approx(part["estimate"], rel=1e-5) and row.unit == "factor"


@pytest.mark.parametrize("claims", [None, {**DIGEST, "E1": "0" * 64}, {**DIGEST, "E1": None}])
def test_a_rule_that_is_younger_than_its_runs_is_post_hoc(
    judge: Judge, claims: dict[str, str | None] | None
) -> None:
    judged = by_claim(judge(claims))
    assert judged["E1"]["post_hoc"] and judged["E2"]["post_hoc"] == (claims is None)
    assert "E1  supported (post hoc)" in "\n".join(findings.lines(list(judged.values())))


def test_without_probes_their_claims_were_not_run(judge: Judge) -> None:
    judged = by_claim(judge(probed=False))
    assert {judged[name]["verdict"] for name in ("C1", "C2", "C4", "I2", "N1", "N4")} == {"not run"}


def test_the_terminal_has_a_line_for_each_claim(
    judge: Judge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge()
    assert findings.main([str(tmp_path / "claims.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (e1,) = [line for line in lines if line.startswith("E1")]
    assert "supported" in e1 and "×" in e1 and "[" in e1 and "(30 runs, n = 6)" in e1
    (e3,) = [line for line in lines if line.startswith("E3")]
    assert "it would take 18 seeds" in e3
    assert lines[-1].startswith("Not run here: ") and "P1" in lines[-1] and "E1" not in lines[-1]


def test_edited_verdicts_are_not_told(
    judge: Judge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge()
    file = tmp_path / "claims.json"
    file.write_text(file.read_text().replace("supported", "contradicted"))
    assert findings.main([str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not the file that {tmp_path}/claims.manifest.json")


def test_a_damaged_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "claims.json").write_text("[")
    made_up.list_beside(tmp_path / "claims.json")
    assert findings.main([str(tmp_path / "claims.json")]) == 2
    assert findings.main([str(tmp_path / "none.json")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith(f"error: {tmp_path}") for line in lines)


def test_altered_published_numbers_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "ppo_table1.csv"
    copied.write_text(Path(PUBLISHED[0]).read_text().replace("0.82", "0.92"))
    manifest = Path(PUBLISHED[0]).with_name("manifest.json")
    (tmp_path / "manifest.json").write_text(manifest.read_text())
    outputs = [str(tmp_path / name) for name in ("a.json", "a.csv", f"a.{MANIFEST}")]
    assert command.main(["full", *outputs, "--published", str(copied)]) == 2
    assert "not the file that" in capsys.readouterr().err
