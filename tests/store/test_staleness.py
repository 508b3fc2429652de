"""The one definition of staleness, on made-up tables of traces."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from replicate.messages import DataError
from replicate.settings import RunSettings
from replicate.store import staleness
from replicate.store.staleness import (
    CPU_CLASS,
    PANEL_COLUMNS,
    TRACE_COLUMNS,
    Answer,
    Kind,
    command,
    compare,
    cpu_class,
    kind_of,
    label,
    rows_like,
    versions_digest,
)
from tests.conftest import runs_of

VERSIONS = {"torch": "2.13.0+cpu", "mujoco": "3.17.0"}
HERE = {"code_digest": "a" * 64, "versions": VERSIONS}
CLASS = {"cpu": "Intel(R) one", "simd": "AVX2", "mkl_cbwr": "AVX2", "device": "cpu"}
OLD = {**CLASS, "code_digest": "b" * 64, "versions": VERSIONS, "commit": "c0ffee" * 6}

PPO = ("algo=ppo", "env=hopper")
ROWS = {
    "clip": PPO,
    "none": (*PPO, "algo.objective=none"),
    "modern": (*PPO, "recipe=modern"),
    "cart_pole": ("algo=ppo", "env=cart_pole"),
    "trpo": ("algo=trpo", "env=hopper"),
}


def run_of(*overrides: str) -> RunSettings:
    (run,) = runs_of(*overrides)
    return run


PANEL = {name: kind_of(run_of(*overrides)) for name, overrides in ROWS.items()}


def likes(*overrides: str) -> set[str]:
    return rows_like(kind_of(run_of(*overrides)), PANEL)


def test_a_run_depends_on_the_rows_that_do_what_it_does() -> None:
    assert likes(*PPO, "algo.clip_epsilon=0.3", "seed=7", "recipe.name=mine") == {"clip"}
    assert likes(*PPO, "algo.objective=none") == {"none"}
    assert likes("algo=trpo_baselines", "env=hopper") == {"trpo"}


def test_an_environment_without_a_row_depends_on_the_rows_of_all() -> None:
    assert likes("algo=ppo", "env=walker2d") == {"clip", "cart_pole"}
    assert likes(*PPO, "env.kwargs.healthy_reward=2.0") == {"clip", "cart_pole"}


def test_options_that_no_row_combines_depend_on_all_rows_of_the_algorithm() -> None:
    both = likes(*PPO, "algo.objective=none", "recipe=modern")
    assert both == {"clip", "none", "modern", "cart_pole"}


def test_an_option_that_is_in_no_row_depends_on_none() -> None:
    assert likes(*PPO, "algo.target_kl=0.01") == set()
    assert likes(*PPO, "recipe.value_clip=true") == set()


def write(file: Path, columns: Iterable[str], rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Tables":
    monkeypatch.setattr(staleness, "TABLE", tmp_path / "traces.csv")
    monkeypatch.setattr(staleness, "PANEL", tmp_path / "panel.csv")
    monkeypatch.setattr(staleness, "made_by", lambda: HERE)
    made = Tables()
    made.add("a", dict.fromkeys(ROWS, "1"))
    return made


class Tables:
    """Traces as ``replicate.upkeep.traces`` writes them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def add(
        self, code: str, traces: dict[str, str], versions: dict[str, str] = VERSIONS, **cpu: str
    ) -> None:
        where = dict(zip(CPU_CLASS, cpu_class({**CLASS, **cpu}), strict=True))
        common = {**where, "lock": "", "versions": versions_digest(versions)}
        for name, trace in traces.items():
            row = {"row": name, "settings": name, "code": code * 12, "trace": trace}
            self.rows.append({**common, **row})
        write(staleness.TABLE, TRACE_COLUMNS, self.rows)
        listed = [
            {
                "row": name,
                "settings": name,
                "algorithm": kind.algorithm,
                "environment": kind.environment,
                "options": " ".join(sorted(kind.options)),
            }
            for name, kind in PANEL.items()
        ]
        write(staleness.PANEL, PANEL_COLUMNS, listed)
        staleness.forget()


@pytest.fixture(autouse=True)
def _no_tables_of_others() -> Any:
    staleness.forget()
    yield
    staleness.forget()


def asked(made: dict[str, Any], *overrides: str) -> Answer:
    return compare(made, [run_of(*(overrides or PPO)).model_dump(mode="json")])


def test_what_is_written_is_read_again(tables: Tables) -> None:
    assert staleness.panel() == PANEL


def test_identical_software_is_the_same_whatever_is_known(tables: Tables) -> None:
    staleness.TABLE.unlink()
    staleness.forget()
    for dirty in (False, True):
        assert asked({**HERE, "simd": "NEON", "dirty": dirty}).same == "same"
    # A build of a version is that version: both are of one lock file.
    assert asked({**HERE, "versions": {**VERSIONS, "torch": "2.13.0"}}).same == "same"


def test_equal_traces_are_the_same_and_another_one_tells_the_runs_that_it_is_of(
    tables: Tables,
) -> None:
    tables.add("b", {**dict.fromkeys(ROWS, "1"), "none": "2"})
    for dirty in (False, True):
        old = {**OLD, "dirty": dirty}
        assert asked(old).same == "same"
        assert asked(old, "algo=trpo", "env=hopper").same == "same"
        other = asked(old, *PPO, "algo.objective=none")
        assert other.same == "other" and other.why.endswith("with another trace of none")
        # Lanes of one checkpoint.
        runs = [run_of(*PPO), run_of(*PPO, "algo.objective=none")]
        assert compare(old, [run.model_dump(mode="json") for run in runs]).same == "other"


def test_other_packages_with_equal_traces_are_the_same_software(tables: Tables) -> None:
    versions = {**VERSIONS, "mujoco": "3.16.0"}
    old = {**CLASS, "code_digest": "a" * 64, "versions": versions}
    answer = asked(old)
    assert answer.same == "unknown" and "other package versions (mujoco 3.16.0)" in answer.why
    tables.add("a", {"clip": "1", "none": "2"}, versions=versions)
    assert asked(old).same == "same"
    assert asked(old, *PPO, "algo.objective=none").same == "other"


def test_code_that_is_not_in_the_table_is_not_known_and_its_commit_finds_out(
    tables: Tables,
) -> None:
    answer = asked(OLD)
    assert answer == Answer(
        "unknown", "other training code (bbbbbbbbbbbb), not known here", "c0ffee" * 6
    )
    assert command([answer, answer]) == "python -m replicate traces c0ffeec0ffee"
    dirty = asked({**OLD, "dirty": True})
    assert dirty.commit is None and "with uncommitted changes" in dirty.why


def test_traces_are_compared_on_one_class_of_cpu(tables: Tables) -> None:
    """Those of the old code on one and of the present on another say nothing."""
    tables.add("b", dict.fromkeys(ROWS, "1"), simd="NEON")
    answer = asked(OLD)
    assert answer.same == "unknown"
    # It traces the present code and that of the run where it is given.
    assert command([answer]) == "python -m replicate traces c0ffeec0ffee"


@pytest.mark.parametrize("cpu", [{"simd": "NEON"}, {"cpu": "AMD one"}])
def test_what_the_own_class_of_cpu_has_not_traced_another_tells(
    tables: Tables, cpu: dict[str, str]
) -> None:
    tables.add("a", dict.fromkeys(ROWS, "3"), **cpu)
    tables.add("b", {**dict.fromkeys(ROWS, "3"), "none": "4"}, **cpu)
    assert asked(OLD).same == "same"
    assert asked(OLD, *PPO, "algo.objective=none").same == "other"
    # The own class knows better.
    tables.add("b", {**dict.fromkeys(ROWS, "2"), "none": "1"})
    assert asked(OLD).same == "other"
    assert asked(OLD, *PPO, "algo.objective=none").same == "same"


def test_a_version_that_two_classes_of_cpu_have_traced_stands_between(tables: Tables) -> None:
    """The present code is traced on a new machine, an old one on the machine before it."""
    between = {**dict.fromkeys(ROWS, "3"), "none": "4"}
    tables.add("c", dict.fromkeys(ROWS, "1"))
    tables.add("c", dict.fromkeys(ROWS, "3"), simd="NEON")
    assert asked(OLD).same == "unknown"
    tables.add("b", between, simd="NEON")
    assert asked(OLD).same == "same"
    answer = asked(OLD, *PPO, "algo.objective=none")
    assert answer.same == "unknown" and answer.commit is not None


def test_the_maker_of_a_cpu_is_part_of_its_class() -> None:
    def maker(name: str) -> str:
        return cpu_class({**CLASS, "cpu": name})[0]

    assert maker("Intel(R) Xeon(R) Processor") == maker("Intel(R) Core(TM) i7-1185G7") == "Intel"
    assert maker("AMD EPYC") == "AMD" and maker("Apple M2") == "Apple" and maker("") == ""


def test_a_panel_that_grows_makes_nothing_stale(tables: Tables) -> None:
    tables.add("b", {"clip": "1"})
    assert asked(OLD).same == "same"
    assert asked(OLD, "algo=trpo", "env=hopper").same == "unknown"


def test_every_part_of_a_run_counts(tables: Tables) -> None:
    tables.add("b", {"clip": "1"})
    tables.add("d", {"clip": "2"})
    part = {"update": 3, "code_digest": "b" * 64}
    assert asked({**CLASS, **HERE, "resumed": [part]}).same == "same"
    other = {**part, "code_digest": "d" * 64}
    assert asked({**CLASS, **HERE, "resumed": [part, other]}).same == "other"
    new = {**part, "code_digest": "e" * 64}
    assert asked({**CLASS, **HERE, "resumed": [new, part]}).same == "unknown"
    assert asked({**CLASS, **HERE, "resumed": [new, other]}).same == "other"


@pytest.mark.parametrize(
    "made",
    [{}, {"code_digest": None, "versions": "x"}, {"code_digest": 3, "versions": {"torch": 2}}],
)
def test_what_says_little_of_itself_is_not_known(tables: Tables, made: dict[str, Any]) -> None:
    assert asked(made).same == "unknown"


def test_settings_of_another_schema_are_not_known(tables: Tables) -> None:
    assert "settings of before" in compare(OLD, [{"env": "hopper"}]).why


def test_files_are_named_alike_by_software_that_does_the_same(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.add("b", {**dict.fromkeys(ROWS, "1"), "none": "2"})
    clip, none = [run_of(*PPO)], [run_of(*PPO, "algo.objective=none")]
    here = label(CLASS, clip), label(CLASS, none)
    monkeypatch.setattr(staleness, "made_by", lambda: OLD)
    assert label(CLASS, clip) == here[0] and label(CLASS, none) != here[1]
    monkeypatch.setattr(staleness, "made_by", lambda: {**OLD, "code_digest": "d" * 64})
    assert label(CLASS, clip) not in (here[0], here[1])


def test_a_damaged_table_is_one_line(tables: Tables) -> None:
    staleness.TABLE.write_text(staleness.TABLE.read_text()[:-6])
    staleness.forget()
    with pytest.raises(DataError, match=r"traces\.csv: damaged"):
        asked(OLD)


def test_numbers_make_no_kind_and_what_they_switch_does() -> None:
    def kind(*overrides: str) -> Kind:
        return kind_of(run_of(*overrides))

    assert kind("algo.learning_rate=1", "algo.num_steps=64") == kind()
    assert kind("recipe.max_gradient_norm=0.5") != kind()
    assert kind("algo.bound=max") != kind()
