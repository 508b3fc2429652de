"""C3, S2, S3, T3: what becomes of a method when one thing about it is changed."""

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.parts import (
    FACTOR,
    KL_RANGE,
    Aim,
    Data,
    Evidence,
    Part,
    Table,
    U,
    difference,
    final_u,
    log_ratio_99,
    paired,
    part,
    samples,
)

BOUND, EPOCHS, EARLY_STOPPING = "bound", "epochs", "early_stopping"
EXACTNESS = "trpo_exactness"
TARGETS = {"tight": 0.01, "loose": 0.03}


def log_kl_max(runs: pd.DataFrame) -> pd.Series:
    """Logarithm of the largest KL of an update."""
    return np.log(runs.kl_max.fillna(np.inf).clip(*KL_RANGE))


def c3(data: Data, claim: Claim) -> Evidence:
    """With max in the place of min ratios are larger and the return is lower."""
    ratio = difference(
        data,
        BOUND,
        ("max", "min"),
        log_ratio_99,
        key="ratio",
        label="|r − 1| (99 % quantile), max over min",
        aim="above",
        unit=FACTOR,
        margin=float(np.log(claim.margins["factor"])),
    )
    worth = _final(data, claim, BOUND, ("min", "max"), "final", "final, min minus max", "above")
    return Evidence([ratio, worth])


def s2(data: Data, claim: Claim) -> Evidence:
    """Ten epochs do better than one under the clip; thirty do worse than ten without it."""
    gain = ("clip_10", "clip_1"), "gain", "final under the clip, 10 epochs minus 1"
    harm = ("none_10", "none_30"), "harm", "final without a clip, 10 epochs minus 30"
    parts = [
        _final(data, claim, EPOCHS, pair, key, label, "above") for pair, key, label in (gain, harm)
    ]
    return Evidence([*parts, _interaction(data)])


def _interaction(data: Data) -> Part:
    """What thirty epochs are worth over ten, with the clip minus without it."""
    worth = []
    for kind in ("clip", "none"):
        x, y = (samples(data, EPOCHS, f"{kind}_{n}", final_u) for n in (30, 10))
        worth.append({env: x[env] - y[env] for env in x if env in y})
    label = "final, 30 epochs minus 10, with the clip minus without it"
    return part("interaction", label, "shown", paired(worth[0], worth[1], U))


def s3(data: Data, claim: Claim) -> Evidence:
    """A target keeps the largest KL of a run down, and its return is not worse."""
    parts = []
    for word, target in TARGETS.items():
        name = f"target_{target:g}"
        parts += [
            difference(
                data,
                EARLY_STOPPING,
                ("clip", name),
                log_kl_max,
                key=f"kl_{word}",
                label=f"largest KL, without a target over {target:g}",
                aim="above",
                unit=FACTOR,
                margin=float(np.log(claim.margins["factor"])),
                test=name,
            ),
            _final(
                data,
                claim,
                EARLY_STOPPING,
                (name, "clip"),
                f"final_{word}",
                f"final, target {target:g} minus none",
                "not below",
                test=name,
            ),
        ]
    return Evidence(parts)


def t3(data: Data, claim: Claim) -> Evidence:
    """Solving more exactly is not better: each default is not below its exacter relative."""
    pairs = (
        ("cg", ("trpo", "cg_40"), "10 products of conjugate gradient minus 40"),
        ("damping", ("trpo", "damping_0.01"), "damping 0.1 minus 0.01"),
        ("data", ("fifth", "trpo"), "Fisher matrix of every fifth sample minus of all"),
    )
    parts = [
        _final(data, claim, EXACTNESS, pair, key, f"final, {label}", "not below")
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
        "median KL of a full step / δ (1: the quadratic model is exact)",
        "median improvement / what the linear model promises",
        "accepted share",
        "mean backtracks",
    ]
    return Table("TRPO's approximations", columns, rows)


def _final(
    data: Data,
    claim: Claim,
    study: str,
    variants: tuple[str, str],
    key: str,
    label: str,
    aim: Aim,
    test: str = "",
) -> Part:
    return difference(
        data,
        study,
        variants,
        final_u,
        key=key,
        label=label,
        aim=aim,
        margin=claim.margins["u"],
        test=test,
    )
