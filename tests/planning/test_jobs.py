"""What the Snakefile asks of the pipeline, without Snakemake."""

import errno
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from replicate.messages import ConfigError
from replicate.planning.choices import choice_of
from replicate.planning.pipeline import Pipeline, pipeline
from replicate.planning.studies import RESERVED
from replicate.settings import RunSettings, validated
from replicate.store.files import read_json, sha256
from tests.stored import store_run

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"studies": "comparisn"}, "'comparison'"),
        ({"studies": "table1,epsilo"}, "'epsilon'"),
        ({"scal": "1"}, "'scale'"),
    ],
)
def test_each_key_and_value_of_a_config_is_looked_at(
    config: dict[str, str], expected: str, tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as stopped:
        pipeline(config, True, tmp_path)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and expected in line


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_why_they_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, reason: int
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(reason, os.strerror(reason), str(path))

    monkeypatch.setattr("replicate.planning.plans.write_atomically", refuse)
    with pytest.raises(SystemExit) as stopped:
        pipeline({"scale": "smoke"}, True, tmp_path)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/") and os.strerror(reason) in line


def test_environments_of_one_gymnasium_id_stay_apart(conf: Path, tmp_path: Path) -> None:
    short = "id: Hopper-v5\nkwargs: {max_episode_steps: 5}\n"
    (conf / "env/short_hopper.yaml").write_text(short)
    study = conf / "study/epsilon.yaml"
    study.write_text(study.read_text().replace("  - hopper\n", "  - hopper\n  - short_hopper\n"))
    (conf / "scale/smoke.yaml").write_text("seeds: 2\ntotal_env_steps: 4096\n")
    made = pipeline({"scale": "smoke", "studies": "epsilon"}, True, tmp_path / "results")
    plan = made.plan("smoke", "epsilon")
    assert plan["envs"]["hopper"] == plan["envs"]["short_hopper"] == "Hopper-v5"
    stamps = {env: made.runs(SimpleNamespace(name="smoke", env=env)) for env in plan["envs"]}
    assert {len(of_env) for of_env in stamps.values()} == {len(plan["variants"]) * 2}
    assert not set(stamps["hopper"]) & set(stamps["short_hopper"])


@pytest.mark.parametrize("name", [*RESERVED, "reference", "reference_quick"])
def test_a_scale_with_the_name_of_other_data_writes_over_none(
    conf: Path, tmp_path: Path, capsys: Any, name: str
) -> None:
    shutil.copy(conf / "scale/smoke.yaml", conf / f"scale/{name}.yaml")
    (tmp_path / "results/reference").mkdir(parents=True)
    (tmp_path / "results/reference/manifest.json").write_text("{}")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(SystemExit) as stopped:
        pipeline({"scale": name}, True, tmp_path / "results")
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: conf/scale/{name}.yaml: '{name}' is reserved; rename the file"
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def smoke(results: Path, study: str = "epsilon") -> Pipeline:
    return pipeline({"scale": "smoke", "studies": study}, True, results)


def test_a_run_that_is_put_back_is_newer_than_what_was_made_of_another(tmp_path: Path) -> None:
    made = smoke(tmp_path)
    stamp = Path(made.jobs[0].stamps[0])
    run = made.layout.store / stamp.name / "run.json"
    run.parent.mkdir(parents=True)
    stamp.parent.mkdir(parents=True)
    for place, (text, stamped) in enumerate((("{}", ""), ('{"put": "back"}', None))):
        run.write_text(text)
        os.utime(run, (1_000, 1_000))
        if stamped is not None:
            stamp.write_text(stamped)  # as the job makes it
        smoke(tmp_path)
        assert stamp.read_text() == sha256(run)
        assert (stamp.stat().st_mtime == 1_000) == (place == 0)


def test_a_report_at_another_scale_is_told_as_not_planned(tmp_path: Path, capsys: Any) -> None:
    made = smoke(tmp_path)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        made.targets("quick")
    assert stopped.value.code == 2
    line = capsys.readouterr().err.strip()
    assert line.endswith("plan.json: not planned; add --config scale=quick")


def test_runs_of_settings_that_are_gone_are_no_other_studys_business(
    conf: Path, tmp_path: Path
) -> None:
    """A study of an objective of one's own was trained; then both were taken away."""
    objective = "recipe.norm_epsilon=0.5"
    overrides = f"{{label: own, overrides: [{objective}]}}"
    own = (conf / "study/epsilon.yaml").read_text().partition("variants:")[0]
    (conf / "study/own.yaml").write_text(f"{own}variants:\n  own: {overrides}\n")
    others = smoke(tmp_path, "own")
    store = others.layout.store
    for job in others.jobs:
        for run in read_json(Path(job.manifest))["runs"]:
            store_run(store, validated(RunSettings, run))
    smoke(tmp_path, "own")
    both = smoke(tmp_path).runs(SimpleNamespace(name="smoke", env="hopper"))
    for file in store.glob("*/run.json"):
        file.write_text(file.read_text().replace('"norm_epsilon"', '"gone"'))
    alone = smoke(tmp_path).runs(SimpleNamespace(name="smoke", env="hopper"))
    assert len(both) == len(alone) + 2


def test_what_a_checkpoint_has_is_not_told_as_left_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    made = smoke(tmp_path)
    told = capsys.readouterr().err
    (run, *_) = read_json(Path(made.jobs[0].manifest))["runs"]
    done = {validated(RunSettings, run).digest: 1}
    monkeypatch.setattr("replicate.planning.pipeline.updates_done", lambda store: done)
    smoke(tmp_path)
    before, after = (
        int(re.search(r"([\d,]+) env steps", text)[1].replace(",", ""))  # type: ignore[index]
        for text in (told, capsys.readouterr().err)
    )
    assert before - after == run["algo"]["num_steps"]


def test_a_child_process_plans_nothing(tmp_path: Path, capsys: Any) -> None:
    config = {"scale": "smoke", "studies": "table1"}
    first = pipeline(config, True, tmp_path)
    written = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    # A run that finishes meanwhile must not change what the others are called.
    done = first.layout.store / Path(first.jobs[0].stamps[0]).name / "run.json"
    done.parent.mkdir(parents=True)
    done.write_text("{}")
    child = pipeline(config, False, tmp_path)
    assert sorted(child.jobs, key=lambda j: j.name) == sorted(first.jobs, key=lambda j: j.name)
    assert {f: f.read_bytes() for f in written} == written
    again = pipeline(config, True, tmp_path)
    assert {j.name for j in again.jobs} != {j.name for j in first.jobs}


def test_it_says_first_how_much_there_is_to_train_and_so_does_the_readme(
    tmp_path: Path, capsys: Any
) -> None:
    pipeline({}, True, tmp_path)
    said = re.match(r"(\d+) runs planned, 0 finished; to train .*: \1 in", capsys.readouterr().err)
    assert said is not None
    assert f"The four are {said[1]} runs" in " ".join(README.read_text().split())


def test_every_choice_of_the_readme_is_one() -> None:
    text = " ".join(README.read_text().split())
    choices = re.findall(r"snakemake --config ((?:\w+=[\w,]+ ?)+)", text)
    assert len(choices) >= 5
    for choice in choices:
        if "rollback" not in choice:  # the reader's own
            assert choice_of(dict(part.split("=") for part in choice.split())).studies


def test_seeds_are_a_scales_to_say() -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        choice_of({"seeds": 3})
