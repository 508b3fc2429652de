"""The sections of the studies: tables, pictures and learning curves that the pipeline made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.report.elements import Picture, Table, narrowed, stored_picture, stored_table
from analysis.study import Study
from analysis.summaries import OVERALL
from analysis.summaries.epsilon import GROUPS, ROWS, chapter_epsilon
from analysis.tables import NONE
from analysis.tables.epsilon import cell
from replicate.messages import counted
from replicate.store.plans import figures_of_plan

CURVES = "learning_curves"
BESIDE = "ours − ours of"
"""How the heading of Table 1's column of differences begins."""
IN_SIGHT = {
    "update_size": ("KL(old‖new), nats",),
    "speed": ("u, first quarter",),
    "stability": ("ruined or collapsed", "spread over seeds / level"),
}
"""What the claims on ε are judged by; the other measures are in the folded table."""
JUDGES = {"update_size": "E1", "speed": "E2", "stability": "E3", "use": "E4"}
"""Claims on the groups of measures of study ``JUDGED``; they say nothing of another."""
JUDGED = "epsilon"
POOLED = {
    "table1": "Table 1",
    "epsilon": "tables and pictures of ε",
    "performance_profile": "performance profiles",
}
"""Figures and tables that pool runs of all environments, of which each has the same seeds."""


@dataclass(frozen=True)
class Chapter:
    """The ε table: the chapter's words and what was measured, side by side.

    Args:
        columns: heading of each group, and the claim that judges it, if one does.
        rows: label of ε and, per group, the chapter's word and what was measured (name, numbers).
        table: the pipeline's own.

    """

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[tuple[str, list[tuple[str, str]]]]]]
    table: Table


@dataclass(frozen=True)
class Section:
    """What the page shows of a study.

    Args:
        extent: scale, seeds, length and environments of its runs.
        chapter: the ε table.
        tables, pictures, curves: in sight.
        folded_tables, folded_pictures, folded_curves: folded away.

    """

    name: str
    title: str
    question: str
    extent: str
    chapter: Chapter | None
    tables: list[Table]
    pictures: list[Picture]
    curves: list[Picture]
    folded_tables: list[Table]
    folded_pictures: list[Picture]
    folded_curves: list[Picture]


def section(name: str, folder: Path, study: Study) -> Section:
    """What the report ``name``, whose products lie in ``folder``, shows of a study.

    The first figure of the study is in sight, and its tables over all environments; the rest is
    folded away.
    """
    drawn, made = folder / "figures" / study.name, folder / "tables" / study.name
    tables = {t: stored_table(made / t, name, study.name) for t in study.plan["tables"]}
    short = [VIEWS[t](table) for t, table in tables.items() if t in VIEWS]
    whole = [t for n, t in tables.items() if n not in VIEWS and n != "epsilon"]
    pictures: list[Picture] = []
    curves: list[Picture] = []
    for figure in figures_of_plan(study.plan):
        *envs, kind = figure.split("/")
        label = study.env_labels[envs[0]] if envs else None
        picture = stored_picture(drawn / figure, name, study.name, env=label)
        (curves if kind == CURVES else pictures).append(picture)
    curves_first = study.plan["figures"][:1] == [CURVES]
    shown = 0 if curves_first else 1
    return Section(
        study.name,
        study.plan["title"],
        study.plan["question"],
        extent(study),
        chapter(study, made / "epsilon.csv", tables["epsilon"]) if "epsilon" in tables else None,
        [*short, *(table for table in whole if not table.by_environment)],
        pictures[:shown],
        curves if curves_first else [],
        [
            *(table for n, table in tables.items() if n in VIEWS),
            *(table for table in whole if table.by_environment),
        ],
        pictures[shown:],
        [] if curves_first else curves,
    )


def extent(study: Study) -> str:
    """How much of a study was run."""
    of_seeds: dict[int, list[str]] = {}
    for env in study.envs:
        of_seeds.setdefault(len(study.on(env).seeds), []).append(study.env_labels[env])
    (most, envs), *others = sorted(of_seeds.items(), reverse=True)
    where = [f"{counted(most, 'seed')} on {counted(len(envs), 'environment')}"]
    where += [f"{few} on {', '.join(names)}" for few, names in others]
    told = f"Scale {study.plan['scale']}, {study.total_env_steps:,} env steps a run: "
    told += ", ".join(where) + "."
    products = {*study.plan["figures"], *study.plan["tables"]}
    pooled = " and ".join(name for product, name in POOLED.items() if product in products)
    if pooled and len(study.seeds) < most:
        told += (
            f" {pooled[0].upper()}{pooled[1:]} have the {counted(len(study.seeds), 'seed')} that "
            "all of them have; claims have all, so that their numbers differ a little."
        )
    return told


def table1(table: Table) -> Table:
    """Setting, published, ours and ours minus ours of the setting that was published as the best.

    What the headings have in brackets goes into the caption.
    """
    beside = [i for i, cell in enumerate(table.header) if cell.startswith(BESIDE)]
    view = narrowed(table, [0, 1, 2, *beside])
    parts = [cell.partition(" (") for cell in view.header]
    told = [f"{name.capitalize()}: {rest.removesuffix(')')}." for name, _, rest in parts if rest]
    caption = " ".join([view.caption, *told])
    return replace(view, header=[name for name, _, _ in parts], caption=caption)


VIEWS: Mapping[str, Callable[[Table], Table]] = {"table1": table1}
"""What of a wide table is in sight."""


def chapter(study: Study, file: Path, table: Table) -> Chapter:
    """The chapter's words beside what was measured over all environments.

    Args:
        study: with one variant per ε.
        file: the numbers of the pipeline's ε table.
        table: the same as people read it, a row per measure.

    """
    data = pd.read_csv(file)
    data = data[(data.env == OVERALL) & data.variant.isin(study.variants)].astype({"runs": int})
    words = chapter_epsilon().set_index("epsilon")
    columns = {**GROUPS, "use": "Use"}
    by_label = {(row.group, row.label): row for row in ROWS}
    rows = []
    for variant in study.variants:
        of_variant = data[data.variant == variant]
        epsilon = float(of_variant.epsilon.iloc[0])
        cells = []
        for group in columns:
            word = str(words.loc[epsilon, group]) if epsilon in words.index else NONE
            measured = [
                (label, cell(by_label[group, label], ours))
                for label in IN_SIGHT.get(group, ())
                for ours in of_variant[of_variant.measure == label].itertuples()
            ]
            cells.append((word, measured))
        rows.append((study.labels[variant], cells))
    judges = JUDGES if study.name == JUDGED else {}
    return Chapter(
        [(title, judges.get(group, "")) for group, title in columns.items()], rows, table
    )


def sections(name: str, folder: Path, studies: list[Study]) -> list[Section]:
    """Of all studies: those that rebuild a table first."""
    order = sorted(studies, key=lambda study: not set(study.plan["tables"]) & {"table1", "epsilon"})
    order.sort(key=lambda study: "table1" not in study.plan["tables"])
    return [section(name, folder, study) for study in order]
