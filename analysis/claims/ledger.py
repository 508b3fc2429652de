"""Parts → verdicts, at the level that the claim's family leaves to it.

A claim of several parts is a conjunction: all must be supported, and one that is contradicted
contradicts it.  So nothing is corrected for what is claimed, and Bonferroni over the parts is for
what speaks against.  The claim's p follows from both; Holm's procedure over the family gives each
test its level, and every interval is shown at the level at which it was judged.  Claims of a family
that were not run, or that their data cannot decide, count as tests with p = 1: a later run cannot
weaken a verdict of today.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats  # type: ignore[import-untyped]

from analysis.claims.configuration import Claim, LedgerSettings
from analysis.claims.parts import Evidence, Part, U, without_env
from analysis.significance import holm_levels
from analysis.statistics import Estimate, mean_over_environments, satterthwaite

NOT_RUN = "not run"
NO_EFFECT = "no relevant effect"
SUPPORTED = "supported"
CONTRADICTED = "contradicted"
IN_PART = "supported in part"
INCONCLUSIVE = "inconclusive"
NO_RULE = "no rule"
VERDICTS = (NOT_RUN, NO_EFFECT, SUPPORTED, CONTRADICTED, IN_PART, INCONCLUSIVE, NO_RULE)

TOO_SHORT = "too short on"
TOO_FEW = "too few seeds"
AT_LEAST = "what was measured is a lower bound"
UNCORRECTED = "against the claim only if its parts are not corrected for each other"
MAX_SEEDS = 10_000
JUDGED = ("above", "not below", "within", "often", "rises", "never")


@dataclass(frozen=True)
class Judged:
    """A part with its verdict.

    Args:
        level: of the interval.
        low, high: bounds, in the estimate's unit (of a factor logarithms); NaN: none.
        why: what keeps the data from deciding; empty where they do.
        seeds_needed: to tell an effect of the margin's size from none; None: not known.

    """

    part: Part
    verdict: str
    level: float
    low: float
    high: float
    why: str = ""
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Finding:
    """The verdict of a claim, its parts, and what they are made of."""

    claim: Claim
    verdict: str
    why: str
    parts: list[Judged]
    evidence: Evidence
    seeds_needed: int | None


def ledger(
    claims: Mapping[str, Claim],
    evidence: Mapping[str, Evidence],
    settings: LedgerSettings,
    env_labels: Mapping[str, str] | None = None,
) -> dict[str, Finding]:
    """The finding of every claim.

    Args:
        claims: all of ``conf/claims``, whether judged or not: families have their size from here.
        evidence: of those that could be run.
        settings: error rate and limits.
        env_labels: what people read instead of an environment's name.

    """
    levels = _levels(claims, evidence, settings)
    empty = Evidence([])
    return {
        name: _finding(claim, evidence.get(name, empty), levels, settings, env_labels or {})
        for name, claim in claims.items()
    }


# ----------------------------------------------------------------------------- levels of a family


def _levels(
    claims: Mapping[str, Claim], evidence: Mapping[str, Evidence], settings: LedgerSettings
) -> dict[tuple[str, str], float]:
    """(claim, test) → level at which it is judged."""
    level_of: dict[tuple[str, str], float] = {}
    families = {claim.family for claim in claims.values() if claim.family is not None}
    for family in sorted(families):
        p_values: dict[tuple[str, str], float] = {}
        for name, claim in claims.items():
            if claim.family == family:
                tests = parts_by_test(evidence[name].parts) if name in evidence else {}
                if not tests:
                    tests = {str(k or ""): [] for k in range(claim.tests)}
                undecided = name in evidence and bool(evidence[name].undecided)
                for test, parts in tests.items():
                    p_values[name, test] = 1.0 if undecided else _p_of_test(parts, settings)
        levels = holm_levels(list(p_values.values()), 1 - settings.alpha)
        level_of.update(zip(p_values, map(float, levels), strict=True))
    return level_of


def parts_by_test(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """The parts that have a p, by test."""
    tests: dict[str, list[Part]] = {}
    for part in parts:
        if part.aim in ("above", "not below", "within", "often", "rises"):
            tests.setdefault(part.test, []).append(part)
    return tests


def _that_ran(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.estimate is not None]


def _p_of_test(parts: list[Part], settings: LedgerSettings) -> float:
    """The smallest level at which the test says something.

    For the claim all parts must pass; against it, one suffices, so Bonferroni; "no relevant effect"
    is of all parts again, where some effect is claimed.
    """
    if not parts:
        return 1.0
    known = _that_ran(parts)
    against = [_p_against(part) for part in known]
    p = min(1.0, len(against) * min(against)) if against else 1.0
    if len(known) == len(parts):
        p = min(p, max(_p_for(part, settings) for part in parts))
        if any(part.aim == "above" for part in parts):
            p = min(p, max(_p_no_effect(part, settings) for part in parts))
    return p


def _p_for(part: Part, settings: LedgerSettings) -> float:
    assert part.estimate is not None
    if part.aim == "rises":
        return min(1.0, 2 * part.p_values[0]) if part.p_values else 1.0
    if part.aim == "often":
        return _p_share(part, "greater")
    if part.aim == "not below":
        long_enough = _on_learnt(part, settings)
        return 1.0 if long_enough is None else long_enough.p_above(-part.margin)
    if part.aim == "within":
        return _p_inside(_on_learnt(part, settings), part.margin)
    return part.estimate.p_above()


def _p_inside(estimate: Estimate | None, margin: float) -> float:
    """Of an estimate between −margin and margin; 1 where there is none."""
    return 1.0 if estimate is None else max(estimate.p_above(-margin), estimate.p_below(margin))


def _p_against(part: Part) -> float:
    assert part.estimate is not None
    if part.at_least:
        return 1.0
    if part.aim == "rises":
        return min(1.0, 2 * part.p_values[1]) if part.p_values else 1.0
    if part.aim == "often":
        return _p_share(part, "less")
    if part.aim == "within":
        return min(part.estimate.p_below(-part.margin), part.estimate.p_above(part.margin))
    return part.estimate.p_below(-part.margin if part.aim == "not below" else 0.0)


def _p_no_effect(part: Part, settings: LedgerSettings) -> float:
    assert part.estimate is not None
    if part.aim == "within":
        return _p_inside(_on_learnt(part, settings), part.margin)
    if part.aim not in ("above", "not below") or part.margin == 0 or part.at_least:
        return 1.0
    return _p_inside(part.estimate, part.margin)


def _p_share(part: Part, alternative: str) -> float:
    assert part.count is not None
    hits, total = part.count
    test = stats.binomtest(hits, total, part.margin, alternative=alternative)
    return min(1.0, 2 * float(test.pvalue))


# ------------------------------------------------------------------------------------------ parts


def _short(part: Part, settings: LedgerSettings) -> list[str]:
    """Environments where the better side has not learnt enough to be called equal."""
    return [env for env in part.by_env if part.reached.get(env, math.inf) < settings.learnt_u]


def _on_learnt(part: Part, settings: LedgerSettings) -> Estimate | None:
    """The estimate on the environments that are long enough."""
    short = _short(part, settings)
    if not short:
        return part.estimate
    kept = [estimate for env, estimate in part.by_env.items() if env not in short]
    return mean_over_environments(kept) if kept else None


def judge(part: Part, level: float, settings: LedgerSettings, parts: int = 1) -> Judged:
    """The verdict of one part, from the interval at ``level``.

    Args:
        parts: of its test that were run; with so many chances to be contradicted, α is divided
            by them.

    """
    if part.estimate is None and part.count is None:
        return Judged(part, NOT_RUN, level, math.nan, math.nan, "not run")
    low, high = _bounds(part, level)
    if part.aim == "never":
        assert part.count is not None
        verdict, why = (CONTRADICTED if part.count[0] else SUPPORTED), ""
    elif part.aim in ("guard", "shown"):
        verdict, why = "", ""
    else:
        verdict, why = _for_the_claim(part, level, settings)
        # Too small to matter is not against what is claimed, however short the runs.
        small = part.aim == "above" and why == TOO_SHORT
        open_ = verdict in (INCONCLUSIVE, IN_PART) and not small
        if open_ and (p := _p_against(part)) <= 1 - level:
            corrected = p * parts <= 1 - level
            verdict, why = (CONTRADICTED, "") if corrected else (INCONCLUSIVE, UNCORRECTED)
    seeds = None if why == AT_LEAST else seeds_to_tell(part, level, settings.power)
    return Judged(part, verdict, level, low, high, why, seeds)


def _bounds(part: Part, level: float) -> tuple[float, float]:
    """Bounds of the estimate: t, or Clopper–Pearson for counts; NaN where there is no interval."""
    if part.estimate is None:
        return math.nan, math.nan
    if part.aim == "rises":
        return math.nan, math.nan
    if part.count is not None:
        interval = stats.binomtest(*part.count).proportion_ci(level, method="exact")
        return float(interval.low), float(interval.high)
    return part.estimate.bounds(level)


def _for_the_claim(part: Part, level: float, settings: LedgerSettings) -> tuple[str, str]:
    """Whether a part passes or has no relevant effect, and else what keeps it from that."""
    low, _ = _bounds(part, level)
    if part.aim == "rises":
        if part.p_values is None:
            return INCONCLUSIVE, TOO_FEW
        return (SUPPORTED if 2 * part.p_values[0] <= 1 - level else INCONCLUSIVE), ""
    if part.aim == "often":
        return (SUPPORTED if low > part.margin else INCONCLUSIVE), ""
    assert part.estimate is not None
    if math.isnan(low):
        return INCONCLUSIVE, TOO_FEW
    inside = _is_inside(part.estimate, level, part.margin)
    if part.aim == "within":
        return _where_learnt(part, settings, lambda each: _is_inside(each, level, part.margin))
    better = low > 0 and part.estimate.value >= part.margin
    if part.aim == "not below":
        # What is better needs no level that was reached.
        return (
            (SUPPORTED, "")
            if better
            else _where_learnt(part, settings, lambda each: each.bounds(level)[0] > -part.margin)
        )
    if part.at_least:
        return (SUPPORTED, "") if better else (INCONCLUSIVE, AT_LEAST)
    if inside:
        # Policies that have not learnt are alike; that says nothing of the methods.
        return (INCONCLUSIVE, TOO_SHORT) if _short(part, settings) else (NO_EFFECT, "")
    return (SUPPORTED if better else INCONCLUSIVE), ""


def _is_inside(estimate: Estimate, level: float, margin: float) -> bool:
    low, high = estimate.bounds(level)
    return -margin < low and high < margin


def _where_learnt(
    part: Part, settings: LedgerSettings, holds: Callable[[Estimate], bool]
) -> tuple[str, str]:
    """Whether something holds where policies have learnt; in part where others have not."""
    short, long_enough = _short(part, settings), _on_learnt(part, settings)
    why = TOO_SHORT if short else ""
    if long_enough is None or not holds(long_enough):
        return INCONCLUSIVE, why
    return (IN_PART if short else SUPPORTED), why


def with_what_decided(judged: Judged, settings: LedgerSettings) -> list[Judged]:
    """A part, and beside one that holds in part the same on the environments that decided it."""
    part = judged.part
    if judged.verdict != IN_PART:
        return [judged]
    short = _short(part, settings)
    learnt = replace(
        part,
        key=f"{part.key}_learnt",
        label=f"{part.label}, where policies have learnt",
        aim="shown",
        estimate=_on_learnt(part, settings),
        by_env={env: estimate for env, estimate in part.by_env.items() if env not in short},
    )
    return [judged, judge(learnt, judged.level, settings)]


def guard_failures(judged: Judged) -> list[str]:
    """Environments of a guard that are wholly below −margin."""
    if judged.part.aim != "guard":
        return []
    level = level_of_each(judged)
    estimates = judged.part.by_env.items()
    return [env for env, each in estimates if each.bounds(level)[1] < -judged.part.margin]


def level_of_each(judged: Judged) -> float:
    """Level of the intervals on single environments; of a guard, Bonferroni over them."""
    if judged.part.aim != "guard":
        return judged.level
    return 1 - (1 - judged.level) / max(len(judged.part.by_env), 1)


def seeds_to_tell(part: Part, level: float, power: float) -> int | None:
    """Seeds per environment with which an effect of the margin's size would be told from none.

    The least S with ``t_ν((1 + level) / 2) + t_ν(q) ≤ margin / SE_S``: q is the power, and of an
    aim of ``within`` (1 + power) / 2.  On each environment, from the seeds that it has, the
    standard error falls as ``1/√S`` and the degrees of freedom grow as ``S − 1``.  Of a part
    without a margin the effect is the one that was found, if it is on the claimed side.  None: no
    standard error, no effect, or more than 10,000 seeds.
    """
    estimate = part.estimate
    if estimate is None or part.seeds < 2:
        return None
    if part.aim == "often":
        return _seeds_for_share(part, level)
    if math.isnan(estimate.standard_error):
        return None
    effect = part.margin or estimate.value
    if effect <= 0:
        return None

    means = list(part.by_env.values()) or [replace(estimate, n=part.seeds)]
    of_one_seed = np.array([mean.standard_error**2 * mean.n for mean in means]) / len(means) ** 2
    df_of_two = np.array([mean.df / (mean.n - 1) for mean in means])

    # Both bounds must pass at once; where the truth is in the middle, each with half of what fails.
    q = (1 + power) / 2 if part.aim == "within" else power

    def enough(seeds: int) -> bool:
        error, df = satterthwaite(of_one_seed / seeds, df_of_two * (seeds - 1))
        quantiles = special.stdtrit(df, (1 + level) / 2) + special.stdtrit(df, q)
        return bool(quantiles * error <= effect)

    # The more seeds the surer: the first that are enough, by bisection.
    needed = bisect_left(range(2, MAX_SEEDS + 1), True, key=enough) + 2
    return needed if needed <= MAX_SEEDS else None


def _seeds_for_share(part: Part, level: float) -> int | None:
    """The least S with which such a share has both bounds on one side of the margin."""
    assert part.estimate is not None and part.count is not None
    seeds = np.arange(1, MAX_SEEDS + 1)
    total = seeds * part.cases_per_seed
    hits = np.round(part.estimate.value * total)
    tail = (1 - level) / 2
    # Clopper–Pearson.  At 0 hits the lower bound is 0, at all hits the upper is 1.
    low = np.where(hits > 0, special.betaincinv(np.maximum(hits, 1), total - hits + 1, tail), 0.0)
    rest = np.maximum(total - hits, 1)
    high = np.where(hits < total, special.betaincinv(hits + 1, rest, 1 - tail), 1.0)
    enough = np.flatnonzero((low > part.margin) | (high < part.margin))
    return int(seeds[enough[0]]) if len(enough) else None


# ----------------------------------------------------------------------------------------- claims


def _finding(
    claim: Claim,
    evidence: Evidence,
    levels: Mapping[tuple[str, str], float],
    settings: LedgerSettings,
    env_labels: Mapping[str, str],
) -> Finding:
    judged = []
    tests = parts_by_test(evidence.parts)
    for part in evidence.parts:
        level = levels.get((claim.name, part.test), 1 - settings.alpha)
        known = _that_ran(tests.get(part.test, []))
        judged.append(judge(part, level, settings, max(1, len(known))))
        if part.aim in JUDGED and part.estimate is not None and part.estimate.unit == U:
            for env in settings.shown_without:
                beside = without_env(part, env, env_labels.get(env, env))
                judged += [judge(each, level, settings) for each in beside]
    verdict, why = verdict_of(judged, evidence.undecided)
    if evidence.undecided:
        # What a part is compared with may be cut off as well: then it is no bound.
        judged = [replace(each, part=replace(each.part, at_least=False)) for each in judged]
    needed = evidence.seeds_needed
    curable = why != TOO_SHORT and not evidence.undecided
    if needed is None and verdict in (INCONCLUSIVE, IN_PART) and curable:
        needed = _seeds_needed(judged)
    if why == TOO_SHORT:
        short = [env for each in judged if each.why for env in _short(each.part, settings)]
        why = f"{why} {_names(short, env_labels)}"
    failures = [env for each in judged for env in guard_failures(each)]
    if failures and verdict == IN_PART:
        why = "; ".join(filter(None, [why, f"fails on {_names(failures, env_labels)}"]))
    return Finding(claim, verdict, why, judged, evidence, needed)


def _names(envs: Iterable[str], env_labels: Mapping[str, str]) -> str:
    return ", ".join(env_labels.get(env, env) for env in dict.fromkeys(envs))


def _seeds_needed(judged: Iterable[Judged]) -> int | None:
    """What the most demanding open part needs; None where one of them does not know.

    A part that has as many asks for none: what was found there lies between none and the margin.
    """
    most = 0
    for each in judged:
        if each.part.aim in JUDGED and each.verdict == INCONCLUSIVE:
            if each.seeds_needed is None:
                return None
            if each.seeds_needed > each.part.seeds:
                most = max(most, each.seeds_needed)
    return most or None


def verdict_of(judged: Sequence[Judged], undecided: str) -> tuple[str, str]:
    """A claim's verdict and what keeps it from being a better one."""
    parts = [each for each in judged if each.part.aim in JUDGED]
    shown = [each for each in judged if each.part.aim == "shown"]
    if not parts:
        ran = any(each.verdict != NOT_RUN for each in shown)
        return (NO_RULE, "") if ran else (NOT_RUN, "")
    verdicts = [each.verdict for each in parts]
    if all(verdict == NOT_RUN for verdict in verdicts) and not undecided:
        return NOT_RUN, ""
    if undecided:
        return INCONCLUSIVE, undecided
    if _no_effect(parts):
        return NO_EFFECT, ""
    if all(verdict == SUPPORTED for verdict in verdicts):
        failing = any(guard_failures(each) for each in judged)
        return (IN_PART if failing else SUPPORTED), ""
    if CONTRADICTED in verdicts:
        return CONTRADICTED, ""
    # What was not run, the sentence says in its own words.
    held_back = next((each for each in parts if each.why and each.verdict != NOT_RUN), None)
    why = held_back.why if held_back else ""
    if held_back and why == UNCORRECTED and len(parts) > 1:
        why = f"{held_back.part.label}: {why}"
    if SUPPORTED in verdicts or IN_PART in verdicts:
        return IN_PART, why
    return INCONCLUSIVE, why


def _no_effect(parts: Sequence[Judged]) -> bool:
    """Every effect that has a smallest size of interest is smaller, and no other is seen."""
    above = [each for each in parts if each.part.aim == "above"]
    sized = [each for each in above if each.part.margin > 0]
    others = [each for each in above if each.part.margin == 0]
    equal = [each for each in parts if each.part.aim == "not below"]
    within = [each for each in parts if each.part.aim == "within"]
    others += [each for each in parts if each.part.aim in ("rises", "often")]
    return (
        bool(sized)
        and all(each.verdict == NO_EFFECT for each in sized)
        and all(each.verdict == SUPPORTED and each.high < each.part.margin for each in equal)
        and all(each.verdict == SUPPORTED for each in within)
        and all(each.verdict == INCONCLUSIVE for each in others)
        and not any(each.verdict == CONTRADICTED for each in parts)
    )
