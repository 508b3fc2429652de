"""Data of the repository: each run once, written once, described, and refused when altered."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from analysis import freeze, manifest
from analysis.measures import COLUMNS
from analysis.measures import main as measure
from analysis.study import read_study
from replicate.planning.composition import CONF
from replicate.planning.studies import Scale, load_study, study_runs
from replicate.settings import RunSettings
from replicate.store.columns import SCHEMAS
from replicate.store.files import MANIFEST, read_json
from replicate.store.plans import PLAN_KEYS
from replicate.store.records import ENV_TABLES
from tests.stored import episodes_of, store_run

REPOSITORY = CONF.parent
STEPS = 6144
STUDY = """\
title: A small study
question: Does it work?
figures: []
tables: []
envs: [hopper, reacher]
overrides: [algo=ppo, recipe=paper2017]
variants:
"""
WIDTHS = {"narrow": (0.1, 0.2), "wide": (0.2, 0.3), "widest": (0.5,)}
"""Study → clip ranges; the first two share runs."""
STORE = Path("results/replication/runs")
PARTS = Path("results/reference/runs")


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies on two environments, at a scale of two seeds."""
    folder = tmp_path_factory.mktemp("made") / "conf"
    shutil.copytree(CONF, folder)
    (folder.parent / "analysis").symlink_to(REPOSITORY / "analysis")
    for name, widths in WIDTHS.items():
        variants = "".join(
            f"  clip_{width}: {{label: ε = {width}, overrides: [algo.clip_epsilon={width}]}}\n"
            for width in widths
        )
        (folder / f"study/{name}.yaml").write_text(STUDY + variants)
    (folder / "scale/tiny.yaml").write_text(f"seeds: 2\ntotal_env_steps: {STEPS}\n")
    return folder


@pytest.fixture
def clone(tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without runs; the working folder."""
    monkeypatch.setattr("replicate.planning.composition.CONF", conf)
    monkeypatch.setattr(freeze, "CONF", conf)
    monkeypatch.setattr(freeze, "REFERENCE_SCALES", (("paper", "tiny"), ("quick",)))
    monkeypatch.chdir(tmp_path)
    reference = Path("results/reference")
    reference.mkdir(parents=True)
    untrained = "env,untrained,standard_error,episodes,seeds\nhopper,3.5,0.1,90,10\n"
    (reference / "untrained.csv").write_text(untrained)
    return tmp_path


def planned(study: str, *envs: str, seeds: tuple[int, ...] = (0, 1)) -> list[RunSettings]:
    scale = Scale(seeds=2, total_env_steps=STEPS, envs=envs or None)
    return [p.run for p in study_runs(load_study(study), scale, seeds)]


def train(*runs: RunSettings, **changed: Any) -> None:
    """As far as the store shows."""
    for run in runs:
        store_run(STORE, run, **changed)


def frozen(part: str, *more: str, studies: str = "narrow,wide") -> int:
    return freeze.main(["tiny", part, f"studies={studies}", *more])


def content() -> dict[str, bytes]:
    """Of all files of the repository's data."""
    files = sorted(Path("results/reference").rglob("*.*"))
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def stored(part: str, env: str = "hopper") -> list[str]:
    return [run["run_id"] for run in json.loads((PARTS / part / f"{env}.runs.json").read_text())]


def plan(study: str) -> dict[str, Any]:
    return read_json(Path(f"results/reference/plans/tiny/{study}.json"))


def combinations(study: str) -> set[tuple[str, int]]:
    return {(entry["env"], entry["seed"]) for entry in plan(study)["runs"]}


EVERYWHERE = {("hopper", 0), ("hopper", 1), ("reacher", 0), ("reacher", 1)}


def test_runs_that_studies_share_are_there_once_and_all_is_listed(clone: Path) -> None:
    train(*planned("narrow"), *planned("wide"))
    assert frozen("first") == 0
    ids = {run.run_id for name in ("narrow", "wide") for run in planned(name, "hopper")}
    assert stored("first") == sorted(ids) and len(ids) == 3 * 2
    plans = [Path(f"results/reference/plans/tiny/{name}.json") for name in ("narrow", "wide")]
    narrow, wide = (read_study(file) for file in plans)
    assert narrow.variants == ["clip_0.1", "clip_0.2"] and wide.variants == ["clip_0.2", "clip_0.3"]
    assert len(narrow.runs) == len(wide.runs) == 8
    shared = [study.updates[study.updates.variant == "clip_0.2"] for study in (narrow, wide)]
    assert shared[0].reset_index(drop=True).equals(shared[1].reset_index(drop=True))
    files = {f"runs/first/{env}.{table}" for env in ("hopper", "reacher") for table in ENV_TABLES}
    listed = {"untrained.csv", "plans/tiny/narrow.json", "plans/tiny/wide.json"} | files
    assert set(read_json(Path("results/reference") / MANIFEST)) == listed
    assert manifest.main(["results/reference"]) == 0
    text = Path("results/reference/DATA.md").read_text()
    names = [column.name for columns in SCHEMAS.values() for column in columns]
    assert all(f"| `{name}` |" in text for name in (*names, *COLUMNS, "run", "cohort"))


def test_the_same_runs_give_the_same_bytes_and_a_second_time_nothing_changes(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*planned("narrow"), *planned("wide"))
    assert frozen("first") == 0
    once = content()
    times = {file: Path(file).stat().st_mtime_ns for file in once if "/runs/" in file}
    capsys.readouterr()
    assert frozen("first") == 0
    assert "hopper: its 6 runs are there already" in capsys.readouterr().out
    # Without the store too: a fresh clone that trains something else.
    shutil.rmtree(STORE)
    assert frozen("first") == 0
    assert content() == once
    assert times == {file: Path(file).stat().st_mtime_ns for file in times}
    shutil.rmtree(PARTS)
    shutil.rmtree("results/reference/plans")
    manifest.update(Path("results/reference"), [])
    train(*planned("wide"), *planned("narrow"))
    assert frozen("first") == 0
    assert content() == once


def test_an_interrupted_freeze_is_completed_by_the_same_command(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(*planned("narrow"))
    write, written = freeze.write_atomically, []

    def stop(file: Path, data: bytes) -> None:
        if len(written) == len(ENV_TABLES):
            raise KeyboardInterrupt
        written.append(file)
        write(file, data)

    monkeypatch.setattr(freeze, "write_atomically", stop)
    assert frozen("first", studies="narrow") == 128 + signal.SIGINT
    monkeypatch.setattr(freeze, "write_atomically", write)
    assert frozen("first", studies="narrow") == 0
    listed = set(read_json(Path("results/reference") / MANIFEST))
    assert {f"runs/first/{file.name}" for file in written} < listed
    read_study(Path("results/reference/plans/tiny/narrow.json"))


def test_half_of_what_is_replaced_is_refused_until_it_is_whole(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(*planned("narrow"))
    assert frozen("first", studies="narrow") == 0
    rows = episodes_of(STEPS)
    rows[0]["episodic_return"] = -7.0
    train(*planned("narrow"), tables={"episodes": rows}, ended="2026-02-02T00:00:00+00:00")
    write, written = freeze.write_atomically, []

    def stop(file: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(file)
        write(file, data)

    monkeypatch.setattr(freeze, "write_atomically", stop)
    assert frozen("first", "--replace", studies="narrow") == 128 + signal.SIGINT
    assert written and ".episodes." in written[0].name
    file = Path("results/reference/plans/tiny/narrow.json")
    with pytest.raises(manifest.AlteredDataError):
        read_study(file)
    monkeypatch.setattr(freeze, "write_atomically", write)
    assert frozen("first", "--replace", studies="narrow") == 0
    assert -7.0 in set(read_study(file).episodes.episodic_return)


@pytest.mark.parametrize("change", ["edited", "lost"])
def test_other_data_that_was_altered_is_refused(
    clone: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    train(*planned("narrow"), *planned("wide"))
    assert frozen("first", studies="narrow") == 0
    untrained = Path("results/reference/untrained.csv")
    if change == "edited":
        untrained.write_text(untrained.read_text().replace("3.5", "4.5"))
    else:
        untrained.unlink()
    before = content()
    assert frozen("second", studies="wide") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {untrained}: ") and content() == before


def test_to_replace_takes_out_the_plan_of_a_study_that_lost_all(clone: Path, conf: Path) -> None:
    train(*planned("narrow"), *planned("widest"))
    assert frozen("first", studies="narrow,widest") == 0
    assert frozen("first", "--replace", studies="narrow") == 0
    assert [file.stem for file in Path("results/reference/plans/tiny").iterdir()] == ["narrow"]
    assert manifest.main(["results/reference"]) == 0


def test_what_is_not_finished_waits_and_comes_later(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = planned("wide", "reacher")[-1]
    train(*planned("narrow"), *(run for run in planned("wide") if run != last))
    assert frozen("first") == 0
    said = f"reacher: 1 of 6 runs are missing, the first {last.run_id}"
    assert said in capsys.readouterr().out
    assert not list(Path("results/reference").rglob("reacher*"))
    assert combinations("narrow") == combinations("wide") == {("hopper", 0), ("hopper", 1)}
    assert frozen("first", "env=reacher") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}; snakemake --config scale=tiny studies=narrow,wide")
    before = content()
    train(last)
    assert frozen("first", "env=reacher") == 0
    after = content()
    grown = {"/plans/", "manifest.json"}
    assert all(after[f] == before[f] for f in before if not any(part in f for part in grown))
    assert combinations("narrow") == combinations("wide") == EVERYWHERE


def test_more_seeds_are_another_part_and_no_file_changes(clone: Path) -> None:
    train(*planned("narrow"), *planned("wide"), *planned("wide", "hopper", seeds=(2, 3)))
    assert frozen("first") == 0
    before = content()
    assert frozen("second", "seeds=2,3", "env=hopper", studies="wide") == 0
    after = content()
    assert all(after[file] == before[file] for file in before if "/runs/" in file)
    assert set(map(str, after)) - set(map(str, before)) == {
        str(PARTS / f"second/hopper.{table}") for table in ENV_TABLES
    }
    assert plan("wide")["data"] == {
        "hopper": ["../../runs/first/hopper", "../../runs/second/hopper"],
        "reacher": ["../../runs/first/reacher"],
    }
    assert combinations("wide") == {*EVERYWHERE, ("hopper", 2), ("hopper", 3)}
    # Seeds 2 and 3 have but one of its two variants.
    assert combinations("narrow") == EVERYWHERE
    study = read_study(Path("results/reference/plans/tiny/wide.json"))
    counted = study.updates.groupby("env").seed.nunique()
    assert counted.to_dict() == {"hopper": 4, "reacher": 2}


def test_more_studies_are_another_part(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(*planned("narrow"), *planned("wide"))
    assert frozen("first", studies="narrow") == 0
    before = content()
    assert frozen("first") == 2
    assert "hopper.*: there with other runs" in capsys.readouterr().err
    assert content() == before
    assert frozen("second") == 0
    assert "hopper: 2 runs, 4 in other parts" in capsys.readouterr().out
    assert not set(stored("first")) & set(stored("second"))
    assert plan("wide")["data"]["hopper"] == ["../../runs/first/hopper", "../../runs/second/hopper"]
    read_study(Path("results/reference/plans/tiny/wide.json"))


def test_a_file_that_is_there_with_other_content_is_not_written_over(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the command was killed, and runs were trained anew."""
    train(*planned("narrow"))
    assert frozen("first", studies="narrow") == 0
    for file in PARTS.rglob("*.runs.json"):
        file.unlink()
    assert frozen("first", studies="narrow") == 0
    for file in PARTS.rglob("*.runs.json"):
        file.unlink()
    before = content()
    rows = [{**row, "episodic_return": 2.5} for row in episodes_of(STEPS)]
    store_run(STORE, planned("narrow")[0], {"episodes": rows})
    assert frozen("first", studies="narrow") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {PARTS}/first/hopper.episodes.parquet: is there with other")
    assert content() == before
    assert frozen("first", "--replace", studies="narrow") == 0
    assert (
        read_study(Path("results/reference/plans/tiny/narrow.json")).episodes.episodic_return.max()
        == 2.5
    )


@pytest.mark.parametrize("flag", [False, True])
def test_runs_by_other_software_are_refused_unless_told(
    clone: Path, capsys: pytest.CaptureFixture[str], flag: bool
) -> None:
    train(*planned("narrow"))
    train(planned("narrow")[1], code_digest="0" * 64)
    assert frozen("first", *(["--stale"] if flag else []), studies="narrow") == (0 if flag else 2)
    if not flag:
        (line,) = capsys.readouterr().err.splitlines()
        assert planned("narrow")[1].run_id in line and "other training code (000000000000)" in line
        assert "python -m replicate traces c0ffee" in line and not PARTS.exists()


def test_a_damaged_run_is_not_frozen(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(*planned("narrow"))
    file = STORE / planned("narrow")[-1].run_id / "updates.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert frozen("first", studies="narrow") == 2
    assert f"{file}: damaged" in capsys.readouterr().err
    assert not PARTS.exists()


def test_a_file_that_is_too_large_is_not_written(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze, "MAX_FILE_BYTES", 1000)
    train(*planned("narrow"))
    assert frozen("first", studies="narrow") == 2
    assert "larger than 1,000 bytes; seeds= makes" in capsys.readouterr().err
    assert not PARTS.exists()


def test_runs_of_another_store_bring_the_claims_that_their_plan_recorded(clone: Path) -> None:
    elsewhere = Path("elsewhere/results/replication")
    train(*planned("narrow"))
    elsewhere.mkdir(parents=True)
    STORE.rename(elsewhere / "runs")
    known = read_json(freeze.CLAIM_DIGESTS)
    (claim, digest), (other, _), *_ = known.items()
    recorded = elsewhere / "tiny/data/narrow/plan.json"
    recorded.parent.mkdir(parents=True)
    entries = [{"run_id": run.run_id} for run in planned("narrow")]
    made = {**{key: {} for key in PLAN_KEYS}, "runs": entries}
    recorded.write_text(json.dumps({**made, "claims": {claim: digest, other: "older"}}))
    assert frozen("first", f"store={elsewhere / 'runs'}", studies="narrow") == 0
    # What was recorded otherwise, or not at all, is not known to be older than the runs.
    expected = {**dict.fromkeys(known), claim: digest}
    assert plan("narrow")["claims"] == expected
    # What was recorded first stays, whatever later plans say.
    recorded.write_text(json.dumps({**made, "claims": {claim: "newer"}}))
    assert frozen("first", f"store={elsewhere / 'runs'}", studies="narrow") == 0
    assert plan("narrow")["claims"] == expected


def test_a_study_that_changed_loses_no_runs_unless_told(
    clone: Path, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    train(*planned("narrow"), *planned("widest"))
    assert frozen("first", studies="narrow") == 0
    before = content()
    changed = tmp_path / "conf"
    shutil.copytree(conf, changed)
    (tmp_path / "analysis").symlink_to(REPOSITORY / "analysis")
    file = changed / "study/narrow.yaml"
    file.write_text(file.read_text() + "  none: {label: none, overrides: [algo.objective=none]}\n")
    monkeypatch.setattr("replicate.planning.composition.CONF", changed)
    assert frozen("second", studies="widest") == 2
    assert "narrow.json: 8 of its runs are no longer those" in capsys.readouterr().err
    assert content() == before
    assert frozen("second", "--replace", studies="widest") == 0
    assert content() != before


def test_a_study_has_no_run_below_its_first_seed(
    clone: Path, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another study may have trained the same settings: a study that tunes has seeds of its own."""
    train(*planned("narrow"), *planned("wide", seeds=(0, 1, 2)))
    changed = tmp_path / "conf"
    shutil.copytree(conf, changed)
    (tmp_path / "analysis").symlink_to(REPOSITORY / "analysis")
    file = changed / "study/wide.yaml"
    file.write_text("first_seed: 1\n" + file.read_text())
    monkeypatch.setattr("replicate.planning.composition.CONF", changed)
    assert frozen("first", "seeds=0,1,2", studies="wide") == 0
    assert {run["seed"] for run in plan("wide")["runs"]} == {1, 2}
    assert 2 * len(stored("first")) == len(plan("wide")["runs"])  # reacher has as many


def test_to_replace_a_study_renews_the_rules_of_no_other(clone: Path) -> None:
    train(*planned("narrow"), *planned("widest"))
    assert frozen("first", studies="narrow") == frozen("second", studies="widest") == 0
    recorded = {}
    for name in ("narrow", "widest"):
        file = Path(f"results/reference/plans/tiny/{name}.json")
        recorded[name] = read_json(file) | {"claims": {"E1": "older"}}
        file.write_text(json.dumps(recorded[name]))
        manifest.update(Path("results/reference"), [file])
    assert frozen("second", "--replace", studies="widest") == 0
    assert plan("narrow")["claims"]["E1"] == "older" and plan("widest")["claims"]["E1"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny", "first", "envs=hopper"], "did you mean 'env'?"),
        (["tiny", "first", "env="], "env=: write env=value"),
        (["tiny", "first", "seeds=0-4"], "seeds=0-4: not numbers"),
        (["tiny", "first", "studies=narow"], "did you mean 'narrow'?"),
        (["tinny", "first"], "did you mean 'tiny'?"),
        (["tiny", "../first"], "../first: name a part with"),
        (["tiny"], "PART: name a part"),
        ([], "PART: name a part"),
        (["full", "first"], "full: no report is drawn of its data; paper, tiny, quick"),
        (["--pictures", "tiny", "first"], "--pictures: a command of its own"),
        (["tiny", "first", "studies=narrow", "env=hoper"], "did you mean 'hopper'?"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line(
    clone: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert freeze.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line
    assert not PARTS.exists()


@pytest.mark.parametrize("kind", ["altered", "missing"])
@pytest.mark.parametrize("file", ["runs/first/hopper.updates.parquet", "plans/tiny/narrow.json"])
def test_altered_data_is_refused_with_its_name(
    clone: Path, capsys: pytest.CaptureFixture[str], file: str, kind: str
) -> None:
    train(*planned("narrow"))
    assert frozen("first", studies="narrow") == 0
    altered, study = Path("results/reference") / file, "results/reference/plans/tiny/narrow.json"
    if kind == "missing":
        altered.unlink()
    else:
        altered.write_bytes(altered.read_bytes() + b" ")
    assert manifest.main(["results/reference"]) == 2
    scale = REPOSITORY / "conf/claims/published_scale.yaml"
    out = Path("measures.csv")
    assert measure([study, "results/reference/untrained.csv", str(scale), str(out), "m.json"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") and file in line for line in lines)
    assert not out.exists()


def test_freezing_keeps_what_else_is_listed(clone: Path) -> None:
    speed = Path("results/reference/speed.json")
    speed.write_text("{}")
    manifest.update(speed.parent, [speed])
    train(*planned("narrow"))
    assert frozen("first", studies="narrow") == 0
    assert "speed.json" in read_json(speed.parent / MANIFEST)


def test_the_data_of_the_repository_is_whole_and_described() -> None:
    reference = REPOSITORY / "results/reference"
    assert (reference / "DATA.md").read_text() == freeze.dictionary()
    for file in reference.rglob("runs/*/*.*"):
        assert file.stat().st_size <= freeze.MAX_FILE_BYTES
    for file in reference.rglob("plans/*/*.json"):
        assert len(read_study(file).runs) == len(read_json(file)["runs"])


def test_pictures_are_those_of_the_frozen_data(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert freeze.main(["--pictures"]) == 2
    assert "run snakemake figures" in capsys.readouterr().err
    for picture in freeze.PICTURES:
        drawn = Path("results/replication") / f"{picture}.png"
        drawn.parent.mkdir(parents=True, exist_ok=True)
        drawn.write_bytes(picture.encode())
    assert freeze.main(["--pictures"]) == 0
    assert (
        Path("results/reference/pictures/table1.png").read_bytes()
        == b"reference/figures/table1/table1"
    )
