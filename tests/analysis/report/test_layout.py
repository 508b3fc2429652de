"""What a browser makes of the report: on a desk, a phone and paper, and with what it runs."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.products import make
from analysis.study import Study
from analysis.tables import differences, epsilon, epsilon_environments, finals, table1
from replicate.store.plans import figures_of_plan
from tests.analysis import made_up
from tests.analysis.report import browser
from tests.analysis.report.pages import describe_runs, judged, store_product, write

PHONE, DESK = 400, 1200
A4 = 703
"""CSS pixels between margins of 12 mm."""
FOLD = 1000
"""How far down the first screen may reach on a phone, without its scrolling far."""
LONG = "naive policy gradient, tuned step size 1e-2"
TABLES = {
    "table1": [table1, finals],
    "epsilon": [epsilon, epsilon_environments, finals],
    "comparison": [differences, finals],
}
FIGURES = {
    "table1": ["table1", "learning_curves", "performance_profile"],
    "epsilon": ["epsilon", "learning_curves"],
    "comparison": ["learning_curves", "performance_profile", "update_size", "time_shares"],
}
COMPARED = [{**made_up.no_clip(), "name": "vpg_best", "label": LONG}, made_up.clip(0.2)]
VARIANTS = {"table1": made_up.TABLE1, "epsilon": made_up.EPSILONS, "comparison": COMPARED}


def made(root: Path, name: str) -> Study:
    """A study of seven environments with its real tables, and pictures as large as real ones."""
    study = made_up.study(root / f"quick/data/{name}", VARIANTS[name], name=name)
    tables = [module.__name__.rpartition(".")[2] for module in TABLES[name]]
    plan = study.folder / "plan.json"
    shown = {"figures": FIGURES[name], "tables": tables}
    plan.write_text(json.dumps({**study.plan, **shown}))
    describe_runs(study)
    measures = root / f"quick/measures/{name}.csv"
    measures.parent.mkdir(exist_ok=True)
    noise = made_up.noisy(dict.fromkeys(study.variants, 1234.5))
    made_up.measures(study, noise).to_csv(measures, index=False)
    made_up.list_beside(measures)
    for table in tables:
        make(study, pd.read_csv(measures), root / "quick", f"tables/{table}")
    for figure in figures_of_plan({**study.plan, **shown}):
        store_product(root / f"quick/figures/{name}/{figure}")
    return study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every claim and the pipeline's own tables."""
    root = tmp_path_factory.mktemp("whole")
    return write(root, [made(root, name) for name in VARIANTS], judged())


def test_nothing_is_wider_than_its_page_on_a_desk_and_a_phone(whole: Path, tmp_path: Path) -> None:
    for window in browser.measured(whole.read_text(), [PHONE, DESK], tmp_path):
        assert window["scroll"] == window["width"], window
        assert window["beyond"] == []


def test_no_column_is_cut_on_paper(whole: Path, tmp_path: Path) -> None:
    page = whole.read_text()
    # As a printer has it; the policy names the style sheet by its bytes.
    paper = page.replace("@media print", "@media all").replace(browser.POLICY, "x")
    assert paper.count("@media all") == 1
    for unfold in (False, True):
        (window,) = browser.measured(paper, [A4], tmp_path, unfold)
        assert window["scroll"] == A4 and window["beyond"] == [], window
    browser.run(tmp_path / "printer", f"--print-to-pdf={tmp_path / 'a4.pdf'}", whole.as_uri())
    assert (tmp_path / "a4.pdf").read_bytes().startswith(b"%PDF")


def test_a_wide_table_would_be_noticed(whole: Path, tmp_path: Path) -> None:
    page = whole.read_text().replace(browser.POLICY, "x")
    wide = page.replace("</main>", f"<table><tr><td>{'x' * 300}</td></tr></table></main>")
    nowrap = wide.replace("overflow-wrap: break-word", "overflow-wrap: normal")
    (window,) = browser.measured(nowrap, [DESK], tmp_path)
    assert window["scroll"] > DESK and window["beyond"]


def test_the_first_screen_answers(whole: Path, tmp_path: Path) -> None:
    phone, desk = browser.measured(whole.read_text(), [PHONE, DESK], tmp_path, unfold=False)
    assert phone["answered"] < FOLD and desk["answered"] < 900


def test_a_browser_runs_its_own_script_and_nothing_else(page: Path, tmp_path: Path) -> None:
    done = browser.run(tmp_path / "profile", "--dump-dom", page.as_uri())
    # The switch is hidden until the script shows it: without a script nobody meets a dead one.
    assert re.search(r'<p id="switch">', done.stdout)
    assert '<p id="switch" hidden' in page.read_text()
    assert "Content Security Policy" not in done.stderr, done.stderr


MOVE = """
for (const part of page.querySelectorAll("details")) part.open = true;
const steps = page.querySelector(".steps"), range = steps.querySelector("input");
const seen = () => ({
  steps: [...page.querySelectorAll("figure img")].filter((img) => img.offsetHeight
    && img.closest("figure") === steps.closest("figure")).map((img) => img.dataset.step),
  said: steps.querySelector("output").textContent,
});
found.push(seen());
range.value = 0;
range.dispatchEvent(new Event("input"));
found.push(seen());
"""


def test_a_slider_shows_one_step_and_without_a_script_there_is_none(
    page: Path, tmp_path: Path
) -> None:
    text = page.read_text()
    first, moved = browser.found(text, MOVE, tmp_path)
    assert first == {"steps": ["B"], "said": "B"} and moved == {"steps": ["A"], "said": "A"}
    script = text[text.rindex("<script>") : text.rindex("</script>")]
    (still, _) = browser.found(text.replace(script, "<script>"), MOVE, tmp_path)
    assert still == {"steps": [None], "said": ""}  # the picture itself
