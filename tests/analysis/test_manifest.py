"""Every data file is listed; what is not as listed is refused with its name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import manifest, products, summaries
from analysis.claims import __main__ as claims
from analysis.measures import main as measure
from analysis.study import Study, read_study
from analysis.summaries.epsilon import chapter_epsilon
from replicate.messages import DataError
from replicate.store.files import MANIFEST
from replicate.store.records import ENV_TABLES
from tests.analysis import made_up

RESULTS = Path(__file__).resolve().parents[2] / "results"
SCALE = RESULTS.parent / "conf" / "claims" / "published_scale.yaml"
DATA = (".parquet", ".csv", ".json", ".gz")
ENVS = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """As the pipeline makes it here."""
    return made_up.study(tmp_path / "data/table1", made_up.TABLE1, ENVS)


def cut_in_half(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def edit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut in half": cut_in_half,
    "edited": edit,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("name", ["reference", "published"])
def test_every_data_file_of_the_repository_is_listed_and_matches(name: str) -> None:
    folder = RESULTS / name
    data = [file for file in folder.rglob("*") if file.suffix in DATA and file.name != MANIFEST]
    # Traces are no data: their own command compares them with the code.
    files = [file for file in data if not file.name.startswith("traces")]
    assert files
    manifest.verify(folder / MANIFEST, files)
    assert len(json.loads((folder / MANIFEST).read_text())) == len(files)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("table", ENV_TABLES)
def test_a_study_made_here_is_refused_when_a_table_is_not_the_one_that_was_made(
    study: Study, table: str, damage: str
) -> None:
    file = study.folder / f"swimmer.{table}"
    DAMAGES[damage](file)
    with pytest.raises(manifest.AlteredDataError) as raised:
        read_study(study.folder / "plan.json")
    assert str(raised.value).startswith(f"{file}: ") and "\n" not in str(raised.value)
    assert "delete it and give the command again" in str(raised.value)


@pytest.mark.parametrize("damage", ["cut in half", "missing"])
@pytest.mark.parametrize("file", [f"hopper.{MANIFEST}", "plan.json"])
def test_without_a_readable_plan_or_manifest_nothing_is_drawn(
    study: Study, file: str, damage: str
) -> None:
    DAMAGES[damage](study.folder / file)
    with pytest.raises(DataError, match=r"^[^\n]*(plan|manifest)\.json[^\n]*$"):
        read_study(study.folder / "plan.json")


def test_a_file_that_is_not_listed_is_refused(study: Study) -> None:
    listed = study.folder / f"hopper.{MANIFEST}"
    manifest.write(listed, study.files_of("hopper")[:2])
    with pytest.raises(manifest.AlteredDataError, match=r"hopper\.runs\.json: not listed"):
        read_study(study.folder / "plan.json")


def test_measures_and_tables_of_altered_data_are_one_line_and_exit_code_2(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measures = tmp_path / "measures.csv"
    made_up.measures(study).to_csv(measures, index=False)
    made_up.list_beside(measures)
    cut_in_half(study.folder / "hopper.episodes.parquet")
    plan, outputs = str(study.folder / "plan.json"), [tmp_path / f"out{i}" for i in range(5)]
    untrained = RESULTS / "reference/untrained.csv"
    assert products.main([plan, str(measures), str(outputs[0]), "tables/finals"]) == 2
    assert measure([plan, str(untrained), str(SCALE), *map(str, outputs[:2])]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and not any(out.exists() for out in outputs)
    assert all(line.startswith("error: ") and "hopper.episodes.parquet" in line for line in lines)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["figures", "tables", "claims"])
def test_nothing_is_made_from_altered_measures(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, damage: str
) -> None:
    plan, measures = str(study.folder / "plan.json"), tmp_path / "measures.csv"
    made_up.measures(study).to_csv(measures, index=False)
    made_up.list_beside(measures)
    DAMAGES[damage](measures)
    (tmp_path / "out").mkdir()
    outputs = [str(tmp_path / "out" / str(number)) for number in range(5)]
    if kind == "claims":
        arguments = ["full", *outputs[:3], "--plans", plan, "--measures", str(measures)]
        assert claims.main(arguments) == 2
    else:
        asked = {"figures": "figures/performance_profile", "tables": "tables/finals"}[kind]
        assert products.main([plan, str(measures), outputs[0], asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {measures}: ") and not list((tmp_path / "out").iterdir())


def test_a_file_that_nothing_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "measures.csv").write_text("score\n")
    with pytest.raises(manifest.AlteredDataError, match=r"no manifest\.json lists it"):
        manifest.check([tmp_path / "measures.csv"])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ppo_table1", lambda: summaries.published("ppo_table1")),
        ("chapter_epsilon", chapter_epsilon),
    ],
)
def test_altered_numbers_of_the_literature_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    read: Callable[[], object],
    damage: str,
) -> None:
    for file in (RESULTS / "published").glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(summaries, "PUBLISHED", tmp_path)
    read()
    DAMAGES[damage](tmp_path / f"{name}.csv")
    with pytest.raises(manifest.AlteredDataError, match=f"{name}.csv"):
        read()


def test_returns_of_the_untrained_policy_that_were_edited_are_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untrained = tmp_path / "reference" / "untrained.csv"
    untrained.parent.mkdir()
    untrained.write_bytes((RESULTS / "reference/untrained.csv").read_bytes())
    manifest.update(untrained.parent, [untrained])
    outputs = tmp_path / "measures.csv", tmp_path / f"measures.{MANIFEST}"
    paths = (study.folder / "plan.json", untrained, SCALE, *outputs)
    arguments = [str(path) for path in paths]
    assert measure(arguments) == 0
    edit(untrained)
    assert measure(arguments) == 2
    assert "untrained.csv: not the file" in capsys.readouterr().err


def test_the_command_checks_all_that_is_below(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manifest.main([str(tmp_path)]) == 0
    edit(study.folder / "swimmer.runs.json")
    assert manifest.main([str(tmp_path)]) == 2
    assert "swimmer.runs.json" in capsys.readouterr().err
    (tmp_path / "nothing").mkdir()
    assert manifest.main([str(tmp_path / "nothing")]) == 2


def test_update_lists_what_was_changed_on_purpose_and_drops_what_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (tmp_path / name for name in ("a.csv", "sub/b.csv", "c.csv"))
    b.parent.mkdir()
    for file in (a, b, c):
        file.write_text(file.name)
    assert manifest.main([str(tmp_path), "--update", str(a), str(b)]) == 0
    before = json.loads((tmp_path / MANIFEST).read_text())
    assert sorted(before) == ["a.csv", "sub/b.csv"]
    a.unlink()
    b.write_text("on purpose")
    assert manifest.main([str(tmp_path), "--update", str(b), str(c)]) == 0
    after = json.loads((tmp_path / MANIFEST).read_text())
    assert sorted(after) == ["c.csv", "sub/b.csv"] and after["sub/b.csv"] != before["sub/b.csv"]
    assert manifest.main([str(tmp_path)]) == 0
    manifest.write(b.parent / MANIFEST, [b])
    assert manifest.main([str(tmp_path), "--update", str(b)]) == 2
    line = capsys.readouterr().err.strip()
    assert line == f"error: {b}: it is {b.parent / MANIFEST} that lists it"
    (b.parent / MANIFEST).unlink()
    assert manifest.main([str(b.parent), "--update", str(c)]) == 2
    assert manifest.main([str(tmp_path), "--update", str(a)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "c.csv: it is " in lines[0] and "a.csv: No such" in lines[1]


def test_a_command_renews_the_digest_of_a_listed_file_and_of_no_other(tmp_path: Path) -> None:
    listed, other, own = (tmp_path / name for name in ("sub/listed.json", "other.csv", "own.csv"))
    listed.parent.mkdir()
    for file in (listed, other, own):
        file.write_text("old")
    manifest.write(tmp_path / MANIFEST, [listed, other])
    for file in (listed, other, own):
        file.write_text("new")
    manifest.renew(listed, own)
    renewed = json.loads((tmp_path / MANIFEST).read_text())
    assert sorted(renewed) == ["other.csv", "sub/listed.json"]
    manifest.verify(tmp_path / MANIFEST, [listed])
    with pytest.raises(manifest.AlteredDataError, match=r"other\.csv"):
        manifest.verify(tmp_path / MANIFEST)
