"""Every verdict of every rule, on data of worlds in which it is the right one."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from analysis.claims import comparison, rules
from analysis.claims.epsilon import VARIANTS, e3
from analysis.claims.fixed_data import SETTINGS as TABLE1_SETTINGS
from analysis.claims.ledger import ledger
from analysis.claims.parts import Data, Evidence, chosen_elsewhere
from analysis.claims.sentences import effect, sentence
from tests.analysis.claims import worlds
from tests.analysis.claims.worlds import Value, around, find, log, noise, together, world
from tests.analysis.made_up import PAPER

SUPPORTED, CONTRADICTED, IN_PART = "supported", "contradicted", "supported in part"
NO_EFFECT, INCONCLUSIVE, NOT_RUN = "no relevant effect", "inconclusive", "not run"
TWO = ("ppo_noclip", "ppo")
METHODS = ("vpg", "ppo_noclip", "trpo", "ppo")


def rising(*values: float) -> dict[str, float]:
    return dict(zip(VARIANTS, values, strict=True))


def kl_world(steps: list[float], sd: float = 0.05, seeds: int = 5) -> Data:
    """Log KL that changes by these factors with the steps of ε."""
    levels = np.concatenate([[0.0], np.cumsum([log(step) for step in steps])])
    means = rising(*(levels + log(1e-3)))
    return world("epsilon", VARIANTS, seeds, mean_log_kl=around(means, sd))


def speed_world(early: list[float], sd: float = 0.01, u: float = 0.9, seeds: int = 5) -> Data:
    return world("epsilon", VARIANTS, seeds, early_u=around(rising(*early), sd), u=u)


FASTER = [0.2, 0.25, 0.3, 0.35, 0.35]


def end_world(early: list[float], ends: list[float], sd: float = 0.01) -> Data:
    u = around(rising(*ends), sd)
    return world("epsilon", VARIANTS, 5, early_u=around(rising(*early), sd), u=u)


def stability_world(shares: list[float], spreads: list[float], seeds: int = 10) -> Data:
    """These shares of the seeds collapse, evenly over environments; spreads of final u."""

    def collapsed(env: str, variant: str, seed: int) -> bool:
        place = (seed + list(PAPER).index(env) * 3) % seeds
        return place < shares[VARIANTS.index(variant)] * seeds

    def u(env: str, variant: str, seed: int) -> float:
        return 0.9 + noise(spreads[VARIANTS.index(variant)], env, variant, seed)

    return world("epsilon", VARIANTS, seeds, collapsed=collapsed, u=u)


def table1_world(others: float, better: float | None = None, sd: float = 0.02) -> Data:
    """ε = 0.2 at u = 0.8, the others at this, one of them perhaps at another."""
    means = dict.fromkeys(TABLE1_SETTINGS, others) | {"clip_0.2": 0.8}
    if better is not None:
        means["clip_0.3"] = better
    u = around(means, sd)
    scores = {"u": u, "score": lambda *key: 100 * u(*key)}
    return world("table1", TABLE1_SETTINGS, **scores)


def clip_world(
    paper: float, modern: float, kl: float, sd: float = 0.02, collapse: bool = True
) -> Data:
    """What the clip is worth in u, and the factor that KL and |r − 1| are larger without it."""

    def of(name: str, worth: float) -> Data:
        return world(
            name,
            METHODS,
            u=around(dict.fromkeys(METHODS, 0.8) | {"ppo_noclip": 0.8 - worth}, sd),
            kl_95=lambda e, v, s: (
                0.01 * (kl if v == "ppo_noclip" else 1) * math.exp(noise(sd, e, v, s))
            ),
            mean_log_kl=around(dict.fromkeys(METHODS, -4.0) | {"ppo_noclip": -4 + log(kl)}, sd),
            mean_log_ratio_deviation_99=around(
                dict.fromkeys(METHODS, -1.0) | {"ppo_noclip": -1 + log(kl)}, sd
            ),
            collapsed=lambda e, v, s: collapse and v == "ppo_noclip" and s < 2,
        )

    return together(of("comparison", paper), of("comparison_modern", modern))


def methods_world(
    paper: float, modern: float, sd: float = 0.02, u: float = 0.8, **one: float
) -> Data:
    """PPO minus TRPO in u under both recipes; ``env=difference`` is another on one environment."""

    def of(name: str, difference: float) -> Data:
        def value(env: str, variant: str, seed: int) -> float:
            gap = one.get(env, difference)
            return u + gap * (variant == "ppo") + noise(sd, name, env, variant, seed)

        return world(name, METHODS, u=value)

    return together(of("comparison", paper), of("comparison_modern", modern))


def trpo_world(*largest: float) -> Data:
    """A run for each number, the largest KL of its updates."""
    data = world("comparison", ("trpo", "ppo"), len(largest), {"hopper": "Hopper-v5"})
    rows = [
        {"env": "hopper", "variant": variant, "seed": seed, "kl": kl, "filter_kl": 0.0}
        for seed, worst in enumerate(largest)
        for variant, sizes in (("trpo", (0.004, worst)), ("ppo", (0.5,)))
        for kl in sizes
    ]
    updates = pd.DataFrame(rows).assign(step_accepted=1.0, backtracks=0.0)
    data.studies["comparison"].__dict__["updates"] = updates
    return data


def changed(column: str, ratio: float, value: float) -> Callable[[], Data]:
    """The probes' records, a number in one of them changed."""

    def made() -> Data:
        data = exact_world()
        table = data.probes["clipped_objective"]
        if column not in table:
            table = data.probes["importance_sampling"]
        table.loc[table.ratio == ratio, column] = value
        return data

    return made


def exact_world() -> Data:
    return Data(probes=worlds.probes())


def entropy_world(clip: str, change: float) -> Data:
    """Expected change of entropy with one of the clips, where without any it is −0.04."""
    data = exact_world()
    rows = data.probes["entropy_bias"]
    rows.loc[(rows.rare == 0.4) & (rows["clip"] == clip), "entropy_change"] = change
    return data


def coefficient_world(column: str, value: float, ratio: float = 1.5) -> Data:
    """One number, of a good action, is another; the clip is flat above 1.2."""
    data = exact_world()
    rows = data.probes["kl_per_sample"]
    rows.loc[(rows.ratio == ratio) & (rows.advantage > 0), column] = value
    return data


def pair_world(
    study: str, gap: Mapping[str, float], sd: float = 0.02, u: float = 0.8, **measures: Value
) -> Data:
    """Variants whose final is ``u`` and what they have more."""
    final = around({variant: u + more for variant, more in gap.items()}, sd, study)
    return world(study, list(gap), u=final, **measures)


def bound_world(worth: float, factor: float, **more: float) -> Data:
    ratio = around({"max": math.log(factor), "min": 0.0}, 0.02, "ratio")
    gap = {"max": -worth, "min": 0.0}
    return pair_world("bound", gap, mean_log_ratio_deviation_99=ratio, **more)


def penalty_world(worth: float, factor: float, ratio_sd: float = 0.02, **more: float) -> Data:
    """What SPO has more, and how much nearer to 1 its ratios are."""
    ratio = around({"clip": math.log(factor), "spo": 0.0}, ratio_sd, "ratio")
    gap = {"spo": worth, "clip": 0.0}
    return pair_world("quadratic_penalty", gap, mean_log_ratio_deviation_99=ratio, **more)


def higher_world(worth: float, factor: float, entropy_sd: float = 0.02, **more: float) -> Data:
    """What the higher upper end has more in return, and in exp(entropy) at the end of runs."""
    data = pair_world("clip_higher", {"clip_higher": worth, "clip": 0.0}, **more)
    entropy = around({"clip_higher": math.log(factor), "clip": 0.0}, entropy_sd, "entropy")
    study = data.studies["clip_higher"]
    # In the first updates it says nothing.
    rows = [
        {**run, "env_step": step, "entropy": value}
        for run in data.measures["clip_higher"][["env", "variant", "seed"]].to_dict("records")
        for step, value in ((2048, 9.0), (study.total_env_steps, entropy(*run.values())))
    ]
    study.__dict__["updates"] = pd.DataFrame(rows)
    return data


def unclipped_world(
    smallest: float, middle: float, usual: float, sd: float = 0.02, **more: float
) -> Data:
    """What PPO without its clip has more than with it at 3e-5, 1e-4 and 3e-4."""
    gap = {"none_3e-5": smallest, "none_1e-4": middle, "none_3e-4": usual, "clip": 0.0}
    sizes = {"none_3e-5": 2.0, "none_1e-4": 3.0, "none_3e-4": 4.0, "clip": 0.0}
    kl = (math.exp(size) for size in sizes.values())
    measured = dict(zip(sizes, kl, strict=True))
    return pair_world("no_clip_step_size", gap, sd, kl_95=lambda e, v, s: measured[v], **more)


def learnt_but_on(env: str, data: Data) -> Data:
    """The same with nothing learnt on one environment."""
    for table in data.measures.values():
        table.loc[table.env == env, "u"] -= table.u[table.env == env].max() - 0.2
    return data


def epochs_world(gain: float, harm: float, **more: float) -> Data:
    gap = {f"clip_{n}": gain * (n >= 10) for n in (1, 3, 10, 30)}
    gap |= {f"none_{n}": -harm * (n == 30) for n in (1, 3, 10, 30)}
    return pair_world("epochs", {name: value - max(gain, 0) for name, value in gap.items()}, **more)


def schedule_world(zero: float, floor: float, rival: float = -0.3, **more: float) -> Data:
    """What schedules have over ε = 0.2, and what ε = 0.3 has; the other constants are worse."""
    gap = dict.fromkeys((f"clip_{width:g}" for width in (0.05, 0.1, 0.5)), -0.3)
    gap |= {"linear_to_0": zero, "linear_to_0.05": floor, "clip_0.2": 0.0, "clip_0.3": rival}
    return pair_world("clip_schedule", gap, **more)


def step_world(
    naive: int, ppo: int, trpo: int, u: float = 0.9, sd: float = 0.02, ppo_around: int = 4
) -> Data:
    """Methods that learn at so many of nine step sizes half a decade apart, around the fifth."""
    wide = {"vpg": naive, "ppo": ppo, "trpo": trpo}
    middle = {"vpg": 4, "ppo": ppo_around, "trpo": 4}
    means = {
        f"{method}_{k}": u * (middle[method] - count // 2 <= k <= middle[method] + (count - 1) // 2)
        for method, count in wide.items()
        for k in range(9)
    }
    data = world("step_sizes", list(means), u=around(means, sd, "steps"))
    for variant in data.studies["step_sizes"].plan["variants"]:
        method, _, place = variant["name"].partition("_")
        size = 10 ** (int(place) / 2 - 4)
        step = {"max_kl": size**2} if method == "trpo" else {"learning_rate": size}
        variant["algo"] = {"name": method, **step}
    return data


def one_seed_at_the_edge() -> Data:
    """Naive policy gradient learns up to the last step size, with one seed on one environment."""
    data = step_world(1, 5, 5)
    table = data.measures["step_sizes"]
    late = table.variant.isin([f"vpg_{k}" for k in range(4, 9)])
    table.loc[late & (table.env == "hopper") & (table.seed == 0), "u"] = 0.9
    return data


def use_world(tuning: float, simple: float, suite: float, sd: float = 0.02) -> Data:
    """What the named ε of each use is worth over all others."""
    named = {"fine_tuning": ("clip_0.05", tuning), "simple_tasks": ("clip_0.3", simple)}
    named["epsilon"] = ("clip_0.2", suite)
    return together(
        *(
            pair_world(study, dict.fromkeys(VARIANTS, -worth) | {variant: 0.0}, sd)
            for study, (variant, worth) in named.items()
        )
    )


def undo_world(slow: Mapping[str, float], left: float = 0.1, before: float = 0.9) -> Data:
    """Shares of runs that come back only after 100 of 488 rollouts; the others after 5."""
    envs = dict(list(PAPER.items())[:2])
    data = world("no_undo", list(slow), 5, envs, reference_return=1.0)
    study = data.studies["no_undo"]
    for variant in study.plan["variants"]:
        variant["change"] = {"at_share": 0.5}
    rows = []
    for run in study.plan["runs"]:
        place = run["seed"] + 5 * list(envs).index(run["env"])
        away = 100 if place < 10 * slow[run["variant"]] else 5
        for k in range(1, 489):  # an episode a rollout; the changed update follows the 245th
            u = left * before if 245 < k <= 245 + away else before
            keys = {name: run[name] for name in ("env", "variant", "seed")}
            rows.append({"env_step": 2048 * k, "episodic_return": u, **keys})
    study.__dict__["episodes"] = pd.DataFrame(rows)
    study.__dict__["updates"] = pd.DataFrame(
        {
            **{name: run[name] for name in ("env", "variant", "seed")},
            "update": k,
            "kl": 12.0 + run["seed"] if k == 244 else 0.01,
        }
        for run in study.plan["runs"]
        for k in (0, 243, 244, 245)
    )
    return data


def stopping_world(factor: float, worth: float, kl_sd: float = 0.02, **more: float) -> Data:
    log_kl = around({"target_0.01": 0.0, "target_0.03": 0.0, "clip": math.log(factor)}, kl_sd, "kl")
    gap = {"target_0.01": worth, "target_0.03": worth, "clip": 0.0}
    return pair_world(
        "early_stopping", gap, kl_max=lambda *run: 0.1 * math.exp(log_kl(*run)), **more
    )


def exactness_world(exact: float, fifth: float = 0.0, **more: float) -> Data:
    gap = {"cg_40": exact, "damping_0.01": exact, "fifth": fifth, "trpo": 0.0}
    return pair_world("trpo_exactness", gap, **more)


def two_actions_world(row: int | None = None, **values: float) -> Data:
    """One lucky batch locks in the worse action; numbers of one row changed."""
    rows = worlds.probes()["two_actions"]
    rows.loc[(rows.lucky == 4) & (rows.method != "trpo"), "worse_after"] = 0.995
    if row is not None:
        rows.loc[row, list(values)] = list(values.values())
    return Data(probes={"two_actions": rows})


def cost_world(**peaks: Callable[[int], float]) -> Data:
    """Memory of the explicit matrix as another function of the parameters."""
    rows = worlds.probes()["update_cost"].astype({"peak_bytes": float, "flops": float})
    for name, peak in peaks.items():
        mine = rows.method == name
        rows.loc[mine, "peak_bytes"] = rows.parameters[mine].map(peak).astype(float)
    return Data(probes={"update_cost": rows})


def lines_world(**lines: int) -> Data:
    """Each group has so many lines; of the others a few."""
    rows = worlds.probes()["code_size"].drop_duplicates("needed_by")
    for group, number in lines.items():
        rows.loc[rows.needed_by == group, "lines"] = number
    return Data(probes={"code_size": rows})


def scattered(parameters: int) -> float:
    return parameters**2 * math.exp(noise(0.5, parameters))


def anatomy_world(
    outside: float = 0.001, spread: float = 0.0005, leave_out: str = "", **worse: float
) -> Data:
    """PPO's share of samples outside 1 ± ε, on both environments; ``worse`` changes one update."""
    probed = worlds.probes()
    updates, line = probed["update_anatomy"], probed["update_line"]
    ppo = (updates.method == "ppo") & (updates.setting == 0.2)
    updates.loc[ppo, "outside_own"] = outside + spread * updates.seed[ppo]
    if worse:
        row = updates.index[(updates.method == "trpo") & (updates.setting == 0.1)][0]
        updates.loc[row, list(worse)] = list(worse.values())
    probed["update_anatomy"] = updates[updates.method != leave_out]
    probed["update_line"] = line[line.method != leave_out]
    return Data(probes=probed)


def sloped_world() -> Data:
    """An objective that has a gradient where it is to be flat."""
    data = anatomy_world()
    rows = data.probes["clipped_objective"]
    rows.loc[(rows.ratio == 1.5) & (rows.advantage > 0), "gradient"] = 1e-6
    return data


def half_short_world() -> Data:
    """PPO beats TRPO under one recipe; under the other neither learns."""
    nothing = world("comparison_modern", METHODS, u=lambda *key: noise(0.02, *key))
    return together(methods_world(0.3, 0.3), nothing)


FLAT = [1.0, 1.0, 1.0, 1.0]
WORSE, WIDER = [0, 0.1, 0.1, 0.2, 0.5], [0.02, 0.05, 0.1, 0.2, 0.4]
CASES: list[tuple[str, str, Callable[[], Data]]] = [
    ("C1", SUPPORTED, exact_world),
    ("C1", CONTRADICTED, changed("clipped", 2, 2.0)),
    ("C1", CONTRADICTED, changed("clipped", 1, 0.9)),
    ("C2", SUPPORTED, exact_world),
    ("C2", CONTRADICTED, changed("gradient", 0.5, 0.0)),
    ("C2", CONTRADICTED, changed("gradient", 1.5, 1.0)),
    ("C7", SUPPORTED, exact_world),
    ("C7", CONTRADICTED, lambda: entropy_world("high", 0.0)),
    ("C7", CONTRADICTED, lambda: entropy_world("low", -0.2)),
    ("C7", CONTRADICTED, lambda: entropy_world("both", 0.0)),
    ("C7", CONTRADICTED, lambda: entropy_world("both", math.nan)),
    ("C8", SUPPORTED, exact_world),
    ("C8", CONTRADICTED, lambda: coefficient_world("k1_gradient", 0.01)),
    ("C8", CONTRADICTED, lambda: coefficient_world("k3_gradient", math.nan)),
    ("C8", CONTRADICTED, lambda: coefficient_world("k3_coefficient", -1.0)),
    ("C8", CONTRADICTED, lambda: coefficient_world("k1_coefficient", 1.0)),
    ("C8", CONTRADICTED, lambda: coefficient_world("k1_coefficient", -1.0, ratio=1.0)),
    ("C8", CONTRADICTED, lambda: coefficient_world("k3_coefficient", 1.0, ratio=1.0)),
    ("I1", SUPPORTED, exact_world),
    ("I1", CONTRADICTED, changed("expectation", 10, 0.1)),
    ("I1", CONTRADICTED, changed("variance", 100, 0.1)),
    ("N1", SUPPORTED, two_actions_world),
    # The batch that locks it in never occurs.
    ("N1", CONTRADICTED, lambda: Data(probes=worlds.probes())),
    # TRPO beyond its bound, with a KL that is no number, and a first step of PPO's that differs.
    ("N1", CONTRADICTED, lambda: two_actions_world(5, kl=0.0100001)),
    ("N1", CONTRADICTED, lambda: two_actions_world(5, kl=math.nan)),
    ("N1", CONTRADICTED, lambda: two_actions_world(4, worse_after=0.7001)),
    ("N4", SUPPORTED, anatomy_world),
    # More is left of one batch after a larger step, or something of one that has no end.
    ("N4", CONTRADICTED, lambda: anatomy_world(effective_sample_size=1.0)),
    ("N4", CONTRADICTED, lambda: anatomy_world(kl=math.nan)),
    ("N4", IN_PART, lambda: anatomy_world(leave_out="vpg")),
    ("C4", SUPPORTED, anatomy_world),
    # Below and above the margin, but not for sure.
    ("C4", SUPPORTED, lambda: anatomy_world(0.02, 0.05)),
    ("C4", IN_PART, lambda: anatomy_world(0.02)),
    ("C4", CONTRADICTED, sloped_world),
    ("E1", SUPPORTED, lambda: kl_world([2.0, 2.0, 1.5, 2.0])),
    ("E1", CONTRADICTED, lambda: kl_world([2.0, 2.0, 0.8, 2.0])),
    ("E1", IN_PART, lambda: kl_world([2.0, 2.0, 1.1, 2.0])),
    ("E1", NO_EFFECT, lambda: kl_world(FLAT, 0.02)),
    ("E1", INCONCLUSIVE, lambda: kl_world([1.2, 1.2, 1.2, 1.2], 2.0)),
    ("E2", SUPPORTED, lambda: speed_world([0.2, 0.25, 0.3, 0.35, 0.35])),
    ("E2", CONTRADICTED, lambda: speed_world([0.2, 0.25, 0.35, 0.3, 0.35])),
    ("E2", CONTRADICTED, lambda: speed_world([0.2, 0.25, 0.3, 0.35, 0.1])),
    ("E2", IN_PART, lambda: speed_world([0.2, 0.25, 0.3, 0.3, 0.35])),
    ("E2", NO_EFFECT, lambda: speed_world([0.3] * 5)),
    ("E2", INCONCLUSIVE, lambda: speed_world([0.3] * 5, sd=0.5)),
    ("E2", INCONCLUSIVE, lambda: speed_world([0.1] * 5, u=0.2)),
    ("E3", SUPPORTED, lambda: stability_world(WORSE, WIDER)),
    ("E3", CONTRADICTED, lambda: stability_world(WORSE[::-1], WIDER[::-1])),
    ("E3", IN_PART, lambda: stability_world(WORSE, [0.1] * 5)),
    ("E3", INCONCLUSIVE, lambda: stability_world([0.1] * 5, [0.1] * 5)),
    ("E3", INCONCLUSIVE, lambda: stability_world(WORSE, WIDER, 4)),
    ("E5", SUPPORTED, lambda: table1_world(0.5)),
    ("E5", CONTRADICTED, lambda: table1_world(0.5, better=0.9)),
    ("E5", IN_PART, lambda: table1_world(0.5, better=0.8)),
    ("E5", NO_EFFECT, lambda: table1_world(0.8)),
    ("E5", INCONCLUSIVE, lambda: table1_world(0.7, sd=1.0)),
    ("E6", SUPPORTED, lambda: end_world(FASTER, [0.9] * 5)),
    ("E6", CONTRADICTED, lambda: end_world(FASTER, [0.9, 0.9, 0.9, 0.9, 0.6])),
    ("E6", CONTRADICTED, lambda: end_world([0.4, 0.35, 0.3, 0.25, 0.2], [0.9] * 5)),
    ("E6", IN_PART, lambda: end_world(FASTER, [0.9, 0.9, 0.9, 0.9, 0.8])),
    ("E6", NO_EFFECT, lambda: end_world([0.3] * 5, [0.9] * 5)),
    # As fast, and who knows where they end.
    ("E6", INCONCLUSIVE, lambda: end_world([0.3] * 5, [0.8, 0.8, 0.9, 0.8, 0.8], sd=0.03)),
    # Speed alone, where nothing was learnt.
    ("E6", IN_PART, lambda: end_world(FASTER, [0.4] * 5)),
    ("E6", INCONCLUSIVE, lambda: end_world([0.3] * 5, [0.9] * 5, sd=0.5)),
    ("C5", SUPPORTED, lambda: clip_world(0.3, 0.3, 10)),
    ("C5", CONTRADICTED, lambda: clip_world(0.3, -0.3, 10)),
    ("C5", IN_PART, lambda: clip_world(0.3, 0.0, 10)),
    ("C5", NO_EFFECT, lambda: clip_world(0.0, 0.0, 1)),
    ("C5", INCONCLUSIVE, lambda: clip_world(0.1, 0.1, 1.5, sd=2.0)),
    ("I2", SUPPORTED, lambda: clip_world(0.3, 0.3, 10)),
    ("I2", CONTRADICTED, lambda: clip_world(0.3, 0.3, 0.5)),
    ("I2", IN_PART, lambda: clip_world(0.3, 0.3, 10, collapse=False)),
    # Its exact part holds whatever the trainings say.
    ("I2", IN_PART, lambda: clip_world(0.0, 0.0, 1.5, sd=2.0, collapse=False)),
    ("I2", NO_EFFECT, lambda: clip_world(0.3, 0.3, 1, collapse=False)),
    # Sizes that do not differ, and more ruin all the same.
    ("I2", IN_PART, lambda: clip_world(0.3, 0.3, 1)),
    ("P1", SUPPORTED, lambda: methods_world(0.0, 0.0)),
    ("P1", SUPPORTED, lambda: methods_world(0.3, 0.3)),
    ("P1", CONTRADICTED, lambda: methods_world(0.3, -0.3)),
    ("P1", IN_PART, lambda: methods_world(0.3, 0.3, hopper=-0.5)),
    ("P1", IN_PART, half_short_world),
    ("P1", INCONCLUSIVE, lambda: methods_world(0.0, 0.0, sd=1.0)),
    ("P1", INCONCLUSIVE, lambda: methods_world(0.0, 0.0, u=0.2)),
    ("C3", SUPPORTED, lambda: bound_world(0.3, 5)),
    ("C3", CONTRADICTED, lambda: bound_world(-0.3, 5)),
    ("C3", CONTRADICTED, lambda: bound_world(0.3, 0.5)),
    ("C3", IN_PART, lambda: bound_world(0.0, 5)),
    ("C3", NO_EFFECT, lambda: bound_world(0.0, 1)),
    ("C3", INCONCLUSIVE, lambda: bound_world(0.1, 1.5, sd=1.0)),
    ("C6", SUPPORTED, lambda: penalty_world(0.0, 5)),
    ("C6", SUPPORTED, lambda: penalty_world(0.3, 5)),
    ("C6", CONTRADICTED, lambda: penalty_world(-0.3, 5)),
    ("C6", CONTRADICTED, lambda: penalty_world(0.3, 0.5)),
    ("C6", IN_PART, lambda: penalty_world(0.0, 5, sd=1.0)),
    ("C6", IN_PART, lambda: penalty_world(0.3, 1.0)),
    ("C6", NO_EFFECT, lambda: penalty_world(0.0, 1.0)),
    # Ratios alike, and nothing known of the return.
    ("C6", INCONCLUSIVE, lambda: penalty_world(-0.05, 1.0, sd=0.5)),
    ("C6", INCONCLUSIVE, lambda: penalty_world(0.0, 1.2, ratio_sd=1.0, sd=1.0)),
    ("C9", SUPPORTED, lambda: higher_world(0.0, 2)),
    ("C9", CONTRADICTED, lambda: higher_world(-0.3, 2)),
    ("C9", CONTRADICTED, lambda: higher_world(0.0, 0.5)),
    ("C9", IN_PART, lambda: higher_world(0.0, 2, sd=1.0)),
    ("C9", NO_EFFECT, lambda: higher_world(0.0, 1.0)),
    ("C9", INCONCLUSIVE, lambda: higher_world(0.0, 1.2, entropy_sd=1.0, sd=1.0)),
    ("C10", SUPPORTED, lambda: unclipped_world(0.0, -0.3, -0.9)),
    ("C10", SUPPORTED, lambda: unclipped_world(-0.9, 0.3, -0.3)),
    ("C10", IN_PART, lambda: learnt_but_on("hopper", unclipped_world(0.0, -0.3, -0.5))),
    ("C10", CONTRADICTED, lambda: unclipped_world(-0.3, -0.4, -0.9)),
    ("C10", INCONCLUSIVE, lambda: unclipped_world(0.0, 0.0, -0.9, sd=0.5)),
    ("C10", INCONCLUSIVE, lambda: unclipped_world(0.0, 0.0, 0.0, u=0.2)),
    ("S1", SUPPORTED, lambda: schedule_world(0.3, 0.3)),
    ("S1", CONTRADICTED, lambda: schedule_world(-0.3, 0.3)),
    # Better than the usual constant, worse than the best.
    ("S1", CONTRADICTED, lambda: schedule_world(0.3, 0.3, rival=0.6)),
    ("S1", IN_PART, lambda: schedule_world(0.3, 0.0)),
    ("S1", IN_PART, lambda: schedule_world(0.3, 0.3, rival=0.3)),
    ("S1", NO_EFFECT, lambda: schedule_world(0.0, 0.0)),
    ("S1", INCONCLUSIVE, lambda: schedule_world(0.1, 0.1, sd=1.0)),
    ("N3", SUPPORTED, lambda: step_world(1, 5, 5)),
    ("N3", SUPPORTED, lambda: step_world(1, 9, 5)),  # at the edge it is at least as wide
    ("N3", CONTRADICTED, lambda: step_world(5, 1, 1)),
    ("N3", IN_PART, lambda: step_world(1, 5, 1)),
    # Narrower as far as the grid goes, which PPO's range meets.
    ("N3", IN_PART, lambda: step_world(3, 3, 5, ppo_around=8)),
    ("N3", INCONCLUSIVE, lambda: step_world(3, 5, 3, ppo_around=8)),
    ("N3", INCONCLUSIVE, one_seed_at_the_edge),
    ("N3", NO_EFFECT, lambda: step_world(3, 3, 3)),
    ("N3", INCONCLUSIVE, lambda: step_world(9, 3, 3)),
    ("N3", INCONCLUSIVE, lambda: step_world(1, 5, 5, u=0.4)),
    ("E4", SUPPORTED, lambda: use_world(0.3, 0.3, 0.3)),
    ("E4", CONTRADICTED, lambda: use_world(0.3, -0.3, 0.3)),
    ("E4", IN_PART, lambda: use_world(0.3, 0.3, 0.0)),
    ("E4", NO_EFFECT, lambda: use_world(0.0, 0.0, 0.0)),
    ("E4", INCONCLUSIVE, lambda: use_world(0.1, 0.1, 0.1, sd=2.0)),
    ("N2", SUPPORTED, lambda: undo_world({"vpg": 1, "trpo": 1, "ppo": 1})),
    ("N2", CONTRADICTED, lambda: undo_world({"vpg": 1, "trpo": 1, "ppo": 0})),
    ("N2", IN_PART, lambda: undo_world({"vpg": 1, "trpo": 1, "ppo": 0.5})),
    ("N2", INCONCLUSIVE, lambda: undo_world({"vpg": 0.5, "trpo": 0.5, "ppo": 0.5})),
    ("S2", SUPPORTED, lambda: epochs_world(0.3, 0.3)),
    ("S2", CONTRADICTED, lambda: epochs_world(0.3, -0.3)),
    ("S2", CONTRADICTED, lambda: epochs_world(-0.3, 0.3)),
    ("S2", IN_PART, lambda: epochs_world(0.3, 0.0)),
    ("S2", NO_EFFECT, lambda: epochs_world(0.0, 0.0)),
    ("S2", INCONCLUSIVE, lambda: epochs_world(0.1, 0.1, sd=1.0)),
    ("S3", SUPPORTED, lambda: stopping_world(3, 0.0)),
    ("S3", SUPPORTED, lambda: stopping_world(3, 0.3)),
    ("S3", CONTRADICTED, lambda: stopping_world(3, -0.3)),
    ("S3", CONTRADICTED, lambda: stopping_world(0.5, 0.0)),
    ("S3", IN_PART, lambda: stopping_world(3, 0.0, sd=1.0)),
    ("S3", NO_EFFECT, lambda: stopping_world(1.0, 0.0)),
    ("S3", INCONCLUSIVE, lambda: stopping_world(1.0, -0.05, sd=0.5)),
    ("S3", INCONCLUSIVE, lambda: stopping_world(1.2, 0.0, kl_sd=1.0, sd=1.0)),
    ("T3", SUPPORTED, lambda: exactness_world(0.0)),
    ("T3", SUPPORTED, lambda: exactness_world(-0.3, 0.3)),
    ("T3", CONTRADICTED, lambda: exactness_world(0.3)),
    ("T3", CONTRADICTED, lambda: exactness_world(0.0, -0.3)),
    ("T3", IN_PART, lambda: exactness_world(-0.5, 0.0, u=0.3)),
    ("T3", INCONCLUSIVE, lambda: exactness_world(0.0, sd=1.0)),
    ("T2", SUPPORTED, cost_world),
    ("T2", SUPPORTED, lambda: cost_world(explicit_fisher=lambda p: 4.0 * p**1.95)),
    ("T2", CONTRADICTED, lambda: cost_world(explicit_fisher=lambda p: 4.0 * p**1.85)),
    ("T2", CONTRADICTED, lambda: cost_world(explicit_fisher=lambda p: 4.0 * p**2.15)),
    ("T2", INCONCLUSIVE, lambda: cost_world(explicit_fisher=scattered)),
    ("P2", SUPPORTED, lambda: lines_world(ppo=10, trpo=20, objective=9)),
    ("P2", CONTRADICTED, lambda: lines_world(ppo=11, trpo=21, objective=9)),
    ("P2", CONTRADICTED, lambda: lines_world(ppo=10, trpo=20, objective=10)),
    ("T1", SUPPORTED, lambda: trpo_world(0.008, 0.01, 0.0100000005)),
    ("T1", CONTRADICTED, lambda: trpo_world(0.008, 0.01, 0.0101)),
    ("T1", CONTRADICTED, lambda: trpo_world(0.008, math.nan)),
]


@pytest.mark.parametrize(("claim", "verdict", "made"), CASES)
def test_it_is_found(claim: str, verdict: str, made: Callable[[], Data]) -> None:
    finding = find(claim, made())
    assert finding.verdict == verdict, [
        (p.part.label, p.verdict, p.low, p.high) for p in finding.parts
    ]
    said = sentence(finding, worlds.SETTINGS.words)
    assert said.endswith(".") and "{" not in said and "nothing" not in said


def only(whole: Data, name: str) -> Data:
    """The same without any other study."""
    return Data({name: whole.studies[name]}, {name: whole.measures[name]}, whole.probes)


@pytest.mark.parametrize(
    ("claim", "made", "told"),
    [
        (
            "E3",
            lambda: stability_world(WORSE, [0.1] * 5),
            "of 70 runs for each ε, 0 at 0.05, 7 at 0.1, 7 at 0.2, 14 at 0.3, 35 at 0.5 end ruined",
        ),
        ("T2", cost_world, "it is ×1.2 (at 2,500) and ×1.2 (at 62,500) of the time of"),
        (
            "C7",
            lambda: entropy_world("low", -0.2),
            "the smallest step size, 1, in 0, 1 and 0 of 2.",
        ),
        (
            "N4",
            lambda: anatomy_world(effective_sample_size=1.0),
            "Up to a KL of 1, which is no part of the rule, it does in 25 of 30 pairs of a batch",
        ),
        (
            "N2",
            lambda: undo_world({"vpg": 1, "trpo": 1, "ppo": 0}),
            "on purpose in 30 runs; in 30 of them the policy had learnt and was halved.",
        ),
    ],
)
def test_a_sentence_tells_what_stands_beside_its_parts(
    claim: str, made: Callable[[], Data], told: str
) -> None:
    assert told in sentence(find(claim, made()), worlds.SETTINGS.words)


@pytest.mark.parametrize(
    ("claim", "data", "ends"),
    [
        (
            "P1",
            lambda: methods_world(0.3, 0.3),
            "; it was not run under modern. To match is to be less than 0.10 u worse on average, "
            "to beat is to have the whole interval above 0.",
        ),
        ("C5", lambda: clip_world(0.3, 0.3, 10), ", supported; not run under modern."),
    ],
)
def test_a_part_that_was_not_run_is_said_in_a_clause(
    claim: str, data: Callable[[], Data], ends: str
) -> None:
    said = sentence(find(claim, only(data(), "comparison")), worlds.SETTINGS.words)
    assert said.endswith(ends) and said.count("not run") == 1


@pytest.mark.parametrize(
    ("claim", "data", "said"),
    [
        (
            "P1",
            lambda: methods_world(0.3, 0.3),
            "PPO was not compared with TRPO under paper2017 and beats it under modern (",
        ),
        (
            "C5",
            lambda: clip_world(0.3, 0.3, 10),
            "Smaller updates: not run under paper2017. Worth in final return: not known under "
            "paper2017; +0.3",
        ),
    ],
)
def test_without_the_first_recipe_the_sentence_is_one(
    claim: str, data: Callable[[], Data], said: str
) -> None:
    found = sentence(find(claim, only(data(), "comparison_modern")), worlds.SETTINGS.words)
    assert said in found and "undecided" not in found


def test_every_verdict_of_every_rule_is_among_them() -> None:
    """Each sentence of ``conf/claims`` is written for a verdict that some data make."""
    made = {(claim, verdict) for claim, verdict, _ in CASES}
    for name, claim in worlds.CLAIMS.items():
        if claim.wording is not None and name != "P3":
            worded = {
                key.replace("_", " ") for key, text in claim.wording.model_dump().items() if text
            }
            cases = {verdict for which, verdict in made if which == name}
            assert worded - {"no rule"} == cases, name


@pytest.mark.parametrize("claim", sorted(rules.RULES))
def test_without_its_data_it_was_not_run(claim: str) -> None:
    finding = find(claim, Data())
    assert finding.verdict == NOT_RUN and finding.parts == [] and finding.seeds_needed is None


@pytest.mark.parametrize(
    "claim",
    [
        "E1",
        "E2",
        "E3",
        "E5",
        "E6",
        "C3",
        "C5",
        "C9",
        "C10",
        "E4",
        "N2",
        "N3",
        "P1",
        "P3",
        "S1",
        "S2",
        "S3",
        "T1",
        "T3",
    ],
)
def test_without_its_variants_it_was_not_run(claim: str) -> None:
    studies = worlds.CLAIMS[claim].studies
    data = together(*(world(name, ("other",)) for name in studies))
    for study in data.studies.values():
        study.__dict__["updates"] = pd.DataFrame(columns=["env", "variant", "seed", "kl"])
    assert find(claim, data).verdict == NOT_RUN


@pytest.mark.parametrize("claim", ["C5", "P1"])
def test_without_one_recipe_it_is_not_supported(claim: str) -> None:
    whole = clip_world(0.3, 0.3, 10) if claim == "C5" else methods_world(0.3, 0.3)
    assert find(claim, whole).verdict == SUPPORTED
    assert find(claim, only(whole, "comparison")).verdict == IN_PART


def test_a_failing_environment_is_named_and_equality_is_not_claimed_where_nothing_was_learnt() -> (
    None
):
    fails = find("P1", methods_world(0.3, 0.3, hopper=-0.5))
    assert fails.why == "fails on Hopper-v5"
    # Named, too, where something else keeps the claim from being supported.
    half = methods_world(0.3, 0.0, hopper=-0.5)
    few = half.measures["comparison_modern"].query("seed < 2")
    half.measures["comparison_modern"] = few.assign(u=few.u + few.seed * (few.variant == "ppo"))
    found = find("P1", half)
    assert found.verdict == IN_PART and found.why.endswith("fails on Hopper-v5")
    assert "fails on Hopper-v5" in sentence(found, worlds.SETTINGS.words)
    short = find("P1", methods_world(0.0, 0.0, u=0.2))
    assert short.why.startswith("too short on HalfCheetah-v5, Hopper-v5")
    assert short.seeds_needed is None  # more seeds would not help
    assert "too short" in sentence(short, worlds.SETTINGS.words)


def test_the_step_size_of_ppo_without_its_clip_is_chosen_on_other_seeds() -> None:
    """One size is best by far on one seed alone: on that seed another is compared."""
    data = unclipped_world(-0.5, -0.2, -0.5, sd=0.0)
    table = data.measures["no_clip_step_size"]
    table.loc[(table.variant == "none_3e-5") & (table.seed == 0), "u"] += 1.4
    parts = {judged.part.key: judged.part.estimate for judged in find("C10", data).parts}
    own, smallest, kl = (parts[key] for key in ("own", "none_3e-5", "kl_1e-4"))
    assert own is not None and smallest is not None and kl is not None
    # Seed 0: 1e-4.  The others: 3e-5, whose mean with seed 0 is (1.4 − 3 · 0.5 − 0.5) / 4 = −0.15.
    assert own.value == pytest.approx((-0.2 + 4 * -0.5) / 5)
    assert smallest.value == pytest.approx(-0.5 + 1.4 / 5)
    assert math.exp(kl.value) == pytest.approx(math.e**3)


def test_a_value_step_size_of_its_own_is_shown_beside_c10() -> None:
    """What it is worth, what the clip is worth then, and the best on other seeds."""
    before = find("C10", unclipped_world(-0.5, -0.2, -0.5))
    gap = {"none_3e-5": -0.5, "none_3e-5_value_3e-4": -0.4, "none_1e-4": -0.3}
    gap |= {"none_1e-4_value_3e-4": -0.1, "clip_1e-4_value_3e-4": 0.05, "clip": 0.0}
    more = pair_world("no_clip_value_step_size", gap, sd=0.0)
    table = more.measures["no_clip_value_step_size"]
    # Best by far on seed 0 alone: chosen on the four others, where it is the worse.
    table.loc[(table.variant == "none_3e-5_value_3e-4") & (table.seed == 0), "u"] += 1.4
    found = find("C10", together(unclipped_world(-0.5, -0.2, -0.5), more))
    *as_before, levels, differences = found.evidence.tables()
    assert found.parts == before.parts
    assert [t.title for t in as_before] == [t.title for t in before.evidence.tables()]
    assert {row[1] for row in levels.rows} == set(gap)
    means = [row[1] for row in differences.rows]
    assert means == pytest.approx([0.1 + 1.4 / 5, 0.2, -0.15, 0.05, (-0.1 + 4 * -0.4) / 5])


def test_a_factor_is_told_of_each_environment() -> None:
    tables = find("I2", clip_world(0.3, 0.1, 10, sd=0.0)).evidence.tables()
    of_kl = tables[-1]
    assert of_kl.title.startswith("KL of an update, geometric mean, no clip over ε = 0.2, by env")
    assert len(of_kl.rows) == 7
    assert all(low <= factor <= high for _, factor, low, high in of_kl.rows)
    assert [row[1] for row in of_kl.rows] == pytest.approx([10.0] * 7, rel=0.2)


def test_what_the_min_does_on_either_side_is_shown_beside_c3() -> None:
    assert find("C3", bound_world(0.3, 5)).evidence.tables() == []
    three = pair_world("bound", {"max": -0.6, "clipped": -0.2, "min": 0.0}, sd=0.0)
    levels, sides, apart = find("C3", three).evidence.tables()
    assert len(apart.rows) == 7
    assert [row[1] for row in levels.rows] == ["max", "clipped", "min"]
    assert [row[1] for row in sides.rows] == pytest.approx([0.2, 0.4])


def test_what_runs_end_at_is_told_of_every_variant() -> None:
    table = find("C5", clip_world(0.3, 0.1, 10, sd=0.0)).evidence.tables()[0]
    ends = {(row[0], row[1]): row[3:] for row in table.rows}
    assert len(ends) == 2 * len(METHODS)
    for recipe, variant, u, wrong in (
        ("paper2017", "ppo", 0.8, 0),
        ("paper2017", "ppo_noclip", 0.5, 14),
        ("modern", "ppo_noclip", 0.7, 14),
    ):
        mean, low, high, *counts = ends[recipe, variant]
        assert low < mean < high and counts == [wrong, 35]
        assert mean == pytest.approx(u)


def test_the_best_constant_is_chosen_on_other_seeds() -> None:
    """Each constant is best on one seed by luck: what is chosen elsewhere has no part in it."""
    finals = np.full((2, 3, 3), 0.5)  # env, variant, seed
    finals[:, [0, 1, 2], [0, 1, 2]] = 0.9
    finals[:, 0, 1] = 0.6
    names = ("a", "b", "c")
    envs = dict(list(PAPER.items())[:2])
    data = world(
        "study", names, 3, envs, u=lambda e, v, s: finals[list(envs).index(e), names.index(v), s]
    )
    best = chosen_elsewhere(data, "study", names, ())
    # Without seed 0 b and c have 0.7, a 0.55; without 1 a and c 0.7; without 2 a 0.75.
    for env in envs:
        assert best[env].to_dict() == {0: 0.5, 1: 0.6, 2: 0.5}


def test_each_environment_counts_once_whatever_its_seeds() -> None:
    """On the first b is a little worse, on the second, which has fewer seeds, much better."""
    envs = dict(list(PAPER.items())[:2])
    first, second = envs
    finals = {(first, "a"): 0.6, (first, "b"): 0.5, (second, "a"): 0.2, (second, "b"): 0.5}
    data = world("study", ("a", "b"), 10, envs, u=lambda env, v, seed: finals[env, v])
    table = data.measures["study"]
    data.measures["study"] = table[(table.env == first) | (table.seed < 3)]
    best = chosen_elsewhere(data, "study", ("a", "b"), ())
    assert set(best[first]) == {0.5} and set(best[second].dropna()) == {0.5}


def test_what_happens_beside_the_range_is_shown() -> None:
    data = step_world(1, 5, 5)
    rows = find("N3", data).evidence.tables()[0].rows
    naive, ppo, _ = rows[:3]
    assert naive[1:4] == [
        pytest.approx(0.9, abs=0.05),
        "naive policy gradient",
        pytest.approx(10**-2.25, rel=0.1),
    ]
    # Eight sizes of five seeds beside it, none of which learnt.
    assert naive[5:] == [0, 40, 0.0, 1.0] and ppo[5:] == [0, 20, 0.0, 1.0]
    said = sentence(find("N3", data), worlds.SETTINGS.words)
    assert "of those 0 of 280 runs of naive policy gradient, 0 of 140 runs of PPO, 0 of" in said


def test_what_came_to_ruin_is_not_said_to_have_never_learnt() -> None:
    data = step_world(1, 5, 5)
    table = data.measures["step_sizes"]
    ruined = (table.variant == "vpg_8") & (table.env == "hopper")
    table.loc[ruined, ["u", "ruined"]] = -1.0, True
    rows = find("N3", data).evidence.tables()[0].rows
    (naive,) = [row for row in rows if row[0] == "hopper" and row[2] == "naive policy gradient"]
    assert naive[6:] == [40, 5 / 40, 35 / 40]


def test_an_environment_where_nothing_learns_is_shown_and_not_judged() -> None:
    data = step_world(1, 5, 5)
    table = data.measures["step_sizes"]
    table.loc[table.env == "hopper", "u"] *= 0.4
    found = find("N3", data)
    assert found.verdict == SUPPORTED and "hopper" not in found.parts[0].part.by_env
    assert {row[1] < 0.5 for row in found.evidence.tables()[0].rows if row[0] == "hopper"} == {True}


def test_what_the_grid_cuts_off_on_both_sides_is_no_bound() -> None:
    """Naive policy gradient's range, too, may be wider: the difference is at least nothing."""
    found = find("N3", step_world(9, 9, 5))
    said = sentence(found, worlds.SETTINGS.words)
    assert found.verdict == INCONCLUSIVE and found.seeds_needed is None
    assert "as far as the grids reach, PPO's differs by" in said and "at least" not in said
    rows = found.evidence.tables()[0].rows
    assert [row[5] for row in rows[:3]] == [5, 5, 0]
    assert "by at least" in sentence(find("N3", step_world(1, 9, 5)), worlds.SETTINGS.words)


def test_what_cannot_be_decided_gives_no_level_to_the_rest_of_its_family() -> None:
    """Holm: it counts as a claim that was not run, whatever its parts look like."""
    family = {name: claim for name, claim in worlds.CLAIMS.items() if claim.family == "I2, N1–N4"}
    i2 = find("I2", clip_world(0.3, 0.3, 10, sd=1.0)).evidence

    def level(**others: Evidence) -> float:
        return ledger(family, {"I2": i2, **others}, worlds.SETTINGS)["I2"].parts[0].level

    clear, open_ = (find("N3", step_world(naive, 5, 5)).evidence for naive in (1, 9))
    better = dataclasses.replace(clear, undecided="the end of the grid")
    assert level(N3=clear) < level() == level(N3=open_) == level(N3=better)


def test_the_way_back_is_counted_from_the_destructive_update() -> None:
    found = find("N2", undo_world({"vpg": 1.0, "trpo": 0.0, "ppo": 0.2}))
    rows = {row[0]: row[1:] for row in found.evidence.tables()[0].rows}
    assert rows["naive policy gradient"] == [10, 10, 10, 14.0, 101 * 2048, 0, 0]
    assert rows["TRPO"] == [10, 10, 10, 14.0, 6 * 2048, 0, 0]
    assert [judged.part.count for judged in found.parts] == [(10, 10), (2, 10), (0, 10)]


def test_only_what_was_trained_and_fell_has_a_way_back() -> None:
    everyone = {"vpg": 1.0, "trpo": 1.0, "ppo": 1.0}
    for data in (undo_world(everyone, left=0.6), undo_world(everyone, before=0.2)):
        nobody = find("N2", data)
        assert (nobody.verdict, nobody.seeds_needed) == (INCONCLUSIVE, None)
        assert "none of PPO, since none had learnt" in sentence(nobody, worlds.SETTINGS.words)
    find("N2", undo_world(everyone, before=0.0))  # of nothing there is no share
    never = undo_world(everyone)
    episodes = never.studies["no_undo"].episodes
    cut = episodes[(episodes.variant != "ppo") | (episodes.env_step <= 245 * 2048)]
    never.studies["no_undo"].__dict__["episodes"] = cut  # diverged in that update
    runs = never.measures["no_undo"]
    runs["diverged"] = runs.variant == "ppo"
    found = find("N2", never)
    rows = {row[0]: row[1:] for row in found.evidence.tables()[0].rows}
    assert rows["PPO"] == [10, 10, 10, 14.0, None, 0, 10] and found.verdict == SUPPORTED


def test_ppo_beats_or_matches() -> None:
    words = worlds.SETTINGS.words
    assert "PPO beats TRPO under paper2017" in sentence(find("P1", methods_world(0.3, 0.3)), words)
    assert "PPO matches TRPO under paper2017" in sentence(
        find("P1", methods_world(0.0, 0.0)), words
    )


def test_few_runs_decide_nothing_about_stability() -> None:
    finding = find("E3", stability_world(WORSE, WIDER, 4))
    assert finding.why == "fewer than 35 runs for each ε" and finding.seeds_needed == 5
    assert len(finding.parts) == 3  # shown all the same


def test_ruin_counts_as_collapse_and_divergence_as_the_worst() -> None:
    data = stability_world([0, 0, 0, 0, 0], [0.1] * 5)
    table = data.measures["epsilon"]
    table.loc[(table.variant == "clip_0.5"), "ruined"] = True
    table.loc[(table.variant == "clip_0.5"), "u"] = -40.0
    evidence = e3(data, worlds.CLAIMS["E3"], permutations=999)
    share, _, often = evidence.parts
    assert share.p_values is not None and share.p_values[0] == 0.001
    assert often.count == (70, 70)
    e5 = table1_world(0.5)
    e5.measures["table1"].loc[0, "u"] = -40.0
    (part,) = [p for p in find("E5", e5).parts if p.part.key == "against_clip_0.1"]
    one = e5.measures["table1"].loc[0]
    assert (one.variant, one.env) == ("clip_0.1", "half_cheetah")
    others = 0.5 + np.mean([noise(0.02, "", "half_cheetah", "clip_0.1", s) for s in range(1, 5)])
    assert part.part.by_env["half_cheetah"].value == pytest.approx(
        0.8 + 0.2 - 0.8 * others, abs=0.03
    )


def test_a_verdict_changes_when_the_data_do() -> None:
    data = kl_world([2.0, 2.0, 1.5, 2.0])
    assert find("E1", data).verdict == SUPPORTED
    table = data.measures["epsilon"]
    table.loc[table.variant == "clip_0.5", "mean_log_kl"] -= 2.0
    assert find("E1", data).verdict == CONTRADICTED


def test_differences_are_paired_by_seed() -> None:
    """What all runs of a seed share does not widen the interval."""

    def u(env: str, variant: str, seed: int) -> float:
        return 0.9 + 0.3 * (seed % 2) + 0.02 * (variant == "ppo") + noise(0.01, env, variant, seed)

    data = together(*(world(name, METHODS, u=u) for name in ("comparison", "comparison_modern")))
    (part, *_) = find("P1", data).parts
    assert part.low == pytest.approx(0.02, abs=0.02) and part.high - part.low < 0.04


def test_runs_that_all_reach_the_top_do_not_make_no_difference_certain() -> None:
    """The standard deviation of a difference in u counts as 0.01 where it is less."""

    def u(env: str, variant: str, seed: int) -> float:
        return 1.0 + 0.1 * (variant == "vpg")

    data = together(*(world(name, METHODS, u=u) for name in ("comparison", "comparison_modern")))
    (part, *_) = find("P1", data).parts
    seeds = part.part.seeds
    assert seeds > 1
    for estimate in part.part.by_env.values():
        assert estimate.value == 0
        assert estimate.standard_error == pytest.approx(0.01 / seeds**0.5)
    assert part.low < 0 < part.high


def test_table_1_says_whether_the_paper_could_have_had_these_seeds() -> None:
    finding = find("E5", table1_world(0.5, sd=0.05))
    table, _ = finding.evidence.tables()
    rows = {row[0]: row for row in table.rows}
    assert rows["clip_0.2"][-2] == 0.82 and rows["clip_0.2"][2] < rows["clip_0.2"][3]
    assert rows["clip_0.1"][-1] is False  # 0.76 published, about 0.6 here
    shown = {part.part.key: part for part in finding.parts if part.part.aim == "shown"}
    apart = shown["told_apart_0.1"]
    assert apart.part.margin == pytest.approx(0.06) and apart.seeds_needed is not None
    assert "against_clip_0.1_without_reacher" in shown


def test_an_objective_of_ones_own_is_none_of_the_papers_settings() -> None:
    data = table1_world(0.5)
    plan = data.studies["table1"].plan
    plan["variants"].append({"name": "mine", "label": "mine", "published": None})
    mine = data.measures["table1"].query("variant == 'clip_0.1'").assign(variant="mine", u=5.0)
    data.measures["table1"] = pd.concat([data.measures["table1"], mine])
    finding = find("E5", data)
    assert finding.verdict == SUPPORTED
    assert sum(part.part.key.startswith("against_") for part in finding.parts) == 2 * 10  # Reacher


def test_trpos_approximations_are_shown_as_they_were_measured() -> None:
    data = exactness_world(0.0)
    study = data.studies["trpo_exactness"]
    for entry in study.plan["variants"]:
        entry["algo"] = {"name": "trpo", "max_kl": 0.01}
    made = {
        "cg_residual": [0.1, 0.3, 0.2],
        "kl": [0.009, 0.004, 0.0],
        "improvement": [0.9, 0.5, 0.0],
        "expected_improvement": [1.0, 1.0, 1.0],
        "step_accepted": [1.0, 1.0, 0.0],
        "backtracks": [0.0, 2.0, 10.0],
    }
    study.__dict__["updates"] = pd.concat(
        [pd.DataFrame(made).assign(variant=name) for name in study.variants]
    )
    (table,) = find("T3", data).evidence.tables()
    assert [len(row) for row in table.rows] == [len(table.columns)] * 4
    # Two full steps were refused; the third's KL over δ; of taken steps the gain; two were taken.
    assert table.rows[0][1:] == pytest.approx([3, 0.2, 2 / 3, 0.9, 0.7, 2 / 3, 1.0])


def test_an_update_that_turns_back_is_stopped_where_it_is_furthest() -> None:
    data = dataclasses.replace(stopping_world(1.0, 0.0), probes=worlds.probes())
    (table,) = find("S3", data).evidence.tables()
    (row,) = table.rows
    assert len(row) == len(table.columns) and row[:2] == ["hopper", 1]
    # After one, three and ten passes; without the clip after ten; the third of ten is the largest.
    assert row[2:8] == pytest.approx([0.01, 0.06, 0.03, 0.7, 0.5, 1.0])
    # Ended above 0.015 after the second pass, at 0.03; above 0.045 after the third, at 0.06.
    assert row[8:] == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.5, 0.5])


def test_an_update_that_passes_the_limit_at_its_end_is_not_stopped_early() -> None:
    record = worlds.probes()["update_passes"]
    record.loc[record.method == "ppo", "kl"] = [0.001] * 9 + [0.05]
    data = dataclasses.replace(stopping_world(1.0, 0.0), probes={"update_passes": record})
    (table,) = find("S3", data).evidence.tables()
    (row,) = table.rows
    assert row[8:] == [0.0, None, 1.0, 0.0, None, 1.0]


def test_published_returns_stand_beside_ours_with_their_definitions() -> None:
    returns = pd.read_csv("results/published/reference_returns.csv")
    data = dataclasses.replace(methods_world(0.0, 0.0), published={"reference_returns": returns})
    _, beside, table, _ = find("P1", data).evidence.tables()
    rows = pd.DataFrame(table.rows, columns=table.columns)
    hopper = rows[rows.environment.str.startswith("Hopper")]
    assert hopper.source.iloc[0].startswith("here, paper2017")
    assert hopper.source.iloc[1].startswith("here, modern")
    engstrom = hopper[hopper.source == "Engstrom et al. 2020"].iloc[0]
    assert (engstrom.PPO, engstrom.TRPO) == (2513, 2043)
    assert engstrom.definition == "mean final reward"
    # One of them alone, and more steps than ours: said.
    slm_lab = hopper[hopper.source.str.startswith("SLM-Lab")].iloc[0]
    assert slm_lab.environment == "Hopper-v5" and slm_lab["env steps"] == 4_000_000
    assert slm_lab.PPO == 1653.74 and pd.isna(slm_lab.TRPO)
    assert len(hopper) == len(hopper.drop_duplicates("source"))
    assert set(comparison.SOURCES) <= set(returns.source)
    assert (hopper.definition.str.len() > 10).all() and len(hopper) > 5
    assert [row[1] for row in beside.rows][:1] == [
        "probability that a run of PPO is better than a run of TRPO"
    ]


def test_what_stands_beside_the_mean_is_ppo_s_against_trpo_s() -> None:
    """PPO is always better under the one recipe, and always worse under the other."""
    data = methods_world(0.3, -0.3, sd=0.0)
    for table in data.measures.values():
        table["final"] = table.variant.map({"ppo": 60.0, "trpo": 40.0}).fillna(0.0)
    returns = pd.read_csv("results/published/reference_returns.csv")
    data = dataclasses.replace(data, published={"reference_returns": returns})
    _, beside, published, _ = find("P1", data).evidence.tables()
    assert [(row[0], round(row[2], 9)) for row in beside.rows] == [
        ("paper2017", 1.0),
        ("paper2017", 0.3),
        ("modern", 0.0),
        ("modern", -0.3),
    ]
    rows = pd.DataFrame(published.rows, columns=published.columns)
    here = rows[rows.source.str.startswith("here")]
    assert set(here.PPO) == {60.0} and set(here.TRPO) == {40.0} and len(here) == 14


def test_the_sooner_half_way_the_larger_is_z() -> None:
    def steps(env: str, variant: str, seed: int) -> float:
        return {"clip_0.3": 100_000.0, "clip_0.05": 300_000.0}.get(variant, 200_000.0) + seed

    (table,) = find("E2", world("epsilon", VARIANTS, 5, steps_to_half=steps)).evidence.tables()
    z = {row[0]: row[3] for row in table.rows}
    assert z[0.3] > 3 and z[0.05] < -3 and abs(z[0.1]) < 1e-9


def test_a_trend_over_single_seeds_was_run_and_is_too_little() -> None:
    found = find("E3", stability_world([0, 0, 0, 0, 0.5], [0.02] * 5, seeds=1))
    assert {effect(each) for each in found.parts if each.part.aim == "rises"} == {"too few seeds"}


def test_code_level_details_stand_beside_the_algorithm() -> None:
    """The details are worth 0.4 in TRPO and 0.1 in PPO; without them PPO is 0.3 above TRPO."""
    worth = {"comparison": (0.4, 0.1), "comparison_modern": (0.5, 0.5)}
    data = together(
        *(
            world(n, METHODS, u=around({"ppo": p, "trpo": t, "vpg": 0, "ppo_noclip": 0}, 0.01, n))
            for n, (p, t) in worth.items()
        )
    )
    rows = {row[0]: row[1:] for row in find("P1", data).evidence.tables()[0].rows}
    means = [row[0] for row in rows.values()]
    assert means == pytest.approx([0.3, 0.0, -0.1, 0.1, 0.4], abs=0.02)
    assert all(low < mean < high and envs == 7 for mean, low, high, envs in rows.values())


def test_bipedal_walker_is_shown_and_not_judged() -> None:
    envs = {"hopper": "Hopper-v5", "bipedal_walker": "BipedalWalker-v3"}
    data = together(
        world(
            "comparison", METHODS, envs=envs, u=around(dict.fromkeys(METHODS, 0.3) | {"ppo": 0.8})
        ),
        world("comparison_modern", METHODS, envs=envs),
    )
    finding = find("P3", data)
    assert finding.verdict == "no rule"
    said = sentence(finding, worlds.SETTINGS.words)
    assert "+0.5" in said and "paper2017" in said
    assert {env for part in finding.parts for env in part.part.by_env} == {"bipedal_walker"}
    alone = Data({"comparison": data.studies["comparison"]}, data.measures, {}, {})
    said = sentence(find("P3", alone), worlds.SETTINGS.words)
    assert "under paper2017 and was not run under modern" in said and "+0.5" in said


def test_bipedal_walker_is_no_part_of_the_other_comparisons() -> None:
    envs = {**PAPER, "bipedal_walker": "BipedalWalker-v3"}
    data = together(
        *(world(name, METHODS, envs=envs) for name in ("comparison", "comparison_modern"))
    )
    for claim in ("P1", "C5", "I2"):
        judged_on = {env for part in find(claim, data).parts for env in part.part.by_env}
        assert judged_on == set(PAPER)


def test_an_environment_without_a_published_scale_has_no_part_in_u() -> None:
    data = methods_world(0.3, 0.3)
    for table in data.measures.values():
        table.loc[table.env == "swimmer", "u"] = math.nan
    assert "swimmer" not in find("P1", data).parts[0].part.by_env
    unstable = stability_world(WORSE, WIDER)
    all_of_them = find("E3", unstable).parts[-1].part.count
    for table in unstable.measures.values():
        table.loc[table.env == "swimmer", "u"] = math.nan
    without = find("E3", unstable).parts[-1].part.count
    assert all_of_them is not None and without is not None
    assert without[1] == all_of_them[1] * (len(PAPER) - 1) // len(PAPER)


def test_costs_are_ratios_of_what_took_turns() -> None:
    found = find("T2", cost_world())
    parts = {part.part.key: part for part in found.parts}
    for key, ratio in (("per_pass", 12), ("whole", 1.2), ("step_per_pass", 8)):
        assert parts[key].part.aim == "shown" and parts[key].verdict == ""
        assert math.exp(parts[key].low) == pytest.approx(ratio)
        assert math.exp(parts[key].high) == pytest.approx(ratio)
    # The batch itself is in both.
    assert 1 < math.exp(parts["memory"].part.estimate.value) < 1.2


def test_small_networks_are_in_no_fit_and_in_the_tables() -> None:
    data = cost_world(explicit_fisher=lambda p: 4.0 * p**2 if p >= 1e4 else 1e12)
    found = find("T2", data)
    assert found.verdict == SUPPORTED
    ratios, exponents, time, memory, flops = found.evidence.tables()
    assert ratios.rows[0][:3] == [2500, "TRPO over PPO", pytest.approx(1.2)]
    assert time.rows[0][0] == "2,500" and len(exponents.rows) == 5 * 3
    for table in (time, memory, flops):
        assert [len(row) for row in table.rows] == [len(table.columns)] * 6
        assert table.rows[-1][0] == "70,000,000,000, extrapolated"
    assert memory.rows[-1][-1] == pytest.approx(4 * 7e10**2, rel=1e-6)
    # Fewer bytes than there are parameters: what grows more slowly than they do is not drawn out.
    slow = cost_world(ppo=lambda p: 1e4 * p**0.7, trpo=lambda p: 4.0 * p)
    (last,) = find("T2", slow).evidence.tables()[3].rows[-1:]
    assert last[2] is None and last[4] == pytest.approx(4 * 7e10)


def test_a_matrix_that_was_not_built_is_in_no_fit() -> None:
    data = cost_world()
    rows = data.probes["update_cost"]
    beyond = (rows.method == "explicit_fisher") & (rows.hidden == 250)
    rows.loc[beyond, ["seconds", "peak_bytes", "flops"]] = math.nan
    found = find("T2", data)
    (squared, *_) = found.parts
    assert found.verdict == SUPPORTED and squared.part.estimate.n == 3
    memory = found.evidence.tables()[3]
    assert memory.rows[-2][0] == "62,500" and memory.rows[-2][-1] is None


def test_two_sizes_make_no_exponent() -> None:
    rows = cost_world().probes["update_cost"]
    found = find("T2", Data(probes={"update_cost": rows[rows.hidden <= 150]}))
    assert found.verdict == NOT_RUN


def test_lines_that_both_need_count_for_neither() -> None:
    found = find("P2", lines_world(ppo=10, trpo=20, both=500))
    counts = {part.part.key: part.part.count for part in found.parts}
    assert counts["half"] == (0, 10) and counts["short"] == (0, 9)
    assert counts["ppo"] == (10, 510) and counts["trpo"] == (20, 520)
    # clamp and minimum; where, since both multiply.
    assert counts["ppo_operations"] == (2, 4) and counts["trpo_operations"] == (1, 3)
    modules, definitions = found.evidence.tables()
    assert modules.rows[-1] == ["all", 10, 20, 500, 9] and len(definitions.rows) == 4


def test_c4_says_on_which_environments_the_policy_does_not_stay() -> None:
    data = anatomy_world()
    updates = data.probes["update_anatomy"]
    updates.loc[(updates.env == "hopper") & (updates.method == "ppo"), "outside_own"] += 0.1
    found = find("C4", data)
    assert found.verdict == IN_PART and found.why == "fails on Hopper-v5"
    assert "(fails on Hopper-v5): after one update at ε = 0.2, 5.1 % [" in sentence(
        found, worlds.SETTINGS.words
    )


def test_c4_takes_a_seed_for_one_however_many_batches_it_has() -> None:
    data = anatomy_world(0.02, 0.01)
    (stays,) = [p.part for p in find("C4", data).parts if p.part.key == "stays"]
    assert stays.by_env["hopper"].n == 3
    assert stays.by_env["hopper"].value == pytest.approx(0.01 - 0.03)
    updates = data.probes["update_anatomy"]
    data.probes["update_anatomy"] = pd.concat([updates, updates.assign(env_steps=2048)])
    (again,) = [p.part for p in find("C4", data).parts if p.part.key == "stays"]
    assert again.by_env == stays.by_env


def test_c4_a_policy_that_left_the_finite_numbers_counts_as_the_worst() -> None:
    data = anatomy_world()
    updates = data.probes["update_anatomy"]
    lost = (updates.method == "ppo") & (updates.setting == 0.2)
    updates.loc[lost, ["outside_own", "ratio_max"]] = math.nan
    found = {p.part.key: p.part for p in find("C4", data).parts}
    assert found["outside"].estimate is not None and found["outside"].estimate.value == 1
    assert found["largest"].estimate is not None
    assert found["largest"].estimate.value == pytest.approx(math.log(1e6))


def test_n4_shows_what_is_left_of_a_batch() -> None:
    (table,) = find("N4", anatomy_world()).evidence.tables()
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["TRPO"][:4] == [6, -1, -1, -1]
    # The update itself, once: of the line's points none is as near.
    assert rows["PPO without its clip"][-2] == pytest.approx(1 / (1 + 1.01**2))
    assert rows["PPO"][-1] == pytest.approx(1 / (1 + 1.5**2))
    assert rows["every state moved alike: e^(−2·KL)"][-2] == pytest.approx(math.exp(-2))
    updates, line = find("C4", anatomy_world()).evidence.tables()
    assert len(updates.rows) == 2 * 8 and len(updates.rows[0]) == len(updates.columns)
    assert [row[2] for row in line.rows] == [0.5, 1.0, 1.5] * 4
    assert all(len(row) == len(line.columns) for row in line.rows)


def test_i2_shows_how_many_times_a_sample_counts() -> None:
    table, *_ = find("I2", clip_world(0.3, 0.3, 10)).evidence.tables()
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows[1.0] == [1, 1, 1]
    assert rows[2.0] == [2, 0, 2] and rows[0.5] == [0.5, 0.5, 0]


def with_change(data: Data, study: str, u: Mapping[str, float]) -> Data:
    """A change half-way in every run of a study; ``u`` of each environment before and after it."""
    of_study = data.studies[study]
    for variant in of_study.plan["variants"]:
        variant["change"] = {"at_share": 0.5}
    data.measures[study]["reference_return"] = 1.0
    rows = [
        {"env_step": 2048 * k, "episodic_return": u[run["env"]] * (1 if k <= 244 else 0)}
        | {key: run[key] for key in ("env", "variant", "seed")}
        for run in of_study.plan["runs"]
        for k in range(1, 489)
    ]
    of_study.__dict__["episodes"] = pd.DataFrame(rows)
    return data


def test_fine_tuning_is_of_policies_that_were_trained() -> None:
    few = dict.fromkeys(PAPER, 0.2)
    data = with_change(use_world(0.3, 0.3, 0.3), "fine_tuning", {**few, "hopper": 0.3})
    found = find("E4", data)
    assert list(found.parts[0].part.by_env) == ["hopper"]
    judged = found.evidence.judged
    assert judged["fine_tuning"] == {"hopper"} and judged["epsilon"] > judged["fine_tuning"]
    # Those that had not learnt are shown all the same: before, and ε = 0.05 and 0.5 at the end.
    (table,) = found.evidence.tables()
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["hopper"][0] == pytest.approx(0.3) and rows["walker2d"][0] == pytest.approx(0.2)
    assert rows["walker2d"][1] == pytest.approx(0.8, abs=0.05)
    assert rows["walker2d"][5] == pytest.approx(0.5, abs=0.05)
    # Two of the five seeds had diverged by then.
    episodes = data.studies["fine_tuning"].episodes
    gone = (episodes.env == "hopper") & (episodes.seed < 2) & (episodes.env_step > 2048 * 9)
    data.studies["fine_tuning"].__dict__["episodes"] = episodes[~gone]
    assert find("E4", data).parts[0].verdict == NOT_RUN
    nothing = find("E4", with_change(use_world(0.3, 0.3, 0.3), "fine_tuning", few))
    assert nothing.verdict == IN_PART and "fine_tuning" not in nothing.evidence.judged
    assert effect(nothing.parts[0]) == "not judged: too little had been learnt"
    said = sentence(nothing, worlds.SETTINGS.words)
    assert "for: 0.05 in fine-tuning is not judged, as on no environment policies had" in said


def test_a_method_that_never_fell_is_told_apart() -> None:
    data = undo_world({"vpg": 1, "trpo": 1, "ppo": 1})
    episodes = data.studies["no_undo"].episodes
    episodes.loc[episodes.variant == "vpg", "episodic_return"] = 0.1
    found = find("N2", data)
    assert found.verdict == IN_PART
    assert "no run of naive policy gradient, since none had learnt and was halved" in sentence(
        found, worlds.SETTINGS.words
    )


def test_recipes_are_compared_where_runs_are_of_one_length() -> None:
    def shown(length: int) -> tuple[bool, list[object]]:
        data = clip_world(0.3, 0.3, 10)
        data.studies["comparison_modern"].plan["total_env_steps"] = length
        (both,) = [judged for judged in find("C5", data).parts if judged.part.key == "interaction"]
        details = find("P1", data).evidence.tables()[0]
        return both.part.estimate is not None, [row[0] for row in details.rows]

    alike, unlike = shown(999_424), shown(204_800)
    assert alike[0] and not unlike[0]
    assert len(alike[1]) == 5
    assert unlike[1] == [label for label in alike[1] if "both" in str(label)]


def test_one_environment_that_makes_it_all_is_seen() -> None:
    table = find("P1", methods_world(0.0, 0.0, sd=0.0, hopper=0.7)).evidence.tables()[-1]
    assert table.columns[:2] == ["difference or factor", "without"]
    rows = {row[1]: row[2] for row in table.rows if "paper2017" in row[0]}
    assert rows.pop("Hopper-v5") == pytest.approx(0.0)
    assert len(rows) == len(PAPER) - 1
    assert list(rows.values()) == pytest.approx([0.7 / (len(PAPER) - 1)] * len(rows))
    kl = [
        row
        for row in find("C5", clip_world(0.3, 0.3, 10)).evidence.tables()[-1].rows
        if "KL" in row[0]
    ]
    assert [row[2] for row in kl] == pytest.approx([10.0] * len(kl), rel=0.05) and kl


def test_ours_and_published_scores_are_ranked() -> None:
    data = table1_world(0.5, better=0.9)
    tables = find("E5", data).evidence.tables()
    (order,) = [table for table in tables if table.title == "Ours against published scores"]
    ((group, settings, rank, apart, at),) = order.rows[:1]
    # Published are 0.76, 0.82 and 0.70 for 0.1, 0.2 and 0.3; ours rise.
    assert (group, settings) == ("all settings", 3)
    assert rank == pytest.approx(-0.5) and at == "clip_0.3" and apart > 0.1


def test_where_no_run_has_learnt_an_environment_the_others_make_the_score() -> None:
    data = table1_world(0.5)
    runs = data.measures["table1"]
    score = runs.score.where(runs.env != "hopper", runs.untrained - 1)
    data = dataclasses.replace(data, measures={"table1": runs.assign(score=score)})
    tables = find("E5", data).evidence.tables()
    (scores,) = [table for table in tables if table.title == "The paper’s statistic"]
    assert all(0.5 < row[1] <= 1 for row in scores.rows)


def test_a_part_on_fewer_environments_says_so() -> None:
    data = methods_world(0.3, 0.3)
    modern = data.measures["comparison_modern"]
    few = {**data.measures, "comparison_modern": modern[modern.env.isin(["hopper"])]}
    found = find("P1", Data(data.studies, few, data.probes, data.published))
    assert "(run on 1 of 7 environments)" in sentence(found, worlds.SETTINGS.words)
    assert "environments)" not in sentence(find("P1", data), worlds.SETTINGS.words)


def test_without_a_published_return_an_environment_was_run_all_the_same() -> None:
    """It has no u, but a KL: C5's parts in u are no fewer than there can be."""
    data = clip_world(0.3, 0.3, 10)
    for table in data.measures.values():
        table.loc[table.env == "swimmer", "u"] = math.nan
    found = find("C5", data)
    known = {each.part.key: len(each.part.by_env) for each in found.parts}
    assert known["kl"] == len(PAPER) and known["modern"] == len(PAPER) - 1
    assert "environments)" not in sentence(found, worlds.SETTINGS.words)


def test_entropy_is_compared_where_all_runs_have_one_at_the_end() -> None:
    data = higher_world(0.0, 2)
    study = data.studies["clip_higher"]
    rows = study.updates
    late = (rows.env == "hopper") & (rows.seed == 0) & (rows.env_step > 2048)
    study.__dict__["updates"] = rows[~late]
    parts = {judged.part.key: judged.part for judged in find("C9", data).parts}
    assert "hopper" not in parts["entropy"].by_env and "hopper" in parts["final"].by_env
