"""A few of the kills of ``tests.interruption.kill``, one per algorithm, with real processes."""

import random

import pytest

from tests.interruption.kill import Case, interrupted

UPDATES = 24


@pytest.mark.parametrize(
    "case",
    [
        Case("ppo, adaptive KL", "hopper", "modern", UPDATES),
        Case("trpo", "bipedal_walker", "modern", UPDATES),
        Case("vpg", "lunar_lander", "paper2017", UPDATES),
    ],
    ids=lambda case: case.kind,
)
def test_a_killed_cohort_goes_on_to_the_same_bytes(case: Case) -> None:
    outcome = interrupted(case, random.Random(1))
    assert outcome.identical
    assert 0 < outcome.resumed < outcome.num_updates == UPDATES
