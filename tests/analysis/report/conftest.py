import json
from pathlib import Path

import pytest

from tests.analysis import made_up
from tests.analysis.report.pages import HOSTILE, describe_runs, judged, store_product, write


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of one study in which every text is hostile."""
    folder = tmp_path / "quick"
    envs = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}
    variants = [{**made_up.clip(0.2), "label": HOSTILE}]
    study = made_up.study(folder / "data/table1", variants, envs, name="table1")
    plan = {**study.plan, "title": HOSTILE, "question": HOSTILE}
    plan |= {"figures": ["table1", "learning_curves"], "tables": ["finals"]}
    (study.folder / "plan.json").write_text(json.dumps(plan))
    describe_runs(study)
    (folder / "measures").mkdir()
    file = folder / "measures/table1.csv"
    made_up.measures(study).to_csv(file, index=False)
    made_up.list_beside(file)
    figures = ["learning_curves", "table1", *(f"{env}/learning_curves" for env in envs)]
    for product in (*(f"figures/table1/{f}" for f in figures), "tables/table1/finals"):
        store_product(folder / product)
    records = judged({"table1": file})
    for record in records:
        record["statement"] = HOSTILE
        for part in record["parts"]:
            part["label"] = part["text"] = HOSTILE
        record["sentence"] = record["sentence"] and f"{HOSTILE} {record['sentence']}"
    return write(tmp_path, [study], records)
