"""The report opens anywhere and trusts nothing it is given."""

import json
import math
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import coverage
from analysis.report import page as module
from analysis.report.__main__ import main
from analysis.report.elements import cut, markdown_rows
from tests.analysis.report.pages import arguments, store_claims


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "name",
    [
        "quick/measures/table1.csv",
        "quick/tables/table1/finals.md",
        "quick/tables/table1/finals.csv",
        "quick/tables/table1/finals.caption.txt",
        "quick/figures/table1/table1.svg",
        "quick/figures/table1/table1.csv",
        "figures/clipped_objective.svg",
        "figures/update_line.svg",
        "figures/update_line.slider.json",
        "figures/update_passes.svg",
        "quick/figures/forest.svg",
        "quick/figures/table1/learning_curves.svg",
        "quick/claims.json",
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
    assert main(arguments(folder, page, [plan])) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not the file that ")
    assert page.read_bytes() == before


def test_it_is_self_contained_and_escaped(page: Path) -> None:
    tags = Elements(page.read_text()).tags
    policy = [a["content"] for tag, a in tags if tag == "meta" and "http-equiv" in a]
    assert policy and str(policy[0]).startswith("default-src 'none'")
    assert "unsafe" not in str(policy[0])
    sources = [str(a[key]) for _, a in tags for key in ("src", "href") if key in a]
    assert sources and all(s.startswith(("data:", "#")) for s in sources)
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not any(key.startswith("on") or key == "style" for _, a in tags for key in a)


def test_it_shows_the_numbers_and_what_is_behind_them(page: Path) -> None:
    text = page.read_text()
    assert ">0.82</td>" in text
    assert "u = 1: the literature" in text and "3 seeds" in text
    assert "snakemake --config scale=quick" in text
    downloads = [a for tag, a in Elements(text).tags if tag == "a" and "download" in a]
    # A table; two figures of the study; the clip, an update as a line and
    # pass by pass, and the forest; behind the verdicts their table and the measures.
    assert len(downloads) == 1 + 2 + 4 + 2


@pytest.mark.parametrize(
    "altered", ["coverage.csv", "error_rates.csv", "quick/data/table1/swimmer.runs.json"]
)
def test_altered_data_is_not_reported(
    page: Path, capsys: pytest.CaptureFixture[str], altered: str
) -> None:
    file, before = page.parent / altered, page.read_bytes()
    file.write_bytes(file.read_bytes() + b" ")
    plan = page.parent / "quick/data/table1/plan.json"
    assert main(arguments(page.parent, page, [plan])) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not the file that ") and page.read_bytes() == before


def test_escaped_pipes_are_no_borders() -> None:
    assert markdown_rows("| a | b |\n|---|--:|\n| 1\\|2 | −3 |\n\ntext\n") == [
        ["a", "b"],
        ["1|2", "−3"],
    ]


def test_findings_come_first(page: Path) -> None:
    text = page.read_text()
    order = ['class="legend"', 'class="answer"', 'class="scope"', 'class="note"', "<img"]
    order += ['class="card"', "<table"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_card_says_all_of_a_verdict(page: Path) -> None:
    records = json.loads((page.parent / "quick/claims.json").read_text())
    text = page.read_text()
    for record in records:
        start = text.index(f' id="{record["claim"]}"')
        if record["verdict"] == "not run":
            assert start > text.rindex("</article>") and "<details>" in text[:start]
            continue
        card = text[start : text.index("</article>", start)]
        assert f'class="badge {record["verdict"].replace(" ", "-")}"' in card
        assert record["command"] in card
        for part in record["evidence"]:
            assert f'href="#{module.anchor(part)}"' in card
        assert ("To tell, it would take about" in card) == bool(record["seeds_needed"])
    not_run = [record["claim"] for record in records if record["verdict"] == "not run"]
    assert f"<summary>Not run here: {', '.join(not_run)}</summary>" in text


def test_a_rule_that_is_newer_than_its_runs_is_stamped(page: Path) -> None:
    records = json.loads((page.parent / "quick/claims.json").read_text())
    assert "post hoc:" not in page.read_text()
    for record in records:
        record["post_hoc"] = record["claim"] == "C5"
    store_claims(page.parent / "quick", records)
    plan = page.parent / "quick/data/table1/plan.json"
    assert main(arguments(page.parent, page, [plan])) == 0
    text = page.read_text()
    assert text.count("post hoc: the rule is newer than runs that it judges") == 1
    assert text.count(">post hoc</span>") == 1  # among the answers


def test_how_often_it_is_wrong_is_said(page: Path) -> None:
    text = page.read_text()
    assert "no step changes KL" in text and "3.4%" in text and "95.1%" in text


def test_a_caption_is_cut_after_its_first_sentence() -> None:
    assert cut("Table 1: ε = 0.2. More, and more.\n") == ("Table 1: ε = 0.2.", "More, and more.")
    assert cut("One sentence.") == ("One sentence.", "")


def test_the_coverage_of_the_repository_is_what_the_code_simulates() -> None:
    stored = pd.read_csv("results/reference/coverage.csv")
    keys = ["statistic", "method", "distribution", "environments", "seeds"]
    simulated = pd.DataFrame([asdict(case) for case in coverage.cases()])
    pd.testing.assert_frame_equal(stored[keys], simulated[keys])
    normal = stored[(stored.distribution == "normal") & (stored.method == "t")]
    assert len(normal) and normal.coverage.between(0.94, 0.97).all()
    # Every twelfth case anew, on fewer data sets of other random numbers.
    for case, row in list(zip(coverage.cases(), stored.itertuples(), strict=True))[::12]:
        again = coverage.coverage_of(case, np.random.default_rng(7), data_sets=400)
        error = math.hypot(again.monte_carlo_error, row.monte_carlo_error)
        assert again.coverage == pytest.approx(row.coverage, abs=4.5 * error + 1e-4), case


def test_two_scales_are_told_apart(page_of_two_scales: Path) -> None:
    text = " ".join(page_of_two_scales.read_text().split())
    assert "Scale <code>paper</code>: 3 seeds, 999,424 env steps a run" in text
    assert "And scale <code>ledger</code>: 3 seeds, 204,800 env steps a run" in text
    for scale, steps in (("paper", "999,424"), ("ledger", "204,800")):
        assert f"Scale {scale}, {steps} env steps a run: 3 seeds on 2 environments." in text
    assert "With 3 seeds at scale ledger and 3 seeds at scale paper, intervals" in text
