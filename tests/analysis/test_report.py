"""The report opens anywhere and trusts nothing it is given."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import coverage, manifest, report
from analysis.report import markdown_rows
from analysis.study import Study, read_study
from replicate import software
from replicate.pipeline import plan_of
from replicate.plan import load_scale, load_study, study_runs
from replicate.settings import RunSettings, validated
from replicate.staleness import Answer
from tests.analysis import made_up
from tests.conftest import runs_of

HOSTILE = "<img src=x onerror=alert(1)></script>|\u2028\"'"
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><path d='M0 0h9v9z'/></svg>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def store_product(stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    header, cell = "| environment | mean |\n| --- | --- |\n", HOSTILE.replace("|", "\\|")
    for suffix, text in {
        ".svg": SVG,
        ".csv": "environment,mean\n",
        ".md": f"{header}| Hopper-v5 | {cell} |\n| Swimmer-v5 | 0.82 |\n",
        ".caption.txt": HOSTILE,
    }.items():
        stem.with_suffix(suffix).write_text(text)
    made_up.list_beside(*(stem.with_suffix(s) for s in (".svg", ".csv", ".md", ".caption.txt")))


def nothing_more(run: dict[str, Any]) -> None:
    """As a run of the present software says."""


def describe_runs(study: Study, more: Callable[[dict[str, Any]], object] = nothing_more) -> None:
    """Fills in what only a real run leaves behind."""
    for env in study.plan["envs"]:
        file = study.folder / f"{env}.runs.json"
        runs = json.loads(file.read_text())
        for number, run in enumerate(runs):
            run |= {
                "digest": f"{env}{number}",
                "run_id": f"{env}-ppo-s0-abc",
                "env_steps": 1000,
                "started": "2026-01-01T00:00:00+00:00",
                "ended": "2026-01-01T00:01:00+00:00",
                "cohort": {
                    "lanes": len(runs),
                    "seconds": {"rollout": 30, "env_step": 20, "advantages": 1, "update": 5},
                },
                "cpu": HOSTILE,
                "simd": "AVX2",
                "threads": 1,
                "device": "cpu",
                "python": "3.11",
                "versions": software.versions(),
                "code_digest": software.code_digest(),
                "lock_digest": "1" * 64,
            }
            more(run)
        file.write_text(json.dumps(runs))
        made_up.list_tables(study.folder, env)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "quick"
    envs = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}
    variants = [{**made_up.clip(0.2), "label": HOSTILE}]
    study = made_up.study(folder / "data/table1", variants, envs, name="table1")
    plan = {**study.plan, "title": HOSTILE, "question": HOSTILE}
    plan |= {"figures": ["table1", "learning_curves"], "tables": ["finals"]}
    (study.folder / "plan.json").write_text(json.dumps(plan))
    describe_runs(study)
    (folder / "measures").mkdir()
    made_up.measures(study).to_csv(folder / "measures/table1.csv", index=False)
    made_up.list_beside(folder / "measures/table1.csv")
    shown = ("figures/table1/learning_curves", "figures/table1/table1", "tables/table1/finals")
    for product in (*shown, "figures/clipped_objective"):
        store_product(folder / product)
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes/clipped_objective.csv").write_text("ratio\n")
    made_up.list_beside(tmp_path / "probes/clipped_objective.csv")
    simulated = {"statistic": "mean", "method": "t", "environments": 1, "distribution": "normal"}
    pd.DataFrame([{**simulated, "seeds": 3, "coverage": 0.951}]).to_csv(tmp_path / "coverage.csv")
    manifest.update(tmp_path, [tmp_path / "coverage.csv"])
    arguments = ["quick", str(tmp_path), str(tmp_path / "coverage.csv")]
    out = tmp_path / "report.html"
    assert report.main([*arguments, str(out), str(study.folder / "plan.json")]) == 0
    return out


@pytest.mark.parametrize(
    "name",
    [
        "quick/measures/table1.csv",
        "quick/tables/table1/finals.md",
        "quick/tables/table1/finals.csv",
        "quick/tables/table1/finals.caption.txt",
        "quick/figures/table1/table1.svg",
        "quick/figures/table1/table1.csv",
        "quick/figures/clipped_objective.svg",
        "probes/clipped_objective.csv",
    ],
)
def test_what_was_edited_is_not_reported(
    page: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder, before = page.parent, page.read_bytes()
    file = folder / name
    file.write_text(file.read_text().replace("a", "b") + " ")
    plan = folder / "quick/data/table1/plan.json"
    paths = [folder, folder / "coverage.csv", page, plan]
    assert report.main(["quick", *map(str, paths)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not the file that ")
    assert page.read_bytes() == before


def test_it_is_self_contained_and_escaped(page: Path) -> None:
    found = Elements(page.read_text()).found
    policy = [a["content"] for tag, a in found if tag == "meta" and "http-equiv" in a]
    assert policy and str(policy[0]).startswith("default-src 'none'")
    assert "unsafe" not in str(policy[0])
    sources = [str(a[key]) for _, a in found for key in ("src", "href") if key in a]
    assert sources and all(s.startswith(("data:", "#")) for s in sources)
    assert sum(tag == "script" for tag, _ in found) == 1
    assert not any(key.startswith("on") or key == "style" for _, a in found for key in a)


def test_it_shows_the_numbers_and_what_is_behind_them(page: Path) -> None:
    text = page.read_text()
    assert "<td>0.82</td>" in text and "95%" in text
    assert "u = 1: the literature" in text and "3 seeds" in text
    assert "snakemake --config scale=quick" in text
    downloads = [a for tag, a in Elements(text).found if tag == "a" and "download" in a]
    assert len(downloads) == 5  # a table, two figures, the curves of two environments


def test_shared_cohorts_are_counted_once(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    costs = report.cost_table([study, study])
    assert [row[3] for row in costs["rows"]] == ["36", "36"]
    # Of a cohort whose other lanes are not here, the pace counts.
    fewer = study.on("hopper")
    fewer.runs[1:] = []
    assert [row[3] for row in report.cost_table([fewer])["rows"]] == ["12"]
    assert [row[2] for row in costs["rows"]] == ["3k", "3k"]


def of_other_code(run: dict[str, Any]) -> None:
    if run["seed"] > 0:
        run["code_digest"] = "0" * 64


def with_other_torch(run: dict[str, Any]) -> None:
    if run["seed"] > 0:
        run["versions"] = {**software.versions(), "torch": "2.12.1+cpu"}


def of_dirty_code(run: dict[str, Any]) -> None:
    of_other_code(run)
    run |= {"commit": "c0ffee" * 7, "dirty": True}


def resumed_dirty(run: dict[str, Any]) -> None:
    run |= {"commit": "c0ffee" * 7, "dirty": False}
    run["resumed"] = [{"commit": "decade" * 7, "dirty": True}] * (run["seed"] > 0)


def resumed_by_other_code(run: dict[str, Any]) -> None:
    run["resumed"] = [{"commit": "decade" * 7, "code_digest": "0" * 64}] * (run["seed"] > 0)


UNKNOWN = "by software of which it is not known whether it does as the present: other "


@pytest.mark.parametrize(
    ("more", "expected", "todo"),
    [
        (of_other_code, "training code (000000000000)", ""),
        (with_other_torch, "package versions (torch 2.12.1+cpu)", ""),
        (of_dirty_code, "training code (000000000000), with uncommitted changes", ""),
        (resumed_by_other_code, "training code (000000000000)", " decadedecade"),
    ],
)
def test_runs_of_which_it_is_not_known_are_counted_and_traced(
    page: Path,
    more: Callable[[dict[str, Any]], object],
    expected: str,
    todo: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = runs_of("env=hopper")[0].model_dump(mode="json")
    monkeypatch.setattr(report, "settings_of", lambda *_: settings)
    study = read_study(page.parent / "quick/data/table1/plan.json")
    describe_runs(study)
    assert report.software_notes("quick", [read_study(study.folder / "plan.json")]) == []
    describe_runs(study, more)
    study = read_study(study.folder / "plan.json")
    ((note, command),) = report.software_notes("quick", [study])
    # Two seeds of three, twice.
    assert note.startswith(f"4 of 6 runs were made {UNKNOWN}{expected}")
    assert note.endswith("To find out") and command == f"python -m replicate.traces{todo}"


def test_the_plan_tells_what_each_run_was_asked_to_do() -> None:
    planned = study_runs(load_study("table1"), load_scale("smoke"))
    plan = plan_of(load_study("table1"), "smoke", planned)
    study = Study(Path(), plan)
    for entry in plan["runs"]:
        run = validated(RunSettings, report.settings_of(study, entry))
        assert run.digest == entry["digest"]


def test_runs_of_other_software_are_counted_and_retrained(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    asked = []

    def other(made: dict[str, Any], settings: list[dict[str, Any]]) -> Answer:
        asked.extend(settings)
        return Answer("other", "other code") if made["seed"] else Answer("same")

    monkeypatch.setattr(report, "compare", other)
    ((note, command),) = report.software_notes("quick", [study])
    assert note == (
        "4 of 6 runs were made by software that does other than the present: other code. "
        "To train them anew"
    )
    aside, train = command.split(" && ")
    assert aside == "python -m replicate.retrain scale=paper studies=table1"
    assert train == "snakemake --config scale=paper studies=table1"
    assert report.software_notes("reference", [study]) == [(note, train)]
    assert asked[0]["env"]["id"] == "Hopper-v5" and asked[0]["algo"]["clip_epsilon"] == 0.2


def moved_on(run: dict[str, Any]) -> None:
    run |= {"simd": "AVX512", "mkl_cbwr": "AVX512", "device": "cpu"}
    resumed = {"simd": "AVX512", "mkl_cbwr": "AVX512", "device": "cpu", "cpu": "a newer one"}
    run["resumed"] = [resumed, {**resumed, "mkl_cbwr": "AVX2"}] if run["seed"] > 0 else [resumed]


def test_runs_that_went_on_on_another_class_of_cpu_are_told(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    assert report.elsewhere(study.runs) == 0
    describe_runs(study, moved_on)
    study = read_study(study.folder / "plan.json")
    measures = pd.read_csv(page.parent / "quick/measures/table1.csv").assign(study="table1")
    (note,) = [text for text in report.notes("quick", measures, study.runs) if "bit by bit" in text]
    assert note.startswith("4 runs went on")


def test_facts_say_where_runs_came_from_and_which_were_interrupted(page: Path) -> None:
    study = read_study(page.parent / "quick/data/table1/plan.json")
    # Data that was made before this was recorded.
    facts = dict(report.facts([study]))
    assert facts["Commit"] == "not recorded"
    assert facts["Interrupted"] == "0 runs went on from a checkpoint, 6 did not"
    describe_runs(study, resumed_dirty)
    facts = dict(report.facts([read_study(study.folder / "plan.json")]))
    assert facts["Commit"] == "c0ffeec0ffee, decadedecade with uncommitted changes"
    assert facts["Interrupted"] == "4 runs went on from a checkpoint, 2 did not"


@pytest.mark.parametrize("altered", ["coverage.csv", "quick/data/table1/swimmer.runs.json"])
def test_altered_data_is_not_reported(
    page: Path, capsys: pytest.CaptureFixture[str], altered: str
) -> None:
    file, before = page.parent / altered, page.read_bytes()
    file.write_bytes(file.read_bytes() + b" ")
    plan = str(page.parent / "quick/data/table1/plan.json")
    arguments = ["quick", str(page.parent), str(page.parent / "coverage.csv"), str(page), plan]
    assert report.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not the file that ") and page.read_bytes() == before


def test_escaped_pipes_are_no_borders() -> None:
    assert markdown_rows("| a | b |\n|---|--:|\n| 1\\|2 | −3 |\n\ntext\n") == [
        ["a", "b"],
        ["1|2", "−3"],
    ]


def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and "CI" not in os.environ:
        pytest.skip("no Chromium here")
    assert found is not None, "CI must have Chromium"
    return found


def test_a_browser_runs_its_own_script_and_nothing_else(page: Path, tmp_path: Path) -> None:
    command = [
        *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"),
        *("--virtual-time-budget=2000", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    # The switch is hidden until the script shows it: without a script nobody meets a dead one.
    assert re.search(r'<p id="switch">', done.stdout)
    assert '<p id="switch" hidden' in page.read_text()
    assert "Content Security Policy" not in done.stderr, done.stderr


def test_the_coverage_of_the_repository_is_what_the_code_simulates() -> None:
    stored = pd.read_csv(Path(report.HERE).parent / "results/reference/coverage.csv")
    keys = ["statistic", "method", "distribution", "environments", "seeds"]
    simulated = pd.DataFrame([asdict(case) for case in coverage.cases()])
    pd.testing.assert_frame_equal(stored[keys], simulated[keys])
    normal = stored[(stored.distribution == "normal") & (stored.method == "t")]
    assert len(normal) and normal.coverage.between(0.94, 0.97).all()
