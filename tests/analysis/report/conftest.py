import json
from pathlib import Path

import pytest

from analysis.study import Study
from replicate.store.plans import figures_of_plan
from tests.analysis import made_up
from tests.analysis.report.pages import HOSTILE, describe_runs, judged, store_product, write


def drawn_study(root: Path, name: str, **more: object) -> tuple[Study, Path]:
    """A study in which every text is hostile, with all that a report shows of it; its measures."""
    folder = root / "quick"
    envs = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}
    variants = [{**made_up.clip(0.2), "label": HOSTILE}]
    study = made_up.study(folder / f"data/{name}", variants, envs, name=name)
    plan = {**study.plan, "title": HOSTILE, "question": HOSTILE}
    plan |= {"figures": ["table1", "learning_curves"], "tables": ["finals"], **more}
    (study.folder / "plan.json").write_text(json.dumps(plan))
    describe_runs(study)
    (folder / "measures").mkdir(exist_ok=True)
    file = folder / f"measures/{name}.csv"
    made_up.measures(study).to_csv(file, index=False)
    made_up.list_beside(file)
    figures = [f"figures/{name}/{figure}" for figure in figures_of_plan(plan)]
    for product in (*figures, f"tables/{name}/finals"):
        store_product(folder / product)
    return study, file


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of one study in which every text is hostile."""
    study, file = drawn_study(tmp_path, "table1")
    records = judged({"table1": file})
    for record in records:
        record["statement"] = HOSTILE
        for part in record["parts"]:
            part["label"] = part["text"] = HOSTILE
        record["sentence"] = record["sentence"] and f"{HOSTILE} {record['sentence']}"
    return write(tmp_path, [study], records)


@pytest.fixture
def page_of_two_scales(tmp_path: Path) -> Path:
    """A report of a study at scale paper and one at scale ledger."""
    paper, _ = drawn_study(tmp_path, "table1")
    short, _ = drawn_study(tmp_path, "bound", scale="ledger", total_env_steps=204_800)
    return write(tmp_path, [paper, short], judged())
