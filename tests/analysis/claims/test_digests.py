"""Digests: current, of margins and of what is made of data, and of nothing else."""

import functools
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analysis.claims import rules
from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.digests import digests, rounded, same_data
from analysis.claims.ledger import parts_by_test
from analysis.claims.parts import Data
from replicate.store.software import CLAIM_DIGESTS

CLAIMS, SETTINGS = load_claims(), load_ledger()

same = functools.cache(same_data)


@pytest.fixture(scope="module")
def today() -> dict[str, str]:
    return digests(CLAIMS, SETTINGS, same())


def test_the_committed_digests_are_current(today: dict[str, str]) -> None:
    """After a change of a rule on purpose: ``python -m analysis.claims.digests``."""
    assert json.loads(CLAIM_DIGESTS.read_text()) == today
    assert today.keys() == rules.RULES.keys()


def changed(
    today: dict[str, str], data: Data | None = None, **claims: dict[str, object]
) -> set[str]:
    """Claims whose digest is another with these fields, or of other data."""
    others = {name: CLAIMS[name].model_copy(update=update) for name, update in claims.items()}
    new = digests({**CLAIMS, **others}, SETTINGS, data or same())
    return {name for name in today if new[name] != today[name]}


def test_claims_say_how_many_tests_they_bring_to_their_family() -> None:
    for name, evidence in rules.gather(CLAIMS, same()).items():
        assert CLAIMS[name].tests == max(len(parts_by_test(evidence.parts)), 1), name


def test_words_do_not_count(today: dict[str, str]) -> None:
    wording = CLAIMS["E1"].wording
    assert wording is not None
    other = wording.model_copy(update={"supported": "Yes."})
    assert changed(today, E1={"statement": "Other words.", "wording": other}) == set()


def test_margins_do(today: dict[str, str]) -> None:
    assert changed(today, E1={"margins": {"factor": 1.26}}) == {"E1"}
    assert changed(today, P1={"without": ("hopper",)}) == {"P1"}


def test_a_claim_that_gets_a_rule_leaves_its_family_as_it_is(
    today: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(rules.RULES, "E2")
    before = digests(CLAIMS, SETTINGS, same())
    assert before == {name: digest for name, digest in today.items() if name != "E2"}


def test_what_is_made_of_data_counts(
    today: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.measures.EARLY_BINS", 6)
    assert changed(today, same_data()) == {"E2", "E6"}
    monkeypatch.undo()
    monkeypatch.setattr(
        "analysis.claims.ledger.JUDGED", ("above", "within", "often", "rises", "never")
    )
    assert {"P1"} <= changed(today) <= {"C6", "C9", "C10", "E2", "E4", "P1", "S3", "T3"}


def test_all_rules_have_something_to_judge_in_the_fixed_data() -> None:
    evidence = rules.gather(CLAIMS, same())
    assert evidence.keys() == rules.RULES.keys()
    for of_claim in evidence.values():
        assert all(part.estimate is not None or part.count is not None for part in of_claim.parts)
    runs = pd.concat(same().measures.values())
    assert runs.diverged.any() and runs.collapsed.any() and runs.ruined.any()
    assert not (runs.collapsed | runs.ruined).all() and np.isinf(runs.steps_to_half).any()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123449, "1.234e-01"),
        (-0.0, "0"),
        (1e-17, "0"),
        (float("nan"), "nan"),
        (12.0, "1.200e+01"),
    ],
)
def test_numbers_are_rounded(value: float, text: str) -> None:
    assert rounded(value) == text
    assert rounded(value * (1 + 1e-13)) == text


def test_the_command_takes_no_arguments() -> None:
    command = [sys.executable, "-m", "analysis.claims.digests", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
