"""C3, C6, C9, S1–S3, T3: what becomes of a method when one thing about it is changed."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.epsilon import VARIANTS
from analysis.claims.parts import (
    FACTOR,
    Data,
    Evidence,
    Table,
    U,
    chosen_elsewhere,
    factor_difference,
    final_difference,
    final_u,
    interaction,
    levels_of,
    log_kl_max,
    log_ratio_99,
    mean_differences,
    on_each,
    paired,
    part,
    reached_u,
    samples,
)
from analysis.measures import LAST_SHARE
from analysis.summaries.update_passes import (
    kl_where_stopped,
    last_over_largest,
    paths,
    stopped_after,
)

BOUND, EPOCHS, EARLY_STOPPING = "bound", "epochs", "early_stopping"
CLIPPED, MIN, MAX = "clipped", "min", "max"
PENALTY = "quadratic_penalty"
HIGHER, HIGHER_OVER_CLIP = "clip_higher", ("clip_higher", "clip")
EXACTNESS, SCHEDULE = "trpo_exactness", "clip_schedule"
CONSTANT = "clip_0.2"
SCHEDULES = {"linear_to_0": "0.3 to 0", "linear_to_0.05": "0.3 to 0.05"}
TARGETS = {"tight": 0.01, "loose": 0.03}
STOP_FACTOR = 1.5
"""Passes end above so many times the target (``target_kl_factor`` of ``conf/algo/ppo.yaml``)."""
SHOWN_PASSES = (1, 3, 10)


def c3(data: Data, claim: Claim) -> Evidence:
    """With max in the place of min ratios are larger and the return is lower."""
    ratio = factor_difference(
        data,
        claim,
        BOUND,
        (MAX, MIN),
        log_ratio_99,
        key="ratio",
        label="|r − 1| (99 % quantile), max over min",
    )
    worth = final_difference(
        data, claim, BOUND, (MIN, MAX), key="final", label="final, min minus max", aim="above"
    )
    return Evidence([ratio, worth], variants=(MAX, MIN), tables=lambda: _of_the_min(data, claim))


def _of_the_min(data: Data, claim: Claim) -> list[Table]:
    """What the min does on either side: beside the clipped term alone."""
    if BOUND not in data.studies or CLIPPED not in data.studies[BOUND].variants:
        return []
    finals = {
        variant: samples(data, BOUND, variant, final_u, claim.without)
        for variant in (MIN, CLIPPED, MAX)
    }
    apart = factor_difference(
        data,
        claim,
        BOUND,
        (CLIPPED, MIN),
        log_ratio_99,
        key="clipped_ratio",
        label="|r − 1| (99 % quantile), the clipped term alone over min",
        aim="shown",
    )
    pulls_back = "min minus the clipped term alone: what has left to the side that costs comes back"
    stops = "the clipped term alone minus max: what has left to the side that pays rests"
    pairs = {
        pulls_back: (finals[MIN], finals[CLIPPED]),
        stops: (finals[CLIPPED], finals[MAX]),
    }
    return [
        levels_of(data, (BOUND,), claim.without),
        mean_differences("What the min does on either side", pairs),
        on_each(data, apart),
    ]


def c6(data: Data, claim: Claim) -> Evidence:
    """SPO's ratios are nearer to 1 than those under the clip, and its return is not lower."""
    ratio = factor_difference(
        data,
        claim,
        PENALTY,
        ("clip", "spo"),
        log_ratio_99,
        key="ratio",
        label="|r − 1| (99 % quantile), clip over SPO",
    )
    worth = final_difference(
        data,
        claim,
        PENALTY,
        ("spo", "clip"),
        key="final",
        label="final, SPO minus clip",
        aim="not below",
    )
    return Evidence([ratio, worth])


def c9(data: Data, claim: Claim) -> Evidence:
    """With a higher upper end the entropy ends higher, and the return is not lower."""
    higher, usual = (_late_entropy(data, variant, claim.without) for variant in HIGHER_OVER_CLIP)
    entropy = part(
        "entropy",
        "exp(entropy) at the end, higher upper end over clip",
        "above",
        paired(higher, usual, FACTOR),
        math.log(claim.margins["factor"]),
    )
    worth = final_difference(
        data,
        claim,
        HIGHER,
        HIGHER_OVER_CLIP,
        key="final",
        label="final, higher upper end minus clip",
        aim="not below",
    )
    return Evidence([entropy, worth])


def _late_entropy(
    data: Data, variant: str, without: Iterable[str]
) -> dict[str, "pd.Series[float]"]:
    """Environment → entropy of the policy in nats by seed, mean of the last tenth of updates.

    Environments with a run that has none there are left out, as in :func:`samples`.
    """
    finals = samples(data, HIGHER, variant, final_u, without)
    if not finals:
        return {}
    study = data.studies[HIGHER]
    rows = study.updates[study.updates.variant == variant]
    late = rows[rows.env_step > (1 - LAST_SHARE) * study.total_env_steps]
    by_env = {}
    for env, final in finals.items():
        entropy = late[late.env == env].groupby("seed").entropy.mean().reindex(final.index)
        if np.isfinite(entropy).all():
            by_env[env] = entropy
    return by_env


def s1(data: Data, claim: Claim) -> Evidence:
    """ε that falls does better than 0.2, and than the constant that is best on other seeds."""
    best = chosen_elsewhere(data, SCHEDULE, VARIANTS, claim.without)
    parts = []
    for name, course in SCHEDULES.items():
        key = name.replace(".", "_")
        usual = f"final, ε from {course} minus constant 0.2"
        parts.append(
            final_difference(
                data,
                claim,
                SCHEDULE,
                (name, CONSTANT),
                key=key,
                label=usual,
                aim="above",
                test=name,
            )
        )
        values = samples(data, SCHEDULE, name, final_u, claim.without)
        reached = reached_u(data, SCHEDULE, (name, *VARIANTS), claim.without)
        label = f"final, ε from {course} minus the constant best on other seeds"
        differences = paired(values, best, U)
        margin = claim.margins["u"]
        parts.append(part(f"{key}_best", label, "above", differences, margin, reached, name))
    return Evidence(parts)


def s2(data: Data, claim: Claim) -> Evidence:
    """Ten epochs do better than one under the clip; thirty do worse than ten without it."""
    gain = ("clip_10", "clip_1"), "gain", "final under the clip, 10 epochs minus 1"
    harm = ("none_10", "none_30"), "harm", "final without a clip, 10 epochs minus 30"
    parts = [
        final_difference(data, claim, EPOCHS, pair, key=key, label=label, aim="above")
        for pair, key, label in (gain, harm)
    ]
    # Where ten epochs have ruined a policy, thirty cannot do much more.
    parts += [
        final_difference(
            data,
            claim,
            EPOCHS,
            (few, "none_10"),
            key=few,
            label=f"final without a clip, {epochs} minus 10",
            aim="shown",
        )
        for few, epochs in (("none_1", "1 epoch"), ("none_3", "3 epochs"))
    ]
    label = "final, 30 epochs minus 10, with the clip minus without it"
    pairs = (EPOCHS, "clip_30", "clip_10"), (EPOCHS, "none_30", "none_10")
    compared = "clip_1", "clip_10", "clip_30", "none_1", "none_3", "none_10", "none_30"
    both = interaction(data, pairs, label, claim.without)
    return Evidence([*parts, both], variants=compared)


def s3(data: Data, claim: Claim) -> Evidence:
    """A target keeps the largest KL of a run down, and its return is not worse."""
    parts = []
    for word, target in TARGETS.items():
        name = f"target_{target:g}"
        parts += [
            factor_difference(
                data,
                claim,
                EARLY_STOPPING,
                ("clip", name),
                log_kl_max,
                key=f"kl_{word}",
                label=f"largest KL, without a target over {target:g}",
                test=name,
            ),
            final_difference(
                data,
                claim,
                EARLY_STOPPING,
                (name, "clip"),
                key=f"final_{word}",
                label=f"final, target {target:g} minus none",
                aim="not below",
                test=name,
            ),
        ]
    passes = data.probes.get("update_passes")
    return Evidence(parts, tables=lambda: [] if passes is None else [_passes(passes)])


def _passes(record: pd.DataFrame) -> Table:
    """How the KL of an update comes about, pass by pass, and what a stop leaves of it.

    Over the updates of the record, not over all of a run.
    """
    clipped, free = (paths(record, method) for method in ("ppo", "ppo_noclip"))
    rows: list[list[object]] = []
    for env, path in clipped.groupby("env", sort=False):
        without, end = free.loc[[env]], path.iloc[:, -1]
        row = [env, len(path), *(path[k].median() for k in SHOWN_PASSES)]
        row += [without.iloc[:, -1].median()]
        row += [float(last_over_largest(each).median()) for each in (path, without)]
        for target in TARGETS.values():
            limit = STOP_FACTOR * target
            stopped = kl_where_stopped(path, limit)
            early = stopped_after(path, limit) < path.columns[-1]
            row += [
                float(early.mean()),
                _geometric(end[early] / stopped[early]) if early.any() else None,
                _geometric(_largest_of_seeds(end) / _largest_of_seeds(stopped)),
            ]
        rows.append(row)
    columns = [
        "environment",
        "updates",
        *(f"KL after pass {k}, median" for k in SHOWN_PASSES),
        "without the clip, after the last",
        "KL after the last pass / largest on the way, median",
        "the same without the clip",
    ]
    for target in TARGETS.values():
        columns += [
            f"share that a target of {target:g} ends before the last pass",
            f"KL of these after all passes / where {target:g} ends them, geometric mean",
            f"largest KL of a seed, all passes / ended by {target:g}, geometric mean",
        ]
    return Table("The KL of single updates, pass by pass", columns, rows)


def _geometric(values: pd.Series) -> float:
    return float(np.exp(np.log(values).mean()))


def _largest_of_seeds(kl: pd.Series) -> pd.Series:
    return kl.groupby("seed").max()


def t3(data: Data, claim: Claim) -> Evidence:
    """Solving more exactly is not better: each default is not below its exacter relative."""
    pairs = (
        ("cg", ("trpo", "cg_40"), "10 products of conjugate gradient minus 40"),
        ("damping", ("trpo", "damping_0.01"), "damping 0.1 minus 0.01"),
        ("data", ("fifth", "trpo"), "Fisher matrix of every fifth sample minus of all"),
    )
    parts = [
        final_difference(
            data, claim, EXACTNESS, pair, key=key, label=f"final, {label}", aim="not below"
        )
        for key, pair, label in pairs
    ]
    return Evidence(parts, tables=lambda: [_approximations(data)])


def _approximations(data: Data) -> Table:
    """How far TRPO's step is from what it is computed to be, over all updates of a variant."""
    study = data.studies[EXACTNESS]
    rows: list[list[object]] = []
    for variant in study.variants:
        made = study.updates[study.updates.variant == variant]
        taken = made[made.step_accepted == 1]
        delta = next(v["algo"]["max_kl"] for v in study.plan["variants"] if v["name"] == variant)
        full = taken[taken.backtracks == 0]
        rows.append(
            [
                study.labels[variant],
                len(made),
                float(made.cg_residual.median()),
                float((made.backtracks > 0).mean()),
                float((full.kl / delta).median()),
                float((taken.improvement / taken.expected_improvement).median()),
                float(made.step_accepted.mean()),
                float(taken.backtracks.mean()),
            ]
        )
    columns = [
        "variant",
        "updates",
        "median residual of conjugate gradient, relative",
        "share whose full step was refused",
        "median KL of the full steps that were taken / δ (1: the quadratic model is exact)",
        "median improvement / what the linear model promises",
        "accepted share",
        "mean backtracks",
    ]
    return Table("TRPO's approximations", columns, rows)
