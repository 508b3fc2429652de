"""E4: for what each width of the clip is said to serve."""

from dataclasses import replace
from math import isnan
from statistics import mean
from typing import NamedTuple

from analysis.claims.changes import course, first_changed_update, level_before
from analysis.claims.configuration import Claim
from analysis.claims.epsilon import VARIANTS
from analysis.claims.parts import (
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    U,
    chosen_elsewhere,
    final_u,
    paired,
    part,
    reached_u,
    samples,
)
from analysis.measures import WORST


class Use(NamedTuple):
    """A use, the width that is named for it, and the study that tries it."""

    key: str
    name: str
    variant: str
    study: str


USES = (
    Use("tuning", "fine-tuning", "clip_0.05", "fine_tuning"),
    Use("simple", "simple tasks", "clip_0.3", "simple_tasks"),
    Use("suite", "the control suite", "clip_0.2", "epsilon"),
)


def e4(data: Data, claim: Claim) -> Evidence:
    """The named ε is not worse than the best of the others, and better than the worst of them.

    Best and worst are chosen on other seeds than those that they are compared on.  Fine-tuning is
    tried where a policy was trained: on environments where the mean u of all runs had reached the
    claim's ``trained`` before the change.
    """
    of_use = {use: _parts(data, claim, use) for use in USES}
    judged = [use for use, parts in of_use.items() if any(part.by_env for part in parts)]
    return Evidence(
        [part for parts in of_use.values() for part in parts],
        variants=tuple(VARIANTS) if judged else (),
        judged={use.study: {env for part in of_use[use] for env in part.by_env} for use in judged},
        tables=lambda: [table for use in USES for table in _changed(data, use)],
    )


def _parts(data: Data, claim: Claim, use: Use) -> list[Part]:
    others = [variant for variant in VARIANTS if variant != use.variant]
    untrained = _untrained(data, claim, use.study)
    without = (*claim.without, *untrained)
    values = samples(data, use.study, use.variant, final_u, without)
    reached = reached_u(data, use.study, VARIANTS, without)
    width = use.variant.removeprefix("clip_")
    kinds: list[tuple[str, Aim, bool]] = [("best", "not below", False), ("worst", "above", True)]
    absent = "not judged: too little had been learnt" if untrained else "not run"
    parts = [
        part(
            f"{use.key}_{which}",
            f"final on {use.name}, ε = {width} minus the {which} other (chosen on other seeds)",
            aim,
            paired(values, chosen_elsewhere(data, use.study, others, without, worst=worst), U),
            claim.margins["u"],
            reached,
        )
        for which, aim, worst in kinds
    ]
    return [replace(each, absent=absent) for each in parts]


def _untrained(data: Data, claim: Claim, study: str) -> list[str]:
    """Environments whose policies had not learnt enough when something changed."""
    levels = _levels_before(data, study)
    return [env for env, level in levels.items() if level < claim.margins["trained"]]


def _changed(data: Data, use: Use) -> list[Table]:
    """How far policies were before something changed, and at the end, whether judged or not."""
    levels = _levels_before(data, use.study)
    if not levels:
        return []
    measures = data.measures[use.study]
    rows: list[list[object]] = []
    for env, level in levels.items():
        here = measures[measures.env == env]
        finals = [float(final_u(here[here.variant == variant]).mean()) for variant in VARIANTS]
        rows.append([env, level, *finals])
    labels = [f"final u, {data.studies[use.study].labels[variant]}" for variant in VARIANTS]
    columns = ["environment", "mean u before the change", *labels]
    return [Table(f"Policies of {use.name} before the change and at the end", columns, rows)]


def _levels_before(data: Data, study_name: str) -> dict[str, float]:
    """Environment → mean u of all runs before something changed; none where nothing does."""
    study = data.studies.get(study_name)
    if study is None or not any("change" in variant for variant in study.plan["variants"]):
        return {}
    runs = data.measures[study_name].dropna(subset="u")
    levels: dict[str, list[float]] = {}
    for run in runs.itertuples():
        start = first_changed_update(study, run.variant) * study.num_steps
        level = level_before(*course(study, run), start)
        # A run that had diverged by then counts as the worst.
        held = WORST if isnan(level) else max(level, WORST)
        levels.setdefault(run.env, []).append(held)
    return {env: mean(of_env) for env, of_env in levels.items()}
