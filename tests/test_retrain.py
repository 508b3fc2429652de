"""Finished runs of other software are set aside, and nothing else."""

from pathlib import Path

import pytest

from replicate import retrain
from replicate.pipeline import Layout
from replicate.plan import load_scale, load_study, study_runs
from replicate.records import read_description
from tests.conftest import runs_of
from tests.stored import RESUMED, store_run


def test_what_other_software_made_of_a_choice_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path("results"))
    runs = [p.run for p in study_runs(load_study("epsilon"), load_scale("smoke"))]
    first, *others = runs[:5]
    old = store_run(layout.store, first, code_digest="0" * 64)
    changes = [{"versions": {}}, {"dirty": True}, {"resumed": [{**RESUMED, "dirty": True}]}, {}]
    *_, good = [
        store_run(layout.store, run, **changed)
        for run, changed in zip(others, changes, strict=True)
    ]
    (of_no_study,) = runs_of("env=hopper", "algo.gamma=0.5")
    elsewhere = store_run(layout.store, of_no_study, code_digest="0" * 64)
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    assert ": 4 runs made by other" in capsys.readouterr().out
    assert {f.parent for f in layout.store.glob("*/run.json")} == {good, elsewhere}
    aside = layout.root / "set_aside" / f"{old.name}.00000000"
    assert read_description(aside)["code_digest"] == "0" * 64
    store_run(layout.store, first, code_digest="0" * 64)
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("scale=smoke studies=epsilon: 0 runs") and "set_aside" not in last


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["scale=smok"], "did you mean 'smoke'?"), (["sale=smoke"], "'scale'")],
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
