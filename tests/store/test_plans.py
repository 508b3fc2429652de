"""Plans on disk, and the files that are made of them."""

import json
from pathlib import Path

import pytest

from replicate.messages import DataError
from replicate.store import plans


def test_many_variants_have_learning_curves_of_each_environment_alone() -> None:
    figures = ["learning_curves", "update_size"]
    plan = {"figures": figures, "envs": {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}}
    assert plans.figures_of_plan({**plan, "variants": [{}] * plans.MAX_LINES}) == figures
    assert plans.figures_of_plan({**plan, "variants": [{}] * (plans.MAX_LINES + 1)}) == [
        "hopper/learning_curves",
        "swimmer/learning_curves",
        "update_size",
    ]


@pytest.mark.parametrize("missing", plans.PLAN_KEYS)
def test_what_is_no_plan_is_one_line(tmp_path: Path, missing: str) -> None:
    plan = {key: key for key in plans.PLAN_KEYS}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    assert plans.read_plan(file) == plan
    file.write_text(json.dumps({key: plan[key] for key in plan if key != missing}))
    with pytest.raises(DataError, match=f"plan.json: no plan of a study .it has no '{missing}'"):
        plans.read_plan(file)
