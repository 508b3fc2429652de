"""The self-test, against promises that are broken on purpose."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from replicate.maths.returns import gae
from replicate.settings import RunSettings
from replicate.store.records import write_run
from replicate.upkeep import selftest
from replicate.upkeep.checks.machine import determinism
from tests.conftest import runs_of
from tests.stored import description
from tests.upkeep.checks.heard import silent

(RUN,) = runs_of("env=hopper", "total_env_steps=2048")


def gae_that_looks_aside(*arguments: Any) -> Tensor:
    advantages = gae(*arguments)
    return advantages + 1e-3 * advantages.mean(0)


def gae_that_counts() -> Any:
    numbers = itertools.count()
    return lambda *arguments: gae(*arguments) * (1 + 1e-6 * next(numbers))


def generators_that_change_places(tensors: Any, lanes: list[int]) -> Any:
    from replicate.engine.state import take_lanes_of_tensors

    taken = take_lanes_of_tensors(tensors, lanes)
    return {**taken, "generators": taken["generators"].roll(1, 0)}


PROMISES = [selftest.AGAIN, selftest.ALONE, selftest.REORDERED, selftest.RESUMED]


@pytest.mark.parametrize(
    ("algo", "broken", "replacement", "fails", "holds"),
    [
        ("ppo", None, None, [], PROMISES),
        ("trpo", None, None, [], PROMISES),
        (
            "ppo",
            "engine.cohort.gae",
            gae_that_looks_aside,
            [selftest.ALONE],
            [selftest.AGAIN, selftest.RESUMED],
        ),
        ("ppo", "engine.cohort.gae", gae_that_counts(), [selftest.AGAIN, selftest.RESUMED], []),
        (
            "trpo",
            "training.resume.take_lanes_of_tensors",
            generators_that_change_places,
            [selftest.RESUMED],
            [selftest.AGAIN, selftest.ALONE, selftest.REORDERED],
        ),
        (
            "ppo",
            "training.resume.stored",
            lambda _: ([], []),
            ["does not go on from its checkpoint"],
            [],
        ),
    ],
)
def test_the_self_test_names_the_promise_that_is_broken(
    monkeypatch: pytest.MonkeyPatch,
    algo: str,
    broken: str | None,
    replacement: Any,
    fails: list[str],
    holds: list[str],
) -> None:
    monkeypatch.setattr(selftest, "TASKS", selftest.TASKS[:1])
    monkeypatch.setattr(selftest, "VARIED", {algo: selftest.VARIED[algo]})
    monkeypatch.setattr(selftest, "BATCHED", ())
    if broken:
        monkeypatch.setattr(f"replicate.{broken}", replacement)
    findings = list(determinism(silent))
    text = "\n".join(finding.text for finding in findings)
    assert [finding.state for finding in findings] == (
        ["problem"] * len(findings) if fails else ["ok"]
    )
    assert all(promise in text for promise in fails)
    if fails:
        assert f"Hopper-v5 {algo} seed" in text
        assert not any(promise in text for promise in holds)


def test_a_difference_is_named_by_file_column_and_step(tmp_path: Path) -> None:
    row = {"update": 0, "env_step": 128, "kl": 0.5, "entropy": float("nan")}
    later = {**row, "update": 1, "env_step": 256}
    changes = {"a": later, "b": {**later, "kl": 0.25}, "c": {**later, "entropy": 1.0}}
    for name, last in changes.items():
        write_run(tmp_path / name, [], [row, last], description(RUN))
    write_run(tmp_path / "short", [], [row], description(RUN))
    a = tmp_path / "a"
    assert selftest.first_difference(a, a) is None
    for name, expected in {
        "b": "updates.parquet, kl at env step 256",
        "c": "updates.parquet, entropy at env step 256",
        "short": "updates.parquet, 2 and 1 rows",
    }.items():
        assert selftest.first_difference(a, tmp_path / name) == expected


def test_both_engines_both_recipes_and_every_batch_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def differences(runs: list[RunSettings], folder: Path, tell: Any) -> Iterator[str]:
        assert {run.seed for run in runs} == {0, 1} and len(runs) == 4 and folder.is_dir()
        yield f"{runs[0].env.id} {runs[0].algo.name} {runs[0].recipe.name}"

    monkeypatch.setattr(selftest, "differences", differences)
    monkeypatch.setattr(selftest.comparison, "first_difference", lambda env, **_: env.id)
    assert list(selftest.broken_promises(lambda _: None)) == [
        "HalfCheetah-v5",
        "Hopper-v5",
        "InvertedDoublePendulum-v5",
        "Reacher-v5",
        "Hopper-v5 ppo paper2017",
        "Hopper-v5 trpo paper2017",
        "BipedalWalker-v3 ppo modern",
        "BipedalWalker-v3 trpo modern",
    ]
