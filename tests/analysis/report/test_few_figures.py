"""A study that shows little: its section is made all the same."""

import json
from pathlib import Path

import pytest

from analysis.report.studies import section
from analysis.study import read_study
from tests.analysis import made_up
from tests.analysis.report.pages import store_product


@pytest.mark.parametrize(
    ("figures", "tables"), [(["table1"], ["finals"]), (["table1"], []), ([], ["finals"]), ([], [])]
)
def test_a_study_without_learning_curves_has_a_section(
    tmp_path: Path, figures: list[str], tables: list[str]
) -> None:
    folder = tmp_path / "quick"
    made = made_up.study(
        folder / "data/mine", [made_up.clip(0.2)], {"hopper": "Hopper-v5"}, name="mine"
    )
    plan = made.folder / "plan.json"
    plan.write_text(json.dumps({**made.plan, "figures": figures, "tables": tables}))
    for product in (*(f"figures/mine/{f}" for f in figures), *(f"tables/mine/{t}" for t in tables)):
        store_product(folder / product)
    shown = section("quick", folder, read_study(plan))
    assert len(shown.pictures) == len(figures) and not shown.curves and not shown.folded_curves
    assert len(shown.tables) + len(shown.folded_tables) == len(tables)
