"""C1, C2, C7, C8, I1, N1: claims that a probe computes exactly; a row of its record is a case."""

import pandas as pd

from analysis.claims.configuration import Claim
from analysis.claims.parts import Data, Evidence, Part, Table

KLS = {"k1": "k1 = −log r", "k3": "k3 = r − 1 − log r"}
CLIPS = {"none": "no clip", "low": "lower end", "high": "upper end", "both": "both ends"}


def never(key: str, label: str, violated: "pd.Series[bool]") -> Part:
    """No row may violate it, and there is a row."""
    if violated.empty:
        return Part(key, label, "never", None)
    return Part(key, label, "never", None, count=(int(violated.sum()), len(violated)))


def holds(key: str, rule: str, violated: "pd.Series[bool]") -> Part:
    """:func:`never`, of a label that says what is to hold: what is counted are exceptions."""
    return never(key, f"{rule}; exceptions", violated)


def sides(rows: pd.DataFrame) -> tuple["pd.Series[bool]", "pd.Series[bool]"]:
    """Where the objective is to be flat, and where it is not; the kinks are in neither."""
    beyond = (rows.ratio - 1) * rows.advantage.apply(lambda a: 1 if a > 0 else -1)
    tie = (beyond - rows.epsilon).abs() < 1e-9
    return (beyond > rows.epsilon) & ~tie, (beyond < rows.epsilon) & ~tie


def c1(data: Data, claim: Claim) -> Evidence:
    """Flat above 1 + ε for A > 0 and below 1 − ε for A < 0; elsewhere the un-clipped objective."""
    rows = data.probes["clipped_objective"]
    flat, _ = sides(rows)
    tolerance = claim.margins["tolerance"]
    parts = []
    for sign, name in ((1, "A > 0"), (-1, "A < 0")):
        side = rows.advantage * sign > 0
        levels = rows[side & flat].groupby(["advantage", "epsilon"]).clipped
        spread = levels.transform("max") - levels.transform("min")
        where = "above 1 + ε" if sign > 0 else "below 1 − ε"
        key = "good" if sign > 0 else "bad"
        parts.append(holds(key, f"flat {where} for {name}", spread > tolerance))
    # Everywhere else, the kink included, it is the un-clipped objective.
    same = (rows.clipped - rows.unclipped).abs()[~flat]
    parts.append(holds("elsewhere", "elsewhere the un-clipped objective", same > tolerance))
    return Evidence(parts)


def c2(data: Data, claim: Claim) -> Evidence:
    """The gradient is zero exactly there; elsewhere it is that of the un-clipped objective."""
    rows = data.probes["clipped_objective"]
    flat, rest = sides(rows)
    tolerance = claim.margins["tolerance"]
    wrong_side = rest & ((rows.ratio - 1) * rows.advantage < -rows.epsilon * rows.advantage.abs())
    pulls = rows.gradient * rows.advantage > tolerance
    return Evidence(
        [
            holds(
                "flat", "zero where the objective is flat", rows.gradient[flat].abs() > tolerance
            ),
            holds("elsewhere", "not zero anywhere else", rows.gradient[rest].abs() <= tolerance),
            holds("back", "on the wrong side it pulls back", ~pulls[wrong_side]),
        ]
    )


def c7(data: Data, claim: Claim) -> Evidence:
    """Against no clip, the expected entropy is lower with the upper end, higher with the lower one.

    A case is a policy and a step size.
    """
    rows = data.probes["entropy_bias"]
    change = rows.pivot(index=["rare", "step_size"], columns="clip", values="entropy_change")
    tolerance = claim.margins["tolerance"]
    cases = {
        "high": ("the upper end alone lowers it", change.high - change.none),
        "low": ("the lower end alone raises it", change.none - change.low),
        "both": ("both together lower it", change.both - change.none),
    }
    least = change.index.get_level_values("step_size").min()
    small = [f"{(~(rise[:, least] <= tolerance)).sum()}" for _, rise in cases.values()]
    policies = len(change.xs(least, level="step_size"))
    columns = ["rare action's probability", "step size", *(CLIPS[clip] for clip in CLIPS)]
    return Evidence(
        [holds(key, label, ~(rise <= tolerance)) for key, (label, rise) in cases.items()],
        told={"smallest": f"{least:g}, in {', '.join(small[:-1])} and {small[-1]} of {policies}"},
        tables=lambda: [
            Table(
                "Expected change of entropy, nats, by enumeration",
                columns,
                change[list(CLIPS)].reset_index().to_numpy().tolist(),
            )
        ],
    )


def c8(data: Data, claim: Claim) -> Evidence:
    """With either KL the gradient is the clip's, and β is 0 where the clip is not flat.

    Beyond its edge β is above 0 with k3, and with k1 of the sign of −A.
    """
    rows = data.probes["kl_per_sample"]
    flat, rest = sides(rows)
    inside, beyond, tolerance = rows[rest], rows[flat], claim.margins["tolerance"]
    parts = []
    for key, name in KLS.items():
        gap = (rows[f"{key}_gradient"] - rows.clipped_gradient).abs()
        parts += [
            holds(key, f"the same gradient with {name}", ~(gap <= tolerance)),
            holds(f"{key}_0", f"no {name} within the clip", ~(inside[f"{key}_coefficient"] == 0)),
        ]
    parts += [
        holds("penalty", "beyond it, a penalty with k3", ~(beyond.k3_coefficient > 0)),
        holds(
            "sign",
            "beyond it, with k1 a penalty for bad actions and a reward for good ones",
            ~(beyond.k1_coefficient * beyond.advantage < 0),
        ),
    ]
    return Evidence(parts, tables=lambda: [_coefficients(beyond)])


def _coefficients(beyond: pd.DataFrame) -> Table:
    """The coefficients of each ε and sign of A, nearest to the edge of the clip and farthest."""
    away = (beyond.ratio - 1).abs()
    names = ["epsilon", "advantage", "ratio", "k1_coefficient", "k3_coefficient"]
    of_case = away.groupby([beyond.epsilon, beyond.advantage])
    places = [place for ends in (of_case.idxmin(), of_case.idxmax()) for place in ends]
    rows = beyond.loc[places, names].sort_values(names[:3]).to_numpy().tolist()
    return Table(
        "Coefficients of the KL beyond the clip", ["ε", "A", "r", "β of k1", "β of k3"], rows
    )


def i1(data: Data, claim: Claim) -> Evidence:
    """Unbiased whatever the ratio; the variance, over that of fresh data, grows with it."""
    rows = data.probes["importance_sampling"].sort_values("ratio")
    bias = (rows.expectation - rows.target).abs() > claim.margins["tolerance"]
    times = rows.variance / rows.fresh_variance
    large = times[rows.ratio >= claim.margins["large_ratio"]]
    columns = list(rows.columns)
    growth = [f"×{n:.3g} at {ratio:g}" for ratio, n in zip(rows.ratio, times, strict=True)]
    return Evidence(
        [
            holds("bias", "the expectation is that of the new policy", bias),
            holds("growth", "a larger ratio has a larger variance", times.diff().dropna() <= 0),
            holds(
                "size",
                "large ratios have many times the variance of fresh data",
                ~(large >= claim.margins["variance_factor"]),
            ),
        ],
        told={"growth_times": ", ".join(growth)},
        tables=lambda: [
            Table("Averages of old data, by enumeration", columns, rows.to_numpy().tolist())
        ],
    )


def n1(data: Data, claim: Claim) -> Evidence:
    """Some step of naive policy gradient locks in the worse action; TRPO's keep their bound."""
    rows = data.probes["two_actions"]
    locked_in, tolerance = claim.margins["locked_in"], claim.margins["tolerance"]
    occurs = rows[rows.probability > 0]
    naive = occurs[occurs.method == "vpg"]
    worst = naive.groupby("setting").worse_after.max()
    trpo = occurs[occurs.method == "trpo"]
    same = ["setting", "lucky", "unlucky", "better"]
    first = occurs[occurs.method == "ppo_first_step"].set_index(same).worse_after
    apart = (first - naive.set_index(same).worse_after).abs()
    return Evidence(
        [
            holds(
                "naive",
                "some step size of naive policy gradient locks in the worse action",
                pd.Series([bool((worst < locked_in).all())] if len(worst) else [], dtype=bool),
            ),
            holds("trpo", "TRPO stays within max_kl", ~(trpo.kl <= trpo.setting)),
            holds(
                "first",
                "PPO's first step is naive policy gradient's",
                ~(apart <= tolerance),
            ),
        ],
        tables=lambda: [_locked_in(occurs, locked_in)],
    )


def _locked_in(rows: pd.DataFrame, locked_in: float) -> Table:
    """Per method and setting: how often an action is locked in, and the largest step."""
    listed = []
    for (method, setting), part in rows.groupby(["method", "setting"], sort=False):
        worse = part.probability[part.worse_after >= locked_in].sum()
        better = part.probability[part.worse_after <= 1 - locked_in].sum()
        listed.append([method, setting, worse, better, part.worse_after.max(), part.kl.max()])
    columns = [
        "method",
        "step size (TRPO: max_kl)",
        "worse action locked in, share of batches",
        "better action locked in",
        "largest probability of the worse action",
        "largest KL",
    ]
    return Table("One update from (0.6, 0.4), every batch of four samples", columns, listed)
