"""The sections of studies: what is in sight, and what is folded away."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.products import make
from analysis.report import studies
from analysis.report.elements import grid
from analysis.study import Study, read_study
from analysis.summaries.epsilon import chapter_epsilon
from replicate.store.plans import figures_of_plan
from tests.analysis import made_up
from tests.analysis.report.pages import store_product

ENVS = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}


def test_table_1_shows_published_beside_ours() -> None:
    header = ["setting", "published (7 environments, 3 seeds)", "ours (3 seeds)"]
    header += ["ours − published", "ours − ours of “ε = 0.2”", "runs"]
    table = grid("Table 1. More.", header, [["no clip", "−0.39", "0.1 [0, 0.2]", "0.5", "–", "9"]])
    view = studies.table1(table)
    assert view.header == ["setting", "published", "ours", "ours − ours of “ε = 0.2”"]
    assert view.rows == [["no clip", "−0.39", "0.1 [0, 0.2]", "–"]]
    assert view.caption == "Table 1. Published: 7 environments, 3 seeds. Ours: 3 seeds."


def test_its_extent_says_where_there_are_more_seeds(tmp_path: Path) -> None:
    whole = made_up.study(tmp_path, made_up.EPSILONS, ENVS)
    shown = {"figures": ["learning_curves", "performance_profile"], "tables": ["table1"]}
    study = Study(whole.folder, {**whole.plan, **shown})
    even = "Scale paper, 999,424 env steps a run: 3 seeds on 2 environments."
    assert studies.extent(study) == even
    runs = [run for run in study.plan["runs"] if run["env"] == "hopper" or run["seed"] < 2]
    uneven = Study(study.folder, {**study.plan, "runs": runs})
    assert studies.extent(uneven) == (
        "Scale paper, 999,424 env steps a run: 3 seeds on 1 environment, 2 on Swimmer-v5. "
        "Table 1 and performance profiles have the 2 seeds that all of them have; claims have "
        "all, so that their numbers differ a little."
    )
    alone = Study(study.folder, {**uneven.plan, "figures": ["learning_curves"], "tables": []})
    assert studies.extent(alone).endswith("3 seeds on 1 environment, 2 on Swimmer-v5.")
    # As many on each, but not the same.
    runs = [run for run in study.plan["runs"] if run["seed"] != (run["env"] == "hopper")]
    unlike = Study(study.folder, {**study.plan, "runs": runs})
    assert "have the 1 seed that all of them have" in studies.extent(unlike)


def made(
    folder: Path, figures: list[str], variants: list[dict[str, Any]] = made_up.EPSILONS
) -> Study:
    study = made_up.study(folder / "epsilon", variants, ENVS, name="epsilon")
    plan = folder / "epsilon/plan.json"
    shown = {"figures": figures, "tables": ["epsilon", "finals", "own"]}
    plan.write_text(json.dumps({**study.plan, **shown}))
    kl = {variant: float(place) for place, variant in enumerate(study.variants)}
    table = made_up.measures(study, 50.0, mean_log_kl=made_up.noisy(kl, sd=0.01))
    make(study, table, folder, "tables/epsilon")
    for product in ("tables/epsilon/finals", "tables/epsilon/own"):
        store_product(folder / product)
    own = folder / "tables/epsilon/own.md"
    own.write_text(own.read_text().replace("environment", "setting"))
    made_up.list_beside(*own.parent.glob("own.*[!n]"))
    for figure in figures_of_plan({**study.plan, **shown}):
        store_product(folder / "figures/epsilon" / figure)
    return read_study(plan)


def test_the_chapters_words_stand_beside_what_was_measured(tmp_path: Path) -> None:
    section = studies.section("quick", tmp_path, made(tmp_path, ["epsilon", "learning_curves"]))
    assert section.chapter is not None
    assert [claim for _, claim in section.chapter.columns] == ["E1", "E2", "E3", "E4"]
    words = chapter_epsilon().set_index("epsilon")
    rows = dict(section.chapter.rows)
    assert list(rows) == [*(f"ε = {width:g}" for width in made_up.WIDTHS), "no clip"]
    for width in made_up.WIDTHS:
        told = [word for word, _ in rows[f"ε = {width:g}"]]
        assert told == [words.loc[width, c] for c in ("update_size", "speed", "stability", "use")]
    (_, [(name, numbers)]), _, (_, stability), _ = rows["ε = 0.2"]
    # The geometric mean of exp(2 ± 0.01), with its interval.
    assert name == "KL(old‖new), nats" and numbers.startswith("7.39 [")
    assert stability[0] == ("ruined or collapsed", "0 of 6 [0.00, 0.46]")
    assert [word for word, _ in rows["no clip"]] == ["–"] * 4


def test_claims_on_epsilon_say_nothing_of_another_study(tmp_path: Path) -> None:
    study = made(tmp_path, ["epsilon"])
    own = Study(study.folder, {**study.plan, "study": "my_epsilon"})
    columns = studies.chapter(
        own, tmp_path / "tables/epsilon/epsilon.csv", grid("", [], [])
    ).columns
    assert [claim for _, claim in columns] == [""] * 4


@pytest.mark.parametrize("first", ["epsilon", "learning_curves"])
def test_the_first_figure_is_in_sight_and_tables_by_environment_are_not(
    tmp_path: Path, first: str
) -> None:
    order = sorted(["epsilon", "learning_curves"], key=lambda figure: figure != first)
    section = studies.section("quick", tmp_path, made(tmp_path, order))
    curves = ["learning curves"]
    in_sight = [picture.name for picture in (*section.pictures, *section.curves)]
    folded = [picture.name for picture in (*section.folded_pictures, *section.folded_curves)]
    assert (in_sight, folded) == (
        (["epsilon"], curves) if first == "epsilon" else (curves, ["epsilon"])
    )
    assert [table.name for table in section.tables] == ["own"]
    assert [table.name for table in section.folded_tables] == ["finals"]


def test_curves_of_many_variants_are_a_picture_an_environment(tmp_path: Path) -> None:
    many = [*made_up.EPSILONS, made_up.clip(0.15)]
    section = studies.section(
        "quick", tmp_path, made(tmp_path, ["epsilon", "learning_curves"], many)
    )
    assert [(picture.name, picture.env) for picture in section.folded_curves] == [
        (f"learning curves on {env_id}", env_id) for env_id in ENVS.values()
    ]
