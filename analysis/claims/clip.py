"""I2 and C5: what becomes of training without the clip."""

from dataclasses import replace

import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from analysis.claims.configuration import Claim
from analysis.claims.exact import holds
from analysis.claims.parts import (
    SHARE,
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    factor_difference,
    final_difference,
    interaction,
    log_kl,
    log_kl_95,
    log_ratio_99,
    paired,
    part,
    samples,
    without_each,
)
from analysis.measures import ruined_or_collapsed

PAPER, MODERN = "comparison", "comparison_modern"
NO_CLIP, CLIP = "ppo_noclip", "ppo"
SHOWN_EPSILON, SHOWN_RATIOS = 0.2, (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def i2(data: Data, claim: Claim) -> Evidence:
    """A sample's gradient is amplified by its ratio, and reuse without a bound is unsafe."""
    sizes = [
        factor_difference(
            data,
            claim,
            PAPER,
            (NO_CLIP, CLIP),
            column,
            key=key,
            label=f"{label}, no clip over ε = 0.2",
        )
        for key, label, column in (
            ("ratio", "|r − 1| (99 % quantile)", log_ratio_99),
            ("kl", "KL of an update", log_kl),
        )
    ]
    rows = data.probes["clipped_objective"]
    amplified = (rows.unclipped_log_gradient - rows.advantage * rows.ratio).abs()
    exact = holds(
        "gradient", "a sample's gradient is its ratio times that at r = 1", amplified > 1e-9
    )
    parts = [*sizes, _more_often(data, claim), exact]
    return Evidence(parts, variants=(NO_CLIP, CLIP), tables=lambda: [_amplified(rows)])


def _amplified(rows: pd.DataFrame) -> Table:
    """How many times a sample counts in the gradient, by its ratio, without the clip and with."""
    shown = rows[rows.epsilon.eq(SHOWN_EPSILON) & rows.ratio.isin(SHOWN_RATIOS)]
    shown = shown.assign(
        free=shown.unclipped_log_gradient / shown.advantage,
        clipped=shown.gradient * shown.ratio / shown.advantage,  # in log π, as the other
    )
    good, bad = (shown[shown.advantage * sign > 0].set_index("ratio") for sign in (1, -1))
    rows = [
        [ratio, good.free[ratio], good.clipped[ratio], bad.clipped[ratio]] for ratio in good.index
    ]
    columns = ["ratio", "no clip", "ε = 0.2, A > 0", "ε = 0.2, A < 0"]
    return Table("How many times a sample counts in the gradient in log π", columns, rows)


def _more_often(data: Data, claim: Claim) -> Part:
    """Ruined or collapsed without the clip more often than with it: sign test of the pairs."""
    x, y = (
        samples(data, PAPER, variant, ruined_or_collapsed, claim.without)
        for variant in (NO_CLIP, CLIP)
    )
    label = "share of runs ruined or collapsed, no clip minus ε = 0.2"
    rises = part("share", label, "rises", paired(x, y, SHARE))
    if rises.estimate is None:
        return rises
    differences = pd.concat([x[env] - y[env] for env in rises.by_env]).dropna()
    more, fewer = int((differences > 0).sum()), int((differences < 0).sum())
    return replace(rises, p_values=(_sign_test(more, fewer), _sign_test(fewer, more)))


def _sign_test(hits: int, misses: int) -> float:
    """One-sided p of "a hit is no more likely than a miss"; ties say nothing."""
    if hits + misses == 0:
        return 1.0
    return float(stats.binomtest(hits, hits + misses, alternative="greater").pvalue)


def c5(data: Data, claim: Claim) -> Evidence:
    """What the clip is worth under both recipes, and how much larger updates are without it."""
    worth = [
        final_difference(
            data,
            claim,
            study,
            (CLIP, NO_CLIP),
            key=key,
            label=f"final, ε = 0.2 minus no clip, {key}",
            aim="above",
        )
        for key, study in (("paper2017", PAPER), ("modern", MODERN))
    ]
    kinds: list[tuple[str, str, str, Aim]] = [
        ("kl", PAPER, "paper2017", "above"),
        ("kl_modern", MODERN, "modern", "shown"),
    ]
    safe = [
        factor_difference(
            data,
            claim,
            study,
            (NO_CLIP, CLIP),
            log_kl_95,
            key=key,
            label=f"KL (95 % quantile), no clip over ε = 0.2, {recipe}",
            aim=aim,
        )
        for key, study, recipe, aim in kinds
    ]
    both = interaction(
        data,
        ((PAPER, CLIP, NO_CLIP), (MODERN, CLIP, NO_CLIP)),
        "final, what the clip is worth under paper2017 minus modern",
        claim.without,
    )
    return Evidence(
        [*worth, *safe, both],
        variants=(NO_CLIP, CLIP),
        tables=lambda: [without_each(data, [*worth, *safe])],
    )
