"""E1, E2, E3, E5 and E6: the clip range ε."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from analysis.claims.configuration import Claim
from analysis.claims.no_clipping_row import no_clipping_row
from analysis.claims.parts import (
    FACTOR,
    SHARE,
    Aim,
    Column,
    Data,
    Evidence,
    Part,
    Table,
    difference,
    early_u,
    factor_difference,
    final_difference,
    final_u,
    log_kl,
    often,
    paired,
    part,
    samples,
)
from analysis.measures import LEAST_SPREAD_U, ruined_or_collapsed
from analysis.significance import stratified_logrank
from analysis.statistics import Array, Estimate
from analysis.study import Study
from analysis.summaries.table1 import published_table1, table1_summary

STUDY, TABLE1 = "epsilon", "table1"
NO_CLIPPING = "no_clipping"
WIDTHS = (0.05, 0.1, 0.2, 0.3, 0.5)
STEPS = tuple(itertools.pairwise(WIDTHS))
PERMUTATIONS = 9_999


def variant(width: float) -> str:
    """Name of a clip range in ``conf/study``."""
    return f"clip_{width:g}"


VARIANTS = tuple(variant(width) for width in WIDTHS)


def e1(data: Data, claim: Claim) -> Evidence:
    """Mean log KL grows with every step of ε."""
    return Evidence(
        [
            factor_difference(
                data,
                claim,
                STUDY,
                (variant(wide), variant(narrow)),
                log_kl,
                key=f"step_{place}",
                label=f"KL of an update, ε = {wide:g} over {narrow:g}",
            )
            for place, (narrow, wide) in enumerate(STEPS, 1)
        ],
        variants=VARIANTS,
    )


def e2(data: Data, claim: Claim) -> Evidence:
    """First-quarter u grows up to 0.3, and 0.5 is not slower than 0.2."""
    margins = claim.margins
    whole = _early_gain(data, claim, (0.3, 0.05), "whole", "above", margins["u"])
    steps = [
        _early_gain(data, claim, (wide, narrow), f"step_{i}", "above", 0.0)
        for i, (narrow, wide) in enumerate(STEPS[:3], 1)
    ]
    fast = _early_gain(data, claim, (0.5, 0.2), "fast", "not below", margins["not_slower"])
    parts = [whole, *steps, fast]
    return Evidence(parts, variants=VARIANTS, tables=lambda: _half_way(data, claim))


def _early_gain(
    data: Data, claim: Claim, widths: tuple[float, float], key: str, aim: Aim, margin: float
) -> Part:
    """First-quarter u at the first ε minus that at the second."""
    wide, narrow = widths
    return difference(
        data,
        STUDY,
        (variant(wide), variant(narrow)),
        early_u,
        key=key,
        label=f"first-quarter u, ε = {wide:g} minus {narrow:g}",
        aim=aim,
        margin=margin,
        without=claim.without,
    )


def _half_way(data: Data, claim: Claim) -> list[Table]:
    """Env steps to u = 0.5: stratified log-rank tests against ε = 0.2, and who never got there."""
    times = {
        width: samples(data, STUDY, variant(width), _steps_to_half, claim.without)
        for width in WIDTHS
    }
    base = times[0.2]
    rows = []
    for width, by_env in times.items():
        envs = [env for env in by_env if env in base]
        if not envs:
            continue
        arrays = [by_env[env].to_numpy() for env in envs]
        z, p = stratified_logrank(arrays, [base[env].to_numpy() for env in envs])
        there = int(sum(np.isfinite(values).sum() for values in arrays))
        rows.append([width, there, sum(map(len, arrays)), z, p])
    columns = ["ε", "runs half-way", "runs", "log-rank z against 0.2 (positive: sooner)", "p"]
    return [Table("Time to half-way (u = 0.5), stratified by environment", columns, rows)]


def _steps_to_half(runs: pd.DataFrame) -> "pd.Series[float]":
    return runs.steps_to_half


def e3(data: Data, claim: Claim, permutations: int = PERMUTATIONS) -> Evidence:
    """Ruin or collapse, and the spread of *final*, grow with ε; at 0.5 ruin is often."""
    unsafe, final = (_blocks(data, column, claim) for column in (ruined_or_collapsed, final_u))
    labels = (
        "share of runs ruined or collapsed, per step of ε",
        "spread of final over seeds, per step of ε",
    )
    label_often = "share of runs ruined or collapsed at ε = 0.5"
    if not unsafe or not final:
        return Evidence(
            [
                Part("share", labels[0], "rises", None),
                Part("spread", labels[1], "rises", None),
                Part("often", label_often, "often", None, claim.margins["often"]),
            ]
        )
    runs = sum(len(block) for block in unsafe.values())
    parts = [
        _trend("share", labels[0], unsafe, _mean_slope, SHARE, permutations),
        _trend("spread", labels[1], final, _spread_slope, FACTOR, permutations),
        _often(label_often, unsafe, claim),
    ]
    few = claim.margins["runs"]
    undecided = f"fewer than {few:g} runs for each ε" if runs < few else ""
    needed = math.ceil(few / len(unsafe)) if undecided else None
    hits = sum(block.sum(axis=0) for block in unsafe.values())
    of_each = ", ".join(f"{n:.0f} at {width:g}" for n, width in zip(hits, WIDTHS, strict=True))
    return Evidence(
        parts,
        undecided,
        needed,
        VARIANTS,
        judged={STUDY: list(unsafe)},
        told={"of_each": f"of {runs} runs for each ε, {of_each}"},
    )


def _blocks(data: Data, column: Column, claim: Claim) -> dict[str, Array]:
    """Environment → ``[S, K]``: seeds that every ε has, and the ε in order."""
    columns = [samples(data, STUDY, variant(w), column, claim.without) for w in WIDTHS]
    blocks = {}
    for env in columns[0]:
        if all(env in of_width for of_width in columns):
            table = pd.concat([of_width[env] for of_width in columns], axis=1).dropna()
            if len(table):
                blocks[env] = table.to_numpy(dtype=float)
    return blocks


def _slope(values: Array) -> Array:
    """Least-squares slope of ``[..., K]`` per step of ε."""
    steps = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
    slope: Array = values @ steps / (steps @ steps)
    return slope


def _mean_slope(blocks: list[Array]) -> Array:
    """Mean over environments of the slope of the mean over seeds; blocks are ``[..., S, K]``."""
    slopes: Array = np.mean([_slope(block.mean(axis=-2)) for block in blocks], axis=0)
    return slopes


def _spread_slope(blocks: list[Array]) -> Array:
    """As :func:`_mean_slope`, of the logarithm of the standard deviation over seeds."""
    spreads = [np.log(np.maximum(block.std(axis=-2, ddof=1), LEAST_SPREAD_U)) for block in blocks]
    slopes: Array = np.mean([_slope(spread) for spread in spreads], axis=0)
    return slopes


def _trend(
    key: str,
    label: str,
    blocks: Mapping[str, Array],
    statistic: Callable[[list[Array]], Array],
    unit: str,
    permutations: int,
) -> Part:
    """Does the statistic rise with ε?  Permutes ε within environment × seed."""
    seeds = [len(block) for block in blocks.values()]
    if min(seeds) < 2:
        return Part(key, label, "rises", None, absent="too few seeds")
    ends = np.cumsum(seeds)[:-1]

    def of_samples(*widths: npt.NDArray[np.float64], axis: int) -> Array:
        # Each [..., blocks]: all environments' seeds in a row.
        stacked = np.stack(widths, axis=-1)
        return statistic(np.split(stacked, ends, axis=-2))

    pooled = np.concatenate(list(blocks.values()))
    result = stats.permutation_test(
        list(pooled.T),
        of_samples,
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        alternative="greater",
        rng=np.random.default_rng(0),
        batch=1000,
    )
    null, observed = result.null_distribution, float(result.statistic)
    slack = 1e-9 * max(1.0, abs(observed))  # equal sums in another order differ in the last bits
    above = (1 + int((null >= observed - slack).sum())) / (1 + len(null))
    below = (1 + int((null <= observed + slack).sum())) / (1 + len(null))
    # Under the null its spread is that of the permutations: how many seeds it would take.
    estimate = Estimate(observed, float(null.std()), float(pooled.size), int(pooled.size), unit)
    of_each = round(len(pooled) / len(blocks))
    return Part(key, label, "rises", estimate, seeds=of_each, p_values=(above, below))


def _often(label: str, unsafe: Mapping[str, Array], claim: Claim) -> Part:
    """Ruined or collapsed runs among all at the largest ε."""
    last = np.concatenate([block[:, -1] for block in unsafe.values()])
    seeds = min(len(block) for block in unsafe.values())
    margin = claim.margins["often"]
    return often("often", label, int(last.sum()), len(last), margin, seeds, len(unsafe))


def e5(data: Data, claim: Claim) -> Evidence:
    """ε = 0.2 against each of the other ten settings of Table 1."""
    best = variant(0.2)
    study = data.studies.get(TABLE1)
    # An objective of one's own is in the table, but not among the paper's settings.
    settings = [] if study is None else study.plan["variants"]
    others = [v["name"] for v in settings if v.get("published") and v["name"] != best]
    parts = [
        final_difference(
            data,
            claim,
            TABLE1,
            (best, other),
            key=f"against_{other}",
            label=f"final, ε = 0.2 minus {study.labels[other]}",  # type: ignore[union-attr]
            aim="above",
            test=other,
        )
        for other in others
    ]
    if study is None or len(others) < claim.margins["settings"] - 1:
        return Evidence([Part("against", "ε = 0.2 against the other settings", "above", None)])
    scores = _paper_scores(data, claim)
    published = _published_scores(data, TABLE1)
    told_apart = [
        part(
            f"told_apart_{other}",
            f"score on the table’s own scale, ε = 0.2 minus {other:g}",
            "shown",
            paired(scores[best], scores[variant(other)], "score"),
            margin=abs(published[best] - published[variant(other)]),
        )
        for other in (0.1, 0.3)
        if best in scores and variant(other) in scores and variant(other) in published
    ]

    def tables() -> list[Table]:
        _, runs = _papers_settings(data)
        row = scores.get(NO_CLIPPING, {}), runs, published.get(NO_CLIPPING, math.nan)
        return [*_table1(data), *no_clipping_row(data, *row)]

    return Evidence([*parts, *told_apart], variants=(best, *others), tables=tables)


def e6(data: Data, claim: Claim) -> Evidence:
    """First-quarter u is larger at 0.3 than at 0.05, and *final* is that of ε = 0.2 for each other.

    Ends are those of a finite length: where a run is still rising, a lower one is slowness, too.
    """
    speed = _early_gain(data, claim, (0.3, 0.05), "speed", "above", claim.margins["speed"])
    usual = variant(0.2)
    ends = [
        final_difference(
            data,
            claim,
            STUDY,
            (variant(width), usual),
            key=f"end_{width:g}".replace(".", "_"),
            label=f"final, ε = {width:g} minus 0.2",
            aim="within",
        )
        for width in WIDTHS
        if variant(width) != usual
    ]
    return Evidence([speed, *ends], variants=VARIANTS)


def _published_scores(data: Data, name: str) -> dict[str, float]:
    """Variant → its number in the PPO paper."""
    scores = published_table1(data.published["ppo_table1"])
    return {
        entry["name"]: scores[entry["published"]]
        for entry in data.studies[name].plan["variants"]
        if entry.get("published") in scores
    }


def _papers_settings(data: Data) -> tuple[Study, pd.DataFrame]:
    """The study with the paper's settings and the seeds of every environment; its measures."""
    whole, measures = data.studies[TABLE1], data.measures[TABLE1]
    variants = [variant for variant in whole.plan["variants"] if variant.get("published")]
    names, seeds = {variant["name"] for variant in variants}, whole.seeds
    runs = [
        entry
        for entry in whole.plan["runs"]
        if entry["variant"] in names and entry["seed"] in seeds
    ]
    study = Study(whole.folder, {**whole.plan, "variants": variants, "runs": runs})
    return study, measures[measures.seed.isin(seeds) & measures.variant.isin(names)]


def _paper_scores(data: Data, claim: Claim) -> dict[str, dict[str, pd.Series]]:
    """Variant → environment → score by seed; 0 untrained, 1 best run of the table."""
    _, runs = _papers_settings(data)
    runs = runs[~runs.env.isin(claim.without)]
    reach = runs.groupby("env").score.transform("max") - runs.untrained
    reach = reach.where(reach > 0)  # no scale where no run is better than the untrained policy
    scaled = runs.assign(scaled=(runs.score - runs.untrained) / reach).dropna(subset="scaled")
    return {
        str(name): {str(env): part.set_index("seed").scaled for env, part in rows.groupby("env")}
        for name, rows in scaled.groupby("variant")
    }


def _table1(data: Data) -> list[Table]:
    """For each row whether the published number is one that the paper's statistic might have been.

    The paper's statistic of 3 seeds, drawn from ours many times; empty with no more than 3.
    """
    study, runs = _papers_settings(data)
    if runs.empty or runs.score.isna().any():
        return []
    literature = published_table1(data.published["ppo_table1"])
    made = table1_summary(study, runs, literature, np.random.default_rng(0))
    rows = [
        [
            row.label,
            row.ours,
            row.redrawn_low,
            row.redrawn_high,
            row.published,
            None
            if math.isnan(row.redrawn_low) or math.isnan(row.published)
            else row.redrawn_low <= row.published <= row.redrawn_high,
        ]
        for row in made.itertuples()
    ]
    columns = [
        "setting",
        "score",
        "low (3 seeds drawn from ours)",
        "high",
        "published",
        "published is inside",
    ]
    return [Table("The paper’s statistic", columns, rows), _order(made)]


def _order(made: pd.DataFrame) -> Table:
    """Spearman's rank correlation of our scores and the published ones; largest distance."""
    known = made[made.published.notna()]
    groups = {
        "all settings": known,
        "without no clipping": known[known.variant != NO_CLIPPING],
        "penalties alone": known[known.variant.str.contains("kl")],
    }
    rows: list[list[Any]] = []
    for group, members in groups.items():
        if len(members) > 2:
            apart = members.difference.abs()
            rank = float(stats.spearmanr(members.ours, members.published).statistic)
            farthest = members.label[apart.idxmax()]
            rows.append([group, len(members), rank, apart.max(), farthest])
    columns = ["of", "settings", "rank correlation", "largest distance", "at"]
    return Table("Ours against published scores", columns, rows)
