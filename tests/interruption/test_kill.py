"""One of the kills of ``tests.interruption.kill``, with real processes.

That every algorithm goes on to the same bytes is in ``tests.training.test_resume``.
"""

import random

from tests.interruption.kill import Case, interrupted

UPDATES = 24


def test_a_killed_cohort_goes_on_to_the_same_bytes() -> None:
    case = Case("ppo, adaptive KL", "hopper", "modern", UPDATES)
    outcome = interrupted(case, random.Random(1))
    assert outcome.identical
    assert 0 < outcome.resumed < outcome.num_updates == UPDATES
