"""What the files of a report are called."""

from pathlib import Path

from replicate.planning.layout import Layout


def test_what_the_reports_of_the_repository_are_called(tmp_path: Path) -> None:
    plans = tmp_path / "reference/plans"
    assert Layout(tmp_path).references == {}
    for scale, expected in (
        ("smoke", {}),
        ("quick", {"reference": "quick"}),
        ("paper", {"reference": "paper", "reference_quick": "quick"}),
    ):
        (plans / scale).mkdir(parents=True)
        (plans / scale / "table1.json").write_text("{}")
        assert Layout(tmp_path).references == expected
    layout = Layout(tmp_path)
    assert layout.plan_file("reference", "table1") == plans / "paper/table1.json"
    assert layout.plan_file("reference_quick", "table1") == plans / "quick/table1.json"
