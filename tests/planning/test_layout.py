"""What the files of a report are called."""

from pathlib import Path

from replicate.planning.layout import Layout


def test_what_the_reports_of_the_repository_are_called(tmp_path: Path) -> None:
    plans = tmp_path / "reference/plans"

    def named() -> dict[str, list[str]]:
        return {name: list(studies) for name, studies in Layout(tmp_path).references.items()}

    assert named() == {}
    for scale, study, expected in (
        ("smoke", "table1", {}),
        ("quick", "table1", {"reference": ["table1"]}),
        ("ledger", "bound", {"reference": ["bound"], "reference_quick": ["table1"]}),
        ("paper", "table1", {"reference": ["bound", "table1"], "reference_quick": ["table1"]}),
    ):
        (plans / scale).mkdir(parents=True)
        (plans / scale / f"{study}.json").write_text("{}")
        assert named() == expected
    (plans / "ledger/table1.json").write_text("{}")
    layout = Layout(tmp_path)
    # What was run at two scales of a report is shown at the first.
    assert layout.plan_file("reference", "table1") == plans / "paper/table1.json"
    assert layout.plan_file("reference", "bound") == plans / "ledger/bound.json"
    assert layout.plan_file("reference_quick", "table1") == plans / "quick/table1.json"
