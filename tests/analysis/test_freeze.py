"""Data of the repository: complete, described, and refused when altered."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis import freeze, manifest
from analysis.scores import main as run_scores_command
from analysis.study import read_study
from replicate.records import MANIFEST, SCHEMAS
from tests.analysis import made_up

ENVS = {"hopper": "Hopper-v5"}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished replication of one study, and what a clone holds beside it."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "results/replication/quick"
    study = made_up.study(made / "data/table1", [made_up.clip(0.2)], ENVS, name="table1")
    (made / "scores").mkdir()
    scores = made_up.scores(study, score=lambda env, variant, seed: 10.0 + seed)
    scores.loc[scores.seed == 2, "diverged"] = True
    scores.to_csv(made / "scores/table1.csv", index=False)
    reference = tmp_path / "results/reference"
    reference.mkdir()
    (reference / "untrained.csv").write_text(
        "recipe,env,untrained,standard_error,episodes,seeds\n"
        "paper2017,hopper,3.5,0.1,90,10\npaper2017,swimmer,0.5,0.1,90,10\n"
    )
    return tmp_path / "results"


def test_it_copies_describes_and_lists(results: Path) -> None:
    assert freeze.main(["quick"]) == 0
    reference = results / "reference"
    listed = json.loads((reference / MANIFEST).read_text())
    copied = {f"table1/{file.name}" for file in (reference / "table1").iterdir()}
    listed = {name for name in listed if name not in ("normalisers.csv", "untrained.csv")}
    assert (
        set(listed)
        == copied
        == {
            "table1/plan.json",
            *(
                f"table1/hopper.{kind}"
                for kind in ("episodes.parquet", "updates.parquet", "runs.json")
            ),
        }
    )
    constants = pd.read_csv(reference / "normalisers.csv").set_index("env")
    # The best of the runs that did not diverge.
    assert constants.loc["hopper", ["untrained", "best", "best_seed"]].tolist() == [3.5, 11, 1]
    assert constants.loc["hopper", "total_env_steps"] == 999_424
    assert constants.loc["swimmer"].isna()["best"]
    text = (reference / "DATA.md").read_text()
    for columns in SCHEMAS.values():
        assert all(f"| `{column.name}` |" in text for column in columns)


def test_it_writes_once(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert freeze.main(["quick"]) == 0
    assert freeze.main(["quick"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert freeze.main(["quick", "--replace"]) == 0


def test_a_scale_without_data_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert freeze.main(["paper"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error:") and "snakemake --config scale=paper" in line


@pytest.mark.parametrize("kind", ["altered", "missing"])
def test_altered_data_is_refused_with_its_name(results: Path, kind: str) -> None:
    freeze.main(["quick"])
    file = results / "reference/table1/hopper.updates.parquet"
    if kind == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(manifest.AlteredDataError, match=r"hopper\.updates\.parquet"):
        read_study(results / "reference/table1/plan.json")
    assert manifest.main([str(results / "reference")]) == 2


def test_altered_tables_are_not_frozen(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = results / "replication/quick/data/table1/hopper.runs.json"
    file.write_text(file.read_text().replace("finished", "diverged", 1))
    assert freeze.main(["quick"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "hopper.runs.json: not the file" in line
    assert not (results / "reference/table1").exists()


def test_freezing_keeps_what_else_is_listed(results: Path) -> None:
    speed = results / "reference/speed.json"
    speed.write_text("{}")
    manifest.update(results / "reference", [speed])
    assert freeze.main(["quick"]) == 0
    listed = json.loads((results / "reference" / MANIFEST).read_text())
    assert {"speed.json", "untrained.csv", "table1/plan.json"} <= set(listed)


def test_the_dictionary_of_the_repository_is_that_of_the_schemas() -> None:
    stored = Path(freeze.__file__).parents[1] / "results/reference/DATA.md"
    assert stored.read_text() == freeze.dictionary()


def test_a_figure_of_altered_data_is_refused_in_one_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    freeze.main(["quick"])
    (results / "reference/table1/hopper.episodes.parquet").write_bytes(b"")
    plan = results / "reference/table1/plan.json"
    normalisers = results / "reference/normalisers.csv"
    out = results / "scores.csv"
    assert run_scores_command([str(plan), str(normalisers), str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error:") and "hopper.episodes.parquet" in line and not out.exists()


def test_data_of_other_runs_than_the_planned_are_not_frozen(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = results / "replication/quick/data/table1/plan.json"
    changed = json.loads(plan.read_text())
    changed["runs"][0]["digest"] = "of another run"
    plan.write_text(json.dumps(changed))
    assert freeze.main(["quick"]) == 2
    assert "not of the planned runs" in capsys.readouterr().err
    assert not (results / "reference/table1").exists()


def test_pictures_are_those_of_the_frozen_data(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert freeze.main(["--pictures"]) == 2
    assert "run snakemake figures" in capsys.readouterr().err
    for picture in freeze.PICTURES:
        drawn = results / "replication/reference/figures" / f"{picture}.png"
        drawn.parent.mkdir(parents=True, exist_ok=True)
        drawn.write_bytes(picture.encode())
    assert freeze.main(["--pictures"]) == 0
    assert (results / "reference/pictures/table1.png").read_bytes() == b"table1/table1"
