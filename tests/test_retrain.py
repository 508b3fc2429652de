"""Finished runs of other software are set aside, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from replicate import retrain, staleness
from replicate.pipeline import Layout
from replicate.plan import load_scale, load_study, study_runs
from replicate.records import read_description, write_run
from replicate.software import made_by
from replicate.staleness import software_of


def stored(folder: Path, **changed: Any) -> Path:
    """A stored run."""
    write_run(folder, [], [], {"status": "finished", "dirty": False, **made_by(), **changed})
    return folder


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
    old, resumed, dirty, new, *_ = [layout.store / run.run_id for run in runs]
    stored(old, code_digest="0" * 64)
    stored(resumed, resumed=[{"code_digest": "0" * 64}])
    stored(dirty, dirty=True)
    stored(new, code_digest="1" * 64, commit="c0ffee" * 6)
    elsewhere = stored(layout.store / "a_run_of_another_scale", code_digest="0" * 64)
    monkeypatch.setattr(staleness, "traces_of", traces_of)
    monkeypatch.setattr(staleness, "panel", lambda: {"row": staleness.kind_of(runs[0])})
    monkeypatch.setattr(staleness, "row_names", lambda: {"row": "row"})
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    said = capsys.readouterr().out
    assert ": 2 runs made by other" in said
    assert "1 runs made by other training code (111111111111)" in said
    assert "python -m replicate.traces c0ffeec0ffee finds out" in said
    assert {f.parent for f in layout.store.glob("*/run.json")} == {dirty, new, elsewhere}
    aside = layout.root / "set_aside" / f"{old.name}.00000000"
    assert read_description(aside)["code_digest"] == "0" * 64
    stored(old, code_digest="0" * 64)
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 runs made by other training code (111111111111)")
    assert retrain.main(["scale=smoke", "studies=epsilon", "unknown=set_aside"]) == 0
    (last,) = capsys.readouterr().out.splitlines()
    assert last.startswith("scale=smoke studies=epsilon: 1 runs") and not new.exists()
    assert retrain.main(["scale=smoke", "studies=epsilon"]) == 0
    (last,) = capsys.readouterr().out.splitlines()
    assert last.startswith("scale=smoke studies=epsilon: 0 runs") and "now in" not in last


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
