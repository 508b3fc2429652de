"""The Snakefile, run for real at smoke scale in a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from analysis import manifest
from replicate.planning.choices import choice_of
from replicate.planning.layout import Layout
from replicate.store.plans import figures_of_plan
from replicate.upkeep.checks.workflow import dry_run, to_run
from tests.planning import diverged

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("analysis", "conf", "profiles", "replicate", "results/reference", "results/published")
FILES = ("Makefile", "Snakefile", "environment.yaml", "requirements.lock", "CITATION.cff")
MADE = Path("results/replication")
SMOKE = "--config", "scale=smoke"
HAS_ROWS = """
from replicate.planning.studies import load_scale, load_study, study_runs
from replicate.store.staleness import kind_of, rows_like
from replicate.upkeep.panel import load_panel

panel = {name: kind_of(lanes[0]) for name, lanes in load_panel().items()}
kinds = {kind_of(p.run) for p in study_runs(load_study("rollback"), load_scale("ledger"))}
print(all(kind in map(panel.get, rows_like(kind, panel)) for kind in kinds))
"""
"""Whether the panel of traces has a row of each kind of run of a study."""
STUDIES = ("comparison", "comparison_modern", "table1", "epsilon")


def snakemake(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


def planned(tree: Path, *arguments: str) -> list[tuple[str, list[str]]]:
    """(rule, outputs) of each job that would run."""
    done = snakemake(tree, "-n", *arguments)
    assert done.returncode == 0, done.stderr
    jobs: list[tuple[str, list[str]]] = []
    for line in done.stdout.splitlines():
        if heading := re.fullmatch(r"(?:local)?rule (\w+):", line):
            jobs.append((heading[1], []))
        elif listed := re.fullmatch(r" +output: (.*)", line):
            jobs[-1][1].extend(listed[1].split(", "))
    return jobs


def trained(jobs: list[tuple[str, list[str]]]) -> list[str]:
    """Ids of the runs that would be trained."""
    return sorted(
        Path(output).name
        for name, outputs in jobs
        if name.startswith("train_")
        for output in outputs
    )


def rules(jobs: list[tuple[str, list[str]]]) -> Counter[str]:
    return Counter(re.sub(r"^(train|products)_.*", r"\1", name) for name, _ in jobs)


def copy_of(source: Path, target: Path) -> Path:
    """A tree, times of files included, so that nothing looks changed.

    The repository's runs, 50 MB that nobody writes to, are the same files.
    """

    def copied(file: str, place: str) -> None:
        if file.endswith(".parquet") and "/results/reference/runs/" in file:
            os.link(file, place)
        else:
            shutil.copy2(file, place)

    shutil.copytree(source, target, symlinks=True, copy_function=copied)
    return target


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds."""
    tree = tmp_path_factory.mktemp("fresh") / "tree"
    skipped = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=skipped)
    for file in FILES:
        shutil.copy(ROOT / file, tree / file)
    return tree


@pytest.fixture(scope="module")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smoke replication, finished by the README's command; tests that change it copy it."""
    tree = copy_of(fresh, tmp_path_factory.mktemp("finished") / "tree")
    # -o: what runs this test is set up.
    command = "make --no-print-directory -o .venv/.ready replicate SCALE=smoke"
    done = subprocess.run(command.split(), cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\nE1  " in done.stdout
    assert done.stdout.splitlines()[-1] == f"Report: {tree}/{MADE}/smoke/report.html"
    return tree


@pytest.fixture
def tree(finished: Path, tmp_path: Path) -> Path:
    return copy_of(finished, tmp_path / "tree")


def test_it_ends_with_a_report_and_pictures(finished: Path) -> None:
    made = finished / MADE / "smoke"
    assert (made / "report.html").stat().st_size > 50_000
    for study in STUDIES:
        plan = json.loads((made / "data" / study / "plan.json").read_text())
        for figure in figures_of_plan(plan):
            for suffix in (".svg", ".png", ".csv", ".caption.txt"):
                assert (made / "figures" / study / f"{figure}{suffix}").stat().st_size > 20
        for table in plan["tables"]:
            for suffix in (".csv", ".md", ".tex", ".caption.txt"):
                assert (made / "tables" / study / f"{table}{suffix}").stat().st_size > 20


def test_runs_that_studies_share_are_trained_once(finished: Path) -> None:
    made = finished / MADE
    plans = [
        json.loads((made / "smoke/data" / study / "plan.json").read_text()) for study in STUDIES
    ]
    digests = [entry["digest"] for plan in plans for entry in plan["runs"]]
    stored = list((made / "runs").glob("*/run.json"))
    assert len(stored) == len(set(digests)) < len(digests)


def test_a_second_invocation_does_nothing(finished: Path) -> None:
    again = snakemake(finished, *SMOKE)
    assert again.returncode == 0 and "Nothing to be done" in again.stderr


def test_changing_a_figure_redraws_the_studies_that_show_it(tree: Path) -> None:
    with (tree / "analysis/figures/epsilon.py").open("a") as file:
        file.write("\n# changed\n")
    assert rules(planned(tree, *SMOKE)) == {"products": 1, "report": 1, "all": 1}


@pytest.mark.parametrize(
    ("file", "first"), [("analysis/manifest.py", "aggregate"), ("analysis/study.py", "measures")]
)
def test_changing_what_a_program_imports_runs_it_again(tree: Path, file: str, first: str) -> None:
    with (tree / file).open("a") as changed:
        changed.write("\n# changed\n")
    counted = rules(planned(tree, *SMOKE))
    assert counted[first] and counted["products"] and counted["report"]
    assert counted["train"] == 0 and bool(counted["aggregate"]) == (first == "aggregate")


def test_changing_training_code_redraws_the_report_only(tree: Path) -> None:
    rollout = tree / "replicate/engine/rollout.py"
    source = rollout.read_text()
    rollout.write_text(f"{source}\n# a comment\n")
    assert planned(tree, *SMOKE) == []
    rollout.write_text(f"{source}\n\nCHANGED = True\n")
    assert rules(planned(tree, *SMOKE)) == {"report": 1, "all": 1}
    report = tree / MADE / "smoke/report.html"
    unknown = "runs were made by software of which it is not known"
    assert unknown not in report.read_text()
    done = snakemake(tree, *SMOKE)
    assert done.returncode == 0, done.stderr
    counted = len(list((tree / MADE / "runs").glob("*/run.json")))
    assert f"{counted} of {counted} {unknown}" in report.read_text()


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stdout + done.stderr
    return [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("error:")]


def test_an_altered_table_is_refused_until_it_is_made_again(tree: Path) -> None:
    made, command = tree / MADE / "smoke", (*SMOKE, "studies=epsilon")
    table, report = made / "data/hopper.episodes.parquet", made / "report.html"
    drawn = made / "figures/epsilon/epsilon.svg"
    before = table.read_bytes(), report.read_bytes(), drawn.read_bytes()
    table.write_bytes(before[0][: len(before[0]) // 2])
    refused = snakemake(tree, *command)
    assert refused.returncode == 1 and report.read_bytes() == before[1]
    assert set(error_lines(refused)) == {
        f"error: {table.relative_to(tree)}: not the file that "
        f"{table.relative_to(tree).with_name('hopper.manifest.json')} lists; restore it from git "
        "or, if it was made here, delete it and give the command again"
    }
    table.unlink()
    again = snakemake(tree, *command)
    assert again.returncode == 0, again.stderr
    assert table.read_bytes() == before[0] and drawn.read_bytes() == before[2]
    assert planned(tree, *command) == []


def test_what_was_edited_is_refused_until_it_is_made_again(tree: Path) -> None:
    made = tree / MADE / "smoke"
    file, report = made / "tables/epsilon/epsilon.md", made / "report.html"
    before = file.read_bytes(), report.read_bytes()
    file.write_bytes(before[0].replace(b"0", b"9"))
    refused = snakemake(tree, *SMOKE)
    assert refused.returncode == 1 and report.read_bytes() == before[1]
    (line,) = set(error_lines(refused))
    assert line.startswith(f"error: {file.relative_to(tree)}: not the file that ")
    file.unlink()
    again = snakemake(tree, *SMOKE, "--", str(file.relative_to(tree)))
    assert again.returncode == 0, again.stderr
    assert file.read_bytes() == before[0]


def test_an_altered_run_is_refused_and_its_remedy_trains_it_anew(tree: Path) -> None:
    run_file = next((tree / MADE / "runs").glob("hopper_v5-trpo-s1-*/run.json"))
    run = json.loads(run_file.read_text())
    run["settings"]["seed"] = 7
    run_file.write_text(json.dumps(run))
    refused = snakemake(tree, *SMOKE)
    assert refused.returncode == 1
    (line,) = set(error_lines(refused))
    assert line.startswith(f"error: {run_file.relative_to(tree)}: damaged")
    (remedy,) = re.findall(r"delete (\S+) and give", line)
    shutil.rmtree(tree / remedy)
    assert trained(planned(tree, *SMOKE)) == [run_file.parent.name]


def diagnosis(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the doctor says of Snakemake in a tree, rule by rule."""
    monkeypatch.chdir(tree)
    asked = dry_run(choice_of({"scale": "smoke"}), lambda _: None)
    return [f"{finding.text} → {finding.todo}" for finding in to_run(asked)]


def test_the_doctor_finds_nothing_wrong_with_a_finished_replication(tree: Path) -> None:
    command = [sys.executable, "-m", "replicate", "doctor", "scale=smoke"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [re.split(" {2,}", line, maxsplit=2) for line in done.stdout.splitlines()]
    assert ["ok", "snakemake", "nothing to run"] in said
    assert said[-2][:2] == ["ok", "self-test"] and said[-1] == ["no problem found"]


def test_the_doctor_says_why_snakemake_would_run_something(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / MADE / "smoke/figures/table1/table1.svg").unlink()
    figure, report = diagnosis(tree, monkeypatch)
    assert figure.startswith("products: 1 job, not made yet, or deleted")
    assert report.startswith("report: 1 job, an input is made anew")


def test_the_doctor_says_how_a_tree_whose_times_lie_is_settled(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tree / ".snakemake")  # its checksums of small files
    (tree / "analysis/report/page.py").touch()
    (report,) = diagnosis(tree, monkeypatch)
    assert report.startswith("report: 1 job, an input is newer → ")
    assert "snakemake --touch" in report
    done = snakemake(tree, "--touch", *SMOKE)
    assert done.returncode == 0, done.stderr
    assert diagnosis(tree, monkeypatch) == ["nothing to run → "]


def test_changing_a_value_trains_only_what_depends_on_it(tree: Path) -> None:
    study = tree / "conf/study/epsilon.yaml"
    study.write_text(study.read_text().replace("clip_epsilon=0.05", "clip_epsilon=0.06"))
    jobs = planned(tree, *SMOKE)
    assert len(trained(jobs)) == 2 * 2  # environments × seeds
    # The tables of an environment hold the runs of all studies: others may be drawn again too.
    assert "products_smoke_epsilon" in dict(jobs)


def test_a_seed_more_trains_that_seed(tree: Path) -> None:
    scale = tree / "conf/scale/smoke.yaml"
    scale.write_text(scale.read_text().replace("seeds: 2", "seeds: 3"))
    runs = trained(planned(tree, *SMOKE))
    assert runs and all("-s2-" in run for run in runs)


def test_a_run_that_was_trained_anew_is_aggregated_whenever_the_pipeline_goes_on(
    tree: Path,
) -> None:
    gone = next((tree / MADE / "runs").glob("hopper_v5-trpo-s1-*"))
    shutil.rmtree(gone)
    # As if it had been killed after the training.
    done = snakemake(tree, *SMOKE, "--", str(MADE / "finished" / gone.name))
    assert done.returncode == 0 and (gone / "run.json").is_file(), done.stderr
    jobs = planned(tree, *SMOKE)
    outputs = [Path(output).name for name, out in jobs if name == "aggregate" for output in out]
    assert {output.partition(".")[0] for output in outputs} == {"hopper"} and trained(jobs) == []


def test_an_objective_of_ones_own_ends_beside_the_clip_and_trpo(tree: Path) -> None:
    """The README's recipe, followed to the letter."""
    readme = (ROOT / "README.md").read_text()
    recipe = readme[readme.index("**An objective of your own**") :]
    function, choice, row_of_the_panel, study = re.findall(r"```\w+\n(.*?)```", recipe, re.S)[:4]
    settings = tree / "replicate/settings.py"
    changed, times = re.subn(r"^Objective = .*\n", choice, settings.read_text(), flags=re.M)
    assert times == 1
    settings.write_text(changed)
    for file, text in {
        "replicate/maths/objectives.py": f"\n\n{function}",
        "conf/traces.yaml": row_of_the_panel,
    }.items():
        with (tree / file).open("a") as appended:
            appended.write(text)
    (tree / "conf/study/rollback.yaml").write_text(study)
    command = *SMOKE, "studies=rollback"
    # Environments × seeds: TRPO's and the clip's runs are those of other studies.
    assert len(trained(planned(tree, *command))) == 2 * 2
    made = MADE / "smoke/tables/rollback/differences.csv"
    done = snakemake(tree, *command, "--", str(made))
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tree / made).query("env == 'hopper'")
    assert {*zip(rows.reference, rows.variant, rows.runs, strict=True)} == {
        ("rollback", "trpo", 4),
        ("rollback", "clip", 4),
    }
    asked = subprocess.run(
        [sys.executable, "-c", HAS_ROWS], cwd=tree, capture_output=True, text=True
    )
    assert asked.stdout == "True\n", asked.stderr


def test_diverged_runs_and_runs_without_an_episode_come_to_a_report(tree: Path) -> None:
    diverged.shortened(tree)
    trained_only = snakemake(tree, *diverged.CONFIG, "--omit-from", "aggregate")
    assert trained_only.returncode == 0, trained_only.stderr
    diverged.let_some_diverge(tree)
    done = snakemake(tree, *diverged.CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    left = sum(
        json.loads(file.read_text())["status"] == "diverged"
        for file in (tree / MADE / "runs").glob("*/run.json")
    )
    said = (tree / MADE / "smoke/report.html").read_text()
    assert f"{left} runs diverged (to infinity or NaN)" in said
    for plan in diverged.plans(tree):
        finals = tree / MADE / "smoke/tables" / plan["study"] / "finals.csv"
        far = pd.read_csv(finals).query("variant == 'far'")
        assert len(far) and (far.diverged == far.seeds).all()
        drawn, tables = figures_of_plan(plan), plan["tables"]
        for kind, products, suffix in (("figures", drawn, ".svg"), ("tables", tables, ".csv")):
            for product in products:
                made = tree / MADE / "smoke" / kind / plan["study"] / f"{product}{suffix}"
                assert made.stat().st_size > 20


def test_a_clock_that_jumps_trains_nothing_anew(tree: Path) -> None:
    for year, files in (("1990", "runs/*/run.json"), ("2037", "cohorts/*.json")):
        then = time.mktime(time.strptime(year, "%Y"))
        for file in (tree / MADE).glob(files):
            os.utime(file, (then, then))
    os.utime(next((tree / MADE / "finished").iterdir()), (2e9, 2e9))
    jobs = planned(tree, *SMOKE)
    assert trained(jobs) == [] and rules(jobs)["train"] == 0


def test_one_study_of_them(tree: Path) -> None:
    jobs = planned(tree, "--config", "scale=smoke", "studies=epsilon")
    assert rules(jobs) == {"claims": 1, "forest": 1, "report": 1, "all": 1}


def test_it_ends_with_the_verdict_of_every_claim(finished: Path) -> None:
    claims = json.loads((finished / MADE / "smoke/claims.json").read_text())
    by_name = {claim["claim"]: claim for claim in claims}
    assert by_name["C1"]["verdict"] == by_name["I1"]["verdict"] == "supported"
    assert by_name["E1"]["runs"] == 5 * 2 * 2 and by_name["P1"]["recipes"] == [
        "paper2017",
        "modern",
    ]
    assert by_name["N1"]["verdict"] == "supported" and by_name["N2"]["verdict"] == "not run"
    # The rules were there before the runs.
    assert not any(claim["post_hoc"] for claim in claims)


def test_a_rule_that_changes_after_the_runs_is_post_hoc(tree: Path) -> None:
    plan = tree / MADE / "smoke/data/epsilon/plan.json"
    before = plan.read_bytes()
    rule = tree / "conf/claims/E1.yaml"
    rule.write_text(rule.read_text().replace("factor: 1.25", "factor: 1.01"))
    command = [sys.executable, "-m", "analysis.claims.digests"]
    assert subprocess.run(command, cwd=tree).returncode == 0
    assert rules(planned(tree, *SMOKE)) == {"claims": 1, "forest": 1, "report": 1, "all": 1}
    judged = tree / MADE / "smoke/claims.json"
    done = snakemake(tree, *SMOKE, "--", str(judged.relative_to(tree)))
    assert done.returncode == 0, done.stderr
    assert plan.read_bytes() == before  # what was recorded first stays
    claims = json.loads(judged.read_text())
    assert [claim["claim"] for claim in claims if claim["post_hoc"]] == ["E1"]


@pytest.mark.parametrize("options", [[], ["--quiet", "rules"]], ids=["plain", "make replicate"])
def test_why_a_job_failed_is_the_last_thing_said(tree: Path, options: list[str]) -> None:
    (tree / "analysis/figures/epsilon.py").write_text("raise SystemExit('it broke here')\n")
    done = snakemake(tree, *options, *SMOKE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "results/replication/logs/smoke_epsilon_products.log ends with:",
        "  it broke here",
    ]


def test_figures_of_the_repository_are_drawn_without_training(fresh: Path, tmp_path: Path) -> None:
    tree = copy_of(fresh, tmp_path / "tree")
    counted = rules(planned(tree, "figures"))
    assert counted["train"] == counted["aggregate"] == 0
    reports = len(Layout(tree / "results").references)
    assert counted["products"] > 0
    assert counted["report"] == counted["claims"] == reports > 0


def test_runs_that_were_frozen_are_drawn_as_those_that_were_made_here(tree: Path) -> None:
    """At two scales; what is drawn is the same, byte by byte; so is a report written again."""
    reference = tree / "results/reference"
    for folder in ("runs", "plans"):
        shutil.rmtree(reference / folder)
    manifest.update(reference, [])  # gone on purpose
    for scale in ("paper", "quick"):  # as long as what was trained
        shutil.copy(tree / "conf/scale/smoke.yaml", tree / f"conf/scale/{scale}.yaml")
    for scale in ("quick", "paper"):
        command = [sys.executable, "-m", "analysis.freeze", scale, "made", "studies=epsilon"]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    done = snakemake(tree, "figures")
    assert done.returncode == 0, done.stderr
    drawn = sorted((tree / MADE / "smoke/figures/epsilon").glob("*.svg"))
    assert drawn
    for name in ("reference", "reference_quick"):
        for picture in drawn:
            again = tree / MADE / name / picture.relative_to(tree / MADE / "smoke")
            assert again.read_bytes() == picture.read_bytes()
    report = tree / MADE / "reference/report.html"
    assert planned(tree, "figures") == []
    before = report.read_bytes()
    report.unlink()
    assert snakemake(tree, str(report.relative_to(tree))).returncode == 0
    assert report.read_bytes() == before


def test_a_wrong_config_is_one_line_and_exit_code_2(fresh: Path) -> None:
    done = snakemake(fresh, "-n", "--config", "scale=smok")
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert "did you mean 'smoke'?" in line


def test_results_that_cannot_be_written_are_one_line_and_exit_code_2(
    fresh: Path, tmp_path: Path
) -> None:
    tree = copy_of(fresh, tmp_path / "tree")
    (tree / MADE).write_text("a file where a folder must be")
    for arguments in (SMOKE, ("-n", *SMOKE)):
        done = snakemake(tree, *arguments)
        assert done.returncode == 2
        (line,) = error_lines(done)
        assert line.startswith(f"error: {MADE}/smoke/data/comparison/plan.json: ")


@pytest.mark.parametrize(
    ("content", "said"), [('{"study": "tab', "damaged"), ("{}", "no plan of a study")]
)
def test_a_plan_of_the_repository_that_is_none_is_one_line(
    fresh: Path, tmp_path: Path, content: str, said: str
) -> None:
    tree = copy_of(fresh, tmp_path / "tree")
    plan = tree / "results/reference/plans/quick/table1.json"
    plan.write_text(content)
    done = snakemake(tree, "figures")
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert line.startswith(f"error: {plan.relative_to(tree)}: {said}")
    assert "git" in line
