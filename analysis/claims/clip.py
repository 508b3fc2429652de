"""I2, C5 and C10: what becomes of training without the clip."""

from dataclasses import replace

import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from analysis.claims.configuration import Claim
from analysis.claims.exact import holds
from analysis.claims.parts import (
    FACTOR,
    SHARE,
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    U,
    chosen_elsewhere,
    difference,
    factor_difference,
    final_difference,
    final_u,
    interaction,
    levels_of,
    log_kl,
    log_kl_95,
    log_ratio_99,
    mean_differences,
    of_one_length,
    on_each,
    paired,
    part,
    reached_u,
    samples,
    without_each,
)
from analysis.measures import ruined_or_collapsed

PAPER, MODERN = "comparison", "comparison_modern"
NO_CLIP, CLIP = "ppo_noclip", "ppo"
STEP_SIZES, USUAL = "no_clip_step_size", "clip"
SIZES = ("3e-5", "1e-4", "3e-4")
VALUE_STEP_SIZE = "no_clip_value_step_size"
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
            ("kl", "KL of an update, geometric mean", log_kl),
        )
    ]
    rows = data.probes["clipped_objective"]
    amplified = (rows.unclipped_log_gradient - rows.advantage * rows.ratio).abs()
    exact = holds(
        "gradient", "a sample's gradient is its ratio times that at r = 1", amplified > 1e-9
    )
    parts = [*sizes, _more_often(data, claim), exact]
    return Evidence(
        parts,
        variants=(NO_CLIP, CLIP),
        tables=lambda: [_amplified(rows), *(on_each(data, size) for size in sizes if size.by_env)],
    )


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
        tables=lambda: [
            levels_of(data, (PAPER, MODERN), claim.without),
            without_each(data, [*worth, *safe]),
        ],
    )


def c10(data: Data, claim: Claim) -> Evidence:
    """Without its clip, at its best step size on other seeds, PPO is not below PPO with it."""
    without = {size: f"none_{size}" for size in SIZES}
    best = chosen_elsewhere(data, STEP_SIZES, tuple(without.values()), claim.without)
    usual = samples(data, STEP_SIZES, USUAL, final_u, claim.without)
    own = part(
        "own",
        "final, no clip at the step size best on other seeds minus ε = 0.2",
        "not below",
        paired(best, usual, U),
        claim.margins["u"],
        reached_u(data, STEP_SIZES, (*without.values(), USUAL), claim.without),
    )
    each = [
        final_difference(
            data,
            claim,
            STEP_SIZES,
            (variant, USUAL),
            key=variant,
            label=f"final, no clip at {size} minus ε = 0.2",
            aim="shown",
        )
        for size, variant in without.items()
    ]
    sizes = [
        difference(
            data,
            STEP_SIZES,
            (variant, USUAL),
            log_kl_95,
            key=f"kl_{size}",
            label=f"KL (95 % quantile), no clip at {size} over ε = 0.2",
            aim="shown",
            unit=FACTOR,
            without=claim.without,
        )
        for size, variant in without.items()
    ]
    return Evidence(
        [own, *each, *sizes],
        tables=lambda: [
            levels_of(data, (STEP_SIZES,), claim.without),
            without_each(data, [own]),
            *_value_step_size(data, claim),
        ],
    )


def _value_step_size(data: Data, claim: Claim) -> list[Table]:
    """What the value function's step size is worth without the clip, and what is left then.

    Returns:
        No table where study ``no_clip_value_step_size`` was not run, or at another length.

    """
    alike = of_one_length(data, (STEP_SIZES, VALUE_STEP_SIZE))
    if VALUE_STEP_SIZE not in data.studies or not alike:
        return []

    def finals(variant: str) -> dict[str, pd.Series]:
        return samples(data, VALUE_STEP_SIZE, variant, final_u, claim.without)

    small = ("3e-5", "1e-4")
    free = [f"none_{size}{value}" for size in small for value in ("", "_value_3e-4")]
    usual, slow_clip = finals(USUAL), finals("clip_1e-4_value_3e-4")
    pairs = {
        f"no clip at {size}: value function at 3e-4 minus at {size}": (
            finals(f"none_{size}_value_3e-4"),
            finals(f"none_{size}"),
        )
        for size in small
    }
    pairs |= {
        "value function at 3e-4: no clip minus ε = 0.2, both at 1e-4": (
            finals("none_1e-4_value_3e-4"),
            slow_clip,
        ),
        "ε = 0.2: 1e-4 with the value function at 3e-4 minus 3e-4": (slow_clip, usual),
        "no clip at the sizes best on other seeds minus ε = 0.2 at 3e-4": (
            chosen_elsewhere(data, VALUE_STEP_SIZE, free, claim.without),
            usual,
        ),
    }
    title = "A step size for the value function alone"
    return [
        levels_of(data, (VALUE_STEP_SIZE,), claim.without, f"{title}: what runs end at"),
        mean_differences(title, pairs),
    ]
