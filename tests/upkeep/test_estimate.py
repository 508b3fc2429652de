"""The estimate: what is counted, and how cores share it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.planning.cohorts import cohort_env_steps
from replicate.planning.studies import load_scale, load_study, study_runs
from replicate.upkeep import estimate
from tests.handmade import PROPERTY


@PROPERTY
@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.integers(1, 4))
def test_cores_cannot_beat_the_longest_job_nor_perfect_sharing(
    durations: list[float], cores: int
) -> None:
    seconds = estimate.makespan(durations, cores)
    least = max(max(durations), sum(durations) / cores)
    assert least <= seconds * (1 + 1e-9)
    # However they are shared out, the last begins when others have no more than their share left.
    assert seconds <= sum(durations) / cores + max(durations) * (1 + 1e-9)
    assert estimate.makespan(durations, 1) == pytest.approx(sum(durations))


def test_the_longest_job_is_first() -> None:
    assert estimate.makespan([1, 1, 1, 3], 2) == 3  # in the given order 4
    assert estimate.makespan([3, 3, 2, 2, 2], 2) == 7  # 6 could be had


def test_it_prints_runs_cohorts_hours_and_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    assert estimate.main(["scale=smoke", "studies=table1,epsilon", "cores=2"]) == 0
    text = capsys.readouterr().out
    scale = load_scale("smoke")
    runs = [p.run for name in ("table1", "epsilon") for p in study_runs(load_study(name), scale)]
    distinct = {run.digest: run for run in runs}.values()
    assert f"{len(distinct)} runs in 2 cohorts" in text
    assert f"{cohort_env_steps(list(distinct)):,} env steps" in text.replace("\n", " ")
    assert "core hours" in text and "MB" in text


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("scale=papr", "'paper'"),
        ("cores=0", "number of cores"),
        ("cores=²", "number of cores"),
        ("cores=999999", "number of cores"),
        ("study=table1", "'studies'"),
    ],
)
def test_wrong_arguments_are_one_line(
    argument: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estimate.main([argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error:") and expected in line
