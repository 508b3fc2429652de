"""Tables for people and for programs, from the command line."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import manifest, products, tables
from analysis.measures import PublishedScale, run_measures
from analysis.report.elements import stored_table
from analysis.study import Study
from analysis.tables import NONE, differences
from replicate.store.plans import TABLE_FILES
from tests.analysis import made_up

NAMES = {
    "finals": made_up.TABLE1,
    "table1": made_up.TABLE1,
    "epsilon": made_up.EPSILONS,
    "epsilon_environments": made_up.EPSILONS,
    "differences": made_up.TABLE1,
}
TWO = {"hopper": "Hopper-v5", "reacher": "Reacher-v5"}


def run(name: str, study: Study, measures: pd.DataFrame, folder: Path) -> dict[str, str]:
    """The four files that a table makes."""
    folder.mkdir(exist_ok=True)
    measures.to_csv(folder / "measures.csv", index=False)
    made_up.list_beside(folder / "measures.csv")
    plan = study.folder / "plan.json"
    arguments = [str(path) for path in (plan, folder / "measures.csv", folder)]
    assert products.main([*arguments, f"tables/{name}"]) == 0
    stem = folder / "tables" / study.name / name
    *outputs, listed = (stem.with_suffix(suffix) for suffix in TABLE_FILES)
    manifest.verify(listed, outputs)
    return {path.name.removeprefix(name): path.read_text() for path in outputs}


def markdown_rows(text: str) -> list[list[str]]:
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    return [[cell.strip() for cell in line] for line in lines]


@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
@pytest.mark.parametrize("name", NAMES)
def test_every_table_at_every_number_of_seeds(tmp_path: Path, name: str, seeds: int) -> None:
    study = made_up.study(tmp_path, NAMES[name], TWO, seeds=seeds)
    measures = made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    first = run(name, study, measures, tmp_path / "a")
    assert first == run(name, study, measures, tmp_path / "b")
    header, rule, *rows = markdown_rows(first[".md"])
    assert {len(row) for row in [rule, *rows]} == {len(header)}
    assert all(label in first[".md"] for label in study.labels.values())
    assert not re.search(r"\bnan\b|\binf\b|None", first[".md"] + first[".caption.txt"])
    assert len(pd.read_csv(tmp_path / "a/tables" / study.name / f"{name}.csv"))
    assert first[".tex"].count(r"\\") == len(rows) + 1 and first[".tex"].isascii()
    one = (
        "best single run of this table" if name == "table1" else "1 = a return from the literature"
    )
    assert f"{seeds} seed" in first[".caption.txt"] and one in first[".caption.txt"]


@pytest.mark.parametrize("variants", [made_up.TABLE1, made_up.TABLE1[:1]])
def test_differences_that_there_are_none_of_are_a_table_all_the_same(
    tmp_path: Path, variants: list[dict[str, Any]]
) -> None:
    study = made_up.study(tmp_path, variants, TWO)
    measures = made_up.measures(study, 50.0).assign(u=np.nan)
    run("differences", study, measures, tmp_path)
    stem = tmp_path / "tables" / study.name / "differences"
    assert list(pd.read_csv(stem.with_suffix(".csv")).columns) == differences.COLUMNS
    assert stored_table(stem, "paper", study.name).rows


def test_runs_that_all_reach_the_same_do_not_make_a_difference_certain(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    table = differences.differences(study, made_up.measures(study, 50.0), np.random.default_rng(0))
    assert (table.difference_low < -0.005).all() and (table.difference_high > 0.005).all()


def test_an_improvement_is_the_last_variant_s_over_each_other(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    *worse, last = study.variants
    better = dict.fromkeys(worse, 40.0) | {last: 60.0}
    table = differences.differences(
        study, made_up.measures(study, made_up.noisy(better, sd=1.0)), np.random.default_rng(0)
    )
    assert set(table.reference) == {last} and set(table.variant) == {*worse}
    assert (table.difference > 0).all() and (table.improvement == 1.0).all()


OF_EACH_ENV = ("finals", "epsilon_environments")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_of_the_seeds_that_every_environment_has(tmp_path: Path, name: str) -> None:
    two = made_up.study(tmp_path / "two", NAMES[name], TWO, seeds=2)
    more = made_up.study(tmp_path / "more", NAMES[name], TWO, seeds=3)
    measures = made_up.measures(more, made_up.noisy(dict.fromkeys(more.variants, 50.0)))
    there = (measures.env == "hopper") | (measures.seed < 2)
    file = more.folder / "plan.json"
    runs = [run for run in more.plan["runs"] if run["env"] == "hopper" or run["seed"] < 2]
    file.write_text(json.dumps({**more.plan, "runs": runs}))
    uneven = run(name, more, measures[there], tmp_path / "a")
    even = run(name, two, measures[measures.seed < 2], tmp_path / "b")
    if name == "differences":  # of all seeds, adjusted together: test_summaries.py
        assert "2 to 3 seeds" in uneven[".caption.txt"]
        return
    if name not in OF_EACH_ENV:
        assert uneven == even
        return
    # Where every environment stands alone, each has all its seeds.
    assert "2 to 3 seeds" in uneven[".caption.txt"]
    all_three = made_up.study(tmp_path / "three", NAMES[name], TWO, seeds=3)
    three = run(name, all_three, measures, tmp_path / "c")
    expected = {"hopper": three, "reacher": even}
    for env, tables_of in expected.items():
        rows, alike = (
            [line for line in files[".csv"].splitlines() if line.startswith(f"{env},")]
            for files in (uneven, tables_of)
        )
        assert len(rows) >= 3 and rows == alike


def test_a_table_of_runs_as_the_pipeline_measures_them(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = run_measures(
        study, {"hopper": PublishedScale(0.0, 100.0), "reacher": PublishedScale(0.0, 1000.0)}
    )
    # Returns rise evenly to 100: half-way at 0.6 of the run on Hopper, never on Reacher.
    text = run("epsilon", study, measures, tmp_path / "out")[".md"]
    assert "| 3 of 6 there |" in text and "0.100 [0.100, 0.100]" in text
    text = run("epsilon_environments", study, measures, tmp_path / "out")[".md"]
    assert "599,654 (3 of 3 there)" in text and "never (0 of 3 there)" in text


def test_a_run_without_any_return_has_no_mean(tmp_path: Path) -> None:
    """On an environment of one's own, whose episodes are longer than the run."""
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = made_up.measures(study)
    mine = measures.env == "reacher"
    measures.loc[mine, ["untrained", "reference_return", "u"]] = math.nan
    measures.loc[mine & (measures.seed == 0), "final"] = math.nan
    text = run("finals", study, measures, tmp_path / "out")[".md"]
    rows = [line for line in text.splitlines() if "Reacher-v5" in line]
    assert rows and all(line.split("|")[3].strip() == NONE for line in rows)
    assert all(NONE not in line for line in text.splitlines() if "Hopper-v5" in line)


def test_table1_says_what_is_not_comparable(tmp_path: Path) -> None:
    study = made_up.study(tmp_path / "study", made_up.TABLE1, TWO, total_env_steps=81_920)
    files = run("table1", study, made_up.measures(study), tmp_path)
    header = markdown_rows(files[".md"])[0]
    assert any("2 of the paper's 7 environments" in cell for cell in header)
    assert "Not comparable one to one" in files[".caption.txt"]
    assert "there is no telling how others" in files[".caption.txt"]
    full = made_up.study(tmp_path / "full", made_up.TABLE1)
    assert (
        "Not comparable"
        not in run("table1", full, made_up.measures(full), tmp_path)[".caption.txt"]
    )


def test_an_empty_published_cell_for_an_objective_of_ones_own(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, [*made_up.TABLE1, made_up.clip(0.7)])
    files = run("table1", study, made_up.measures(study), tmp_path / "out")
    own = markdown_rows(files[".md"])[-1]
    assert own[:2] == ["ε = 0.7", "–"]


def test_the_chapters_words_stand_above_what_was_measured(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    text = run("epsilon", study, made_up.measures(study), tmp_path / "out")[".md"]
    header, _, words, measured, *_ = markdown_rows(text)
    widths = ["ε = 0.05", "ε = 0.1", "ε = 0.2", "ε = 0.3", "ε = 0.5"]
    assert header == ["measure", *widths, "no clip", "trend with ε"]
    assert words[1:7] == ["very small", "small", "medium", "larger", "very large", "–"]
    assert measured[0] == "KL(old‖new), nats" and measured[1].startswith("0.0100 [0.0100")
    assert measured[-1] == "rises: τ = 0.00, p = 1"


def test_names_are_escaped(tmp_path: Path) -> None:
    hostile = {**made_up.clip(0.2), "label": r"a|b_c & 100% \x"}
    study = made_up.study(tmp_path, [made_up.clip(0.1), hostile], TWO)
    files = run("finals", study, made_up.measures(study), tmp_path / "out")
    assert r"a\|b_c & 100% \x" in files[".md"]
    assert r"a$\vert$b\_c \& 100\% \textbackslash{}x" in files[".tex"]
    assert {len(row) for row in markdown_rows(files[".md"])} == {7}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.00165, 0.00057, 0.00273), "0.00165 [0.00057, 0.00273]"),
        ((-33.93, -112.0, 55.9), "−34 [−112, 56]"),
        ((12345.6, 12000.0, 12700.0), "12,346 [12,000, 12,700]"),
        ((0.5, float("nan"), float("nan")), "0.500 [too few]"),
        ((float("nan"), 0.0, 1.0), "–"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((2e-8, 1e-8, 3e-8), "2.0e−08 [1.0e−08, 3.0e−08]"),
    ],
)
def test_numbers_are_as_fine_as_the_largest_needs(
    numbers: tuple[float, float, float], text: str
) -> None:
    assert tables.with_interval(*numbers) == text


def test_numbers_that_nobody_reads_digit_by_digit_are_short() -> None:
    assert tables.number(1_154_358_689_025_021) == "1.2e15"
    assert tables.number(999_424_000) == "999,424,000"


def test_no_minus_before_zero() -> None:
    assert tables.number(-0.001, 2) == "0.00"
    assert tables.p_text(0.00001) == "< 0.001" and tables.p_text(0.0312) == "0.031"


@pytest.mark.parametrize(
    ("product", "said"),
    [
        ("tables/finalz", "tables/finalz: no such product; did you mean 'finals'?"),
        ("table/finals", "table/finals: no such product; did you mean 'tables'?"),
        ("tables/__init__", "tables/__init__: no such product; one of: differences"),
    ],
)
def test_what_does_not_exist_is_one_line(
    product: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    made_up.measures(study).to_csv(tmp_path / "measures.csv", index=False)
    made_up.list_beside(tmp_path / "measures.csv")
    given = study.folder / "plan.json", tmp_path / "measures.csv", tmp_path / "out"
    assert products.main([*map(str, given), product]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f": {said}" in line and line.startswith("error: ") and not (tmp_path / "out").exists()
