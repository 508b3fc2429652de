"""Data of the repository: complete, described, and refused when altered."""

import json
from pathlib import Path

import pytest

from analysis import freeze, manifest
from analysis.measures import COLUMNS
from analysis.measures import main as measure
from analysis.study import read_study
from replicate.records import MANIFEST, SCHEMAS
from tests.analysis import made_up

ENVS = {"hopper": "Hopper-v5"}
ROOT = Path(freeze.__file__).parents[1] / "conf" / "claims"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished replication of one study, and what a clone holds beside it."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "results/replication/quick"
    study = made_up.study(made / "data/table1", [made_up.clip(0.2)], ENVS, name="table1")
    (made / "measures").mkdir()
    made_up.measures(study).to_csv(made / "measures/table1.csv", index=False)
    reference = tmp_path / "results/reference"
    reference.mkdir()
    (reference / "untrained.csv").write_text(
        "env,untrained,standard_error,episodes,seeds\nhopper,3.5,0.1,90,10\n"
    )
    return tmp_path / "results"


def test_it_copies_describes_and_lists(results: Path) -> None:
    assert freeze.main(["quick"]) == 0
    reference = results / "reference"
    listed = json.loads((reference / MANIFEST).read_text())
    copied = {f"table1/{file.name}" for file in (reference / "table1").iterdir()}
    assert (
        set(listed) - {"untrained.csv"}
        == copied
        == {
            "table1/plan.json",
            *(
                f"table1/hopper.{kind}"
                for kind in ("episodes.parquet", "updates.parquet", "runs.json")
            ),
        }
    )
    text = (reference / "DATA.md").read_text()
    names = [column.name for columns in SCHEMAS.values() for column in columns]
    assert all(f"| `{name}` |" in text for name in (*names, *COLUMNS))


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
    untrained, scale = results / "reference/untrained.csv", ROOT / "published_scale.yaml"
    out = results / "measures.csv"
    assert measure([str(path) for path in (plan, untrained, scale, out)]) == 2
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
