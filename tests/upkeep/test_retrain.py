"""Finished runs of other software are set aside, and nothing else."""

import json
from pathlib import Path

import pytest

from replicate.planning.layout import Layout
from replicate.planning.studies import load_scale, load_study, study_runs
from replicate.store import staleness
from replicate.store.records import read_description, read_table
from replicate.store.software import made_by
from replicate.store.staleness import software_of
from replicate.upkeep import retrain
from tests.conftest import runs_of
from tests.stored import EPISODE, RESUMED, episodes_of, store_run


def traces_of(software: tuple[str, str], _: tuple[str, ...]) -> dict[str, str]:
    """Code 000… does other than the present; nothing is known of any more."""
    known = {"0" * 12: {"row": "1"}, software_of(made_by())[0]: {"row": "2"}}
    return known.get(software[0], {})


def test_what_other_software_made_of_a_choice_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path("results"))
    runs = [p.run for p in study_runs(load_study("epsilon"), load_scale("smoke"))]
    first, *others = runs[:4]
    old = store_run(layout.store, first, code_digest="0" * 64)
    changes = [
        {"resumed": [{**RESUMED, "code_digest": "0" * 64}]},
        {"dirty": True},
        {"code_digest": "1" * 64},
    ]
    _, dirty, new = [
        store_run(layout.store, run, **changed)
        for run, changed in zip(others, changes, strict=True)
    ]
    (of_no_study,) = runs_of("env=hopper", "algo.gamma=0.5")
    elsewhere = store_run(layout.store, of_no_study, code_digest="0" * 64)
    monkeypatch.setattr(staleness, "traces_of", traces_of)
    monkeypatch.setattr(staleness, "panel", lambda: {"row": staleness.kind_of(runs[0])})
    monkeypatch.setattr(staleness, "row_names", lambda: {"row": "row"})
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    said = capsys.readouterr().out
    assert ": 2 runs made by other" in said
    assert "1 run made by other training code (111111111111)" in said
    assert "python -m replicate traces c0ffee finds out" in said
    assert {f.parent for f in layout.store.glob("*/run.json")} == {dirty, new, elsewhere}
    aside = layout.root / "set_aside" / f"{old.name}.00000000"
    assert read_description(aside)["code_digest"] == "0" * 64
    store_run(layout.store, first, code_digest="0" * 64)
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    again = aside.with_name(f"{aside.name}.2")
    assert read_description(aside) == read_description(again)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 run made by other training code (111111111111)")
    assert retrain.main(["scale=smoke", "studies=epsilon", "unknown=set_aside"]) == 0
    (last,) = capsys.readouterr().out.splitlines()
    assert last.startswith("scale=smoke studies=epsilon: 1 run ") and not new.exists()
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    (last,) = capsys.readouterr().out.splitlines()
    assert last.startswith("scale=smoke studies=epsilon: 0 runs") and "now in" not in last


def test_nothing_that_was_set_aside_is_lost(tmp_path: Path) -> None:
    """Of the same run by the same code, three times; the newest has other episodes."""
    (run,) = runs_of("env=hopper", "total_env_steps=2048")
    store, aside = tmp_path / "runs", tmp_path / "aside"
    moved = []
    for count in (1, 2, 3):
        store_run(store, run, {"episodes": episodes_of(EPISODE * count)}, code_digest="0" * 64)
        moved += retrain.set_aside([run], store, aside, unknown=True)[0]
    assert len(set(moved)) == 3 and {folder.parent for folder in moved} == {aside}
    assert [len(read_table(folder, "episodes")) for folder in moved] == [1, 2, 3]


@pytest.mark.parametrize("digest", ["../../../evil", "/evil", None])
def test_a_code_digest_that_is_none_is_no_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    digest: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = study_runs(load_study("epsilon"), load_scale("smoke"))[0].run
    file = store_run(Layout(Path("results")).store, run) / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "code_digest": digest}))
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: damaged (code_digest: ")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scale=smok"], "did you mean 'smoke'?"),
        (["sale=smoke"], "'scale'"),
        (["unknown=yes"], "did you mean 'set_aside'?"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain.main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1 and expected in printed


def test_a_run_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = study_runs(load_study("epsilon"), load_scale("smoke"))[0].run
    file = Layout(Path("results")).store / run.run_id / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 2
    assert f"{file}: damaged" in capsys.readouterr().err
