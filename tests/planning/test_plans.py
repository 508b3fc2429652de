"""Plans: what is recorded of the rules of claims."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from replicate.planning.pipeline import pipeline
from replicate.planning.plans import claims_of
from replicate.store.software import CLAIM_DIGESTS


def a_plan(runs: str, **claims: str | None) -> dict[str, Any]:
    entries = [{"run_id": run} for run in runs]
    return {"runs": entries, "claims": claims} if claims else {"runs": entries}


NOW = {"E1": "new", "P1": "new"}


@pytest.mark.parametrize(
    ("before", "others", "begun", "recorded"),
    [
        (None, [], "", NOW),
        (a_plan("abc", E1="old", P1="old"), [], "", NOW),  # nothing was trained
        (a_plan("abc", E1="old", P1="new"), [], "a", {"E1": "old", "P1": "new"}),
        (a_plan("abc", E1="old"), [], "a", {"E1": "old", "P1": None}),  # P1 came after the runs
        (a_plan("ab"), [], "a", {"E1": None, "P1": None}),  # a plan of before there were digests
        (None, [], "a", {"E1": None, "P1": None}),  # runs that no plan knows
        # A larger scale has runs of a smaller one.
        (None, [a_plan("ab", E1="new", P1="old")], "ab", {"E1": "new", "P1": None}),
        (None, [a_plan("ab", **NOW), a_plan("c", **NOW)], "abc", NOW),
        (None, [a_plan("ab", **NOW)], "abc", {"E1": None, "P1": None}),
        # Its own runs are all new: what was recorded for the former ones says nothing.
        (a_plan("xyz", E1="old", P1="old"), [a_plan("xyz", E1="old", P1="old")], "x", NOW),
    ],
)
def test_what_was_recorded_of_a_claim_first_stays(
    before: dict[str, Any] | None,
    others: list[dict[str, Any]],
    begun: str,
    recorded: dict[str, str | None],
) -> None:
    plans = [*others, *([] if before is None else [before])]
    digests = claims_of(a_plan("abc"), before, plans, lambda run: run in begun, NOW)
    assert digests == recorded


def test_runs_in_a_checkpoint_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"scale": "smoke", "studies": "epsilon"}
    first = pipeline(config, True, tmp_path)
    recorded = first.plan("smoke", "epsilon")["claims"]
    assert recorded == json.loads(CLAIM_DIGESTS.read_text())
    changed = tmp_path / "digests.json"
    changed.write_text(json.dumps({**recorded, "E1": "another", "L1": "new"}))
    monkeypatch.setattr("replicate.planning.pipeline.CLAIM_DIGESTS", changed)
    checkpoint = SimpleNamespace(run_ids=[Path(first.jobs[0].stamps[0]).name])
    with monkeypatch.context() as patched:
        patched.setattr("replicate.planning.plans.stored", lambda store: ([checkpoint], []))
        again = pipeline(config, True, tmp_path).plan("smoke", "epsilon")["claims"]
    assert again == {**recorded, "L1": None}
    # Without it nothing was begun, and the rules of today stand before the runs.
    fresh = pipeline(config, True, tmp_path).plan("smoke", "epsilon")["claims"]
    assert fresh == {**recorded, "E1": "another", "L1": "new"}
