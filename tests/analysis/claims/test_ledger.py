"""Parts → verdicts: the order of the rules, the levels of a family, what is too short."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.ledger import (
    Finding,
    guard_failures,
    judge,
    ledger,
    level_of_each,
    seeds_to_tell,
    verdict_of,
    with_what_decided,
)
from analysis.claims.parts import Evidence, Part
from analysis.significance import holm
from analysis.statistics import Estimate, mean_estimate, mean_over_environments

CLAIMS = load_claims()
SETTINGS = load_ledger()
LEVEL = 0.95


def estimate(low: float, high: float, df: float = 30) -> Estimate:
    """With this interval at 95 %."""
    half = float(stats.t.ppf(0.975, df))
    return Estimate((low + high) / 2, (high - low) / 2 / half, df, 20, "u")


def above(low: float, high: float, margin: float = 0.1, learnt: float = 1.0) -> Part:
    measured = estimate(low, high)
    return Part("a", "a", "above", measured, margin, {"hopper": measured}, {"hopper": learnt}, 5)


def not_below(low: float, high: float, learnt: float = 1.0) -> Part:
    measured = estimate(low, high)
    return Part("b", "b", "not below", measured, 0.1, {"hopper": measured}, {"hopper": learnt}, 5)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.05, "no relevant effect"),
        (0.01, 0.09, "no relevant effect"),  # not 0, and too small to matter
        (-0.09, -0.01, "no relevant effect"),
        (0.05, 0.25, "supported"),
        (0.01, 0.15, "inconclusive"),  # not 0, but below the smallest effect of interest
        (-0.01, 0.35, "inconclusive"),
        (-0.35, -0.01, "contradicted"),
        (-0.3, 0.1, "inconclusive"),
    ],
)
def test_what_is_claimed_to_be_above(low: float, high: float, verdict: str) -> None:
    judged = judge(above(low, high), LEVEL, SETTINGS)
    assert judged.verdict == verdict
    assert (judged.low, judged.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.05, "inconclusive"),
        (0.05, 0.25, "supported"),
        (-0.35, -0.2, "inconclusive"),
    ],
)
def test_a_lower_bound_speaks_for_a_claim_alone(low: float, high: float, verdict: str) -> None:
    part = replace(above(low, high), at_least=True)
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.verdict == verdict
    assert (judged.seeds_needed is None) == (verdict == "inconclusive")  # more would not help
    assert (judged.why == "what was measured is a lower bound") == (verdict == "inconclusive")
    (of_claim,) = ledger({"N3": CLAIMS["N3"]}, {"N3": Evidence([part])}, SETTINGS)["N3"].parts
    assert of_claim.verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.05, "supported"),
        (-0.05, 0.4, "supported"),
        (0.05, 0.4, "supported"),
        (-0.11, 0.3, "inconclusive"),
        (-0.3, -0.05, "inconclusive"),
        (-0.3, -0.11, "contradicted"),
    ],
)
def test_what_is_claimed_to_be_not_below(low: float, high: float, verdict: str) -> None:
    assert judge(not_below(low, high), LEVEL, SETTINGS).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.09, 0.09, "supported"),
        (0.01, 0.09, "supported"),
        (-0.09, 0.11, "inconclusive"),
        (0.05, 0.3, "inconclusive"),
        (0.11, 0.3, "contradicted"),
        (-0.3, -0.11, "contradicted"),
    ],
)
def test_what_is_claimed_to_be_within(low: float, high: float, verdict: str) -> None:
    part = Part("w", "w", "within", estimate(low, high), 0.1)
    found = judge(part, LEVEL, SETTINGS)
    assert found.verdict == verdict and (found.low, found.high) == pytest.approx((low, high))
    # Alone in its claim, the p of its test is at most α where the verdict is one.
    evidence = {"T2": Evidence([part])}
    assert ledger({"T2": CLAIMS["T2"]}, evidence, SETTINGS)["T2"].verdict == verdict


@pytest.mark.parametrize(
    ("part", "verdict"),
    [
        (above(-0.05, 0.05, learnt=0.49), "inconclusive"),
        (above(-0.09, -0.01, learnt=0.49), "inconclusive"),  # not 0, and too small to matter
        (above(0.15, 0.25, learnt=0.1), "supported"),  # a difference needs no level
        (above(-0.25, -0.15, learnt=0.1), "contradicted"),
        (not_below(-0.05, 0.05, learnt=0.49), "inconclusive"),
        (not_below(0.15, 0.3, learnt=0.1), "supported"),
        (not_below(-0.3, -0.2, learnt=0.1), "contradicted"),
    ],
)
def test_nothing_is_called_equal_where_nothing_was_learnt(part: Part, verdict: str) -> None:
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.verdict == verdict
    assert (judged.why == "too short on") == (verdict == "inconclusive")


def test_equality_on_some_environments_is_a_part() -> None:
    by_env = {"hopper": estimate(-0.04, 0.04), "walker2d": estimate(-0.04, 0.04)}
    overall = mean_over_environments(list(by_env.values()))
    part = Part("b", "b", "not below", overall, 0.1, by_env, {"hopper": 0.9, "walker2d": 0.2}, 5)
    assert judge(part, LEVEL, SETTINGS).verdict == "supported in part"


def test_a_loss_is_not_hidden_by_environments_on_which_nothing_was_learnt() -> None:
    by_env = {"hopper": estimate(-0.04, 0.04), "walker2d": estimate(-0.5, -0.42)}
    overall = mean_over_environments(list(by_env.values()))
    part = Part("b", "b", "not below", overall, 0.1, by_env, {"hopper": 0.9, "walker2d": 0.4}, 5)
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.high < -part.margin and (judged.verdict, judged.why) == ("contradicted", "")


@pytest.mark.parametrize(
    ("hits", "total", "verdict"),
    [(0, 70, "contradicted"), (20, 70, "supported"), (8, 70, "inconclusive")],
)
def test_shares_have_exact_bounds(hits: int, total: int, verdict: str) -> None:
    measured = Estimate(hits / total, math.nan, 1.0, total, "share")
    part = Part("o", "o", "often", measured, 0.1, seeds=10, count=(hits, total), cases_per_seed=7)
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.verdict == verdict
    bounds = stats.beta.ppf([0.025, 0.975], [hits, hits + 1], [total - hits + 1, total - hits])
    assert judged.high == pytest.approx(bounds[1])
    assert judged.low == (pytest.approx(bounds[0]) if hits else 0.0)
    if verdict == "inconclusive":
        assert judged.seeds_needed is not None and judged.seeds_needed > 10


def test_a_trend_is_judged_two_sided() -> None:
    def verdict(p: tuple[float, float] | None) -> str:
        part = Part("r", "r", "rises", Estimate(1.0, 0.1, 9, 9, "share"), seeds=5, p_values=p)
        judged = judge(part, LEVEL, SETTINGS)
        assert math.isnan(judged.low) and math.isnan(judged.high)
        return judged.verdict

    assert verdict((0.025, 0.98)) == "supported" and verdict((0.026, 0.98)) == "inconclusive"
    assert verdict((0.98, 0.025)) == "contradicted" and verdict(None) == "inconclusive"


def test_one_violation_contradicts() -> None:
    def part(count: tuple[int, int]) -> Part:
        return Part("n", "n", "never", None, count=count)

    assert judge(part((0, 288)), LEVEL, SETTINGS).verdict == "supported"
    assert judge(part((1, 288)), LEVEL, SETTINGS).verdict == "contradicted"


def claim_verdict(*parts: Part, undecided: str = "") -> tuple[str, str]:
    return verdict_of([judge(part, LEVEL, SETTINGS) for part in parts], undecided)


def test_the_order_of_the_verdicts() -> None:
    good, bad, small, open_ = (
        above(0.2, 0.4),
        above(-0.4, -0.2),
        above(-0.05, 0.05),
        above(-1, 1),
    )
    missing = Part("m", "m", "above", None, 0.1)
    assert claim_verdict(small, small) == ("no relevant effect", "")
    assert claim_verdict(good, good) == ("supported", "")
    assert claim_verdict(good, bad)[0] == claim_verdict(small, bad)[0] == "contradicted"
    assert claim_verdict(good, small)[0] == claim_verdict(good, open_)[0] == "supported in part"
    assert claim_verdict(small, open_)[0] == "inconclusive"
    assert claim_verdict(good, missing) == ("supported in part", "")
    assert claim_verdict(missing, missing) == ("not run", "")
    assert claim_verdict(missing, undecided="no case") == ("inconclusive", "no case")
    assert claim_verdict(good, undecided="by design") == ("inconclusive", "by design")
    assert claim_verdict() == ("not run", "")


def test_no_relevant_effect_is_of_all_that_is_judged() -> None:
    small, equal = above(-0.05, 0.05), not_below(-0.05, 0.05)
    assert claim_verdict(small, equal)[0] == "no relevant effect"
    assert claim_verdict(small, not_below(0.05, 0.4))[0] == "supported in part"
    assert claim_verdict(small, not_below(-0.3, 0.3))[0] == "inconclusive"


def test_a_guard_spoils_what_holds_on_average() -> None:
    by_env = {"hopper": estimate(-0.4, -0.2), "walker2d": estimate(0.5, 0.7)}
    overall = mean_over_environments(list(by_env.values()))
    guard = judge(Part("g", "g", "guard", overall, 0.1, by_env), LEVEL, SETTINGS)
    assert guard_failures(guard) == ["hopper"] and level_of_each(guard) == pytest.approx(0.975)
    # Below at 95 %, but not at a level for both environments at once.
    by_env = {**by_env, "hopper": estimate(-0.3, -0.101)}
    close = judge(Part("g", "g", "guard", overall, 0.1, by_env), LEVEL, SETTINGS)
    assert guard_failures(close) == []
    average = judge(not_below(0.1, 0.3), LEVEL, SETTINGS)
    assert verdict_of([average, guard], "") == ("supported in part", "")
    assert verdict_of([average, close], "") == ("supported", "")


# ------------------------------------------------------------------------------------- families


def with_p(p: float, test: str = "") -> Part:
    """A difference with this two-sided p, above its margin."""
    t = float(stats.t.isf(p / 2, 30))
    measured = Estimate(1.0, 1.0 / t, 30, 20, "u")
    return Part(
        "a", "a", "above", measured, 0.1, {"hopper": measured}, {"hopper": 1.0}, 5, test=test
    )


def findings_of(**parts: list[Part]) -> Mapping[str, Finding]:
    evidence = {name: Evidence(of_claim) for name, of_claim in parts.items()}
    return ledger(CLAIMS, evidence, SETTINGS)


def test_a_family_is_judged_by_holm_and_intervals_have_the_same_level() -> None:
    p_values = {"E1": 0.010, "E2": 0.014, "E3": 0.030}
    findings = findings_of(**{name: [with_p(p)] for name, p in p_values.items()})
    # E4 was not run and counts as p = 1.
    adjusted = holm([*p_values.values(), 1.0])
    for (name, _), p in zip(p_values.items(), adjusted, strict=False):
        finding = findings[name]
        assert (finding.verdict == "supported") == (p <= SETTINGS.alpha)
        (judged,) = finding.parts
        assert (judged.low > 0) == (finding.verdict == "supported")
    levels = [findings[name].parts[0].level for name in p_values]
    assert levels == pytest.approx([1 - 0.05 / 4, 1 - 0.05 / 3, 1 - 0.05 / 2])


def test_after_the_first_that_fails_the_rest_are_judged_at_its_level() -> None:
    findings = findings_of(E1=[with_p(0.02)], E2=[with_p(0.04)], E3=[with_p(0.03)])
    levels = [findings[name].parts[0].level for name in ("E1", "E2", "E3")]
    assert levels == pytest.approx([1 - 0.05 / 4] * 3)
    assert not any(findings[name].verdict == "supported" for name in ("E1", "E2", "E3"))


def test_claims_that_were_not_run_count_with_all_their_tests() -> None:
    alone = findings_of(S3=[with_p(0.011, "a"), with_p(0.5, "b")])["S3"]
    others = {"S1": [with_p(0.9, "x"), with_p(0.9, "y")], "S2": [with_p(0.9)]}
    beside = findings_of(S3=[with_p(0.011, "a"), with_p(0.5, "b")], **others)["S3"]
    assert alone.parts[0].level == beside.parts[0].level == pytest.approx(1 - 0.05 / 5)
    assert alone.parts[0].verdict == beside.parts[0].verdict == "inconclusive"


def test_other_families_do_not_matter() -> None:
    alone = findings_of(E5=[with_p(0.03, "x")])["E5"]
    beside = findings_of(E5=[with_p(0.03, "x")], E1=[with_p(1e-9)], P1=[with_p(0.9)])["E5"]
    assert alone.verdict == beside.verdict == "supported"
    assert alone.parts[0].level == beside.parts[0].level == pytest.approx(0.95)


def test_tests_of_one_claim_are_a_family() -> None:
    parts = [with_p(0.004, "one"), with_p(0.04, "two")]
    ten = [with_p(0.9, f"t{i}") for i in range(8)]
    finding = findings_of(E5=parts + ten)["E5"]
    assert [judged.verdict for judged in finding.parts[:2]] == ["supported", "inconclusive"]
    assert finding.parts[0].level == pytest.approx(1 - 0.05 / 10)


def test_parts_of_one_test_need_no_correction_for_each_other() -> None:
    finding = findings_of(E1=[with_p(0.012)] * 4)["E1"]
    assert finding.verdict == "supported"
    assert finding.parts[0].level == pytest.approx(1 - 0.05 / 4)
    assert (
        findings_of(E1=[with_p(0.012)] * 3 + [with_p(0.013)])["E1"].verdict == "supported in part"
    )


def test_one_of_several_parts_contradicts_at_a_level_for_all_of_them() -> None:
    def verdicts(high: float) -> list[str]:
        against = above(-0.5, high)
        finding = findings_of(E1=[above(0.3, 0.9), above(0.3, 0.9), above(0.3, 0.9), against])["E1"]
        judged = finding.parts[-1]
        assert judged.high < 0
        assert finding.why == (f"{against.label}: {judged.why}" if judged.why else "")
        return [finding.verdict, judged.verdict, judged.why]

    # At 1 − 0.05 / 4 below 0, at 1 − 0.05 / 16 not; further down at both.
    assert verdicts(-0.09) == [
        "supported in part",
        "inconclusive",
        "against the claim only if its parts are not corrected for each other",
    ]
    assert verdicts(-0.2) == ["contradicted", "contradicted", ""]


def test_a_part_that_was_not_run_takes_nothing_from_the_level() -> None:
    absent = Part("absent", "absent", "above", None)
    alone, beside = (
        findings_of(E1=[above(-0.5, -0.08), *others])["E1"].parts[0] for others in ([], [absent])
    )
    assert alone.verdict == beside.verdict == "contradicted"


def test_p_and_interval_agree() -> None:
    one = estimate(0.0, 0.4)
    assert one.p_above() == pytest.approx(0.05)
    assert estimate(-0.1, 0.4).p_above(-0.1) == pytest.approx(0.05)
    assert estimate(-0.4, 0.0).p_below() == pytest.approx(0.05)
    assert Estimate(1.0, math.nan, math.nan, 1, "u").p_above() == 1.0


# ---------------------------------------------------------------------------------------- seeds


def test_seeds_to_tell_have_the_power_that_is_claimed() -> None:
    """With so many seeds an effect of the margin's size is told from none in four of five."""
    sd, margin, rng = 0.3, 0.2, np.random.default_rng(0)
    pilot = mean_estimate(np.array([-sd, sd, -sd, sd, 0.0]) * math.sqrt(5 / 4), "u")
    assert pilot.standard_error == pytest.approx(sd * math.sqrt(5 / 4) / math.sqrt(5))
    part = Part("a", "a", "above", pilot, margin, {"hopper": pilot}, seeds=5)
    seeds = seeds_to_tell(part, LEVEL, SETTINGS.power)
    assert seeds is not None

    def power(count: int) -> float:
        true_sd = pilot.standard_error * math.sqrt(5)
        values = margin + true_sd * rng.standard_normal((20_000, count))
        t = values.mean(1) / (values.std(1, ddof=1) / math.sqrt(count))
        return float((t > stats.t.ppf(0.975, count - 1)).mean())

    assert power(seeds) > 0.79 and power(seeds - 2) < 0.8


def test_both_bounds_must_pass_where_equality_is_claimed() -> None:
    """With so many seeds no difference is told from one of the margin's size in four of five."""
    sd, margin, rng = 0.3, 0.2, np.random.default_rng(0)
    pilot = mean_estimate(np.array([-sd, sd, -sd, sd, 0.0]) * math.sqrt(5 / 4), "u")
    within, above_it = (
        seeds_to_tell(
            Part("a", "a", aim, pilot, margin, {"hopper": pilot}, seeds=5), LEVEL, SETTINGS.power
        )
        for aim in ("within", "above")
    )
    assert within is not None and above_it is not None and within > above_it

    def power(count: int) -> float:
        values = pilot.standard_error * math.sqrt(5) * rng.standard_normal((20_000, count))
        half = stats.t.ppf(0.975, count - 1) * values.std(1, ddof=1) / math.sqrt(count)
        return float((abs(values.mean(1)) + half < margin).mean())

    assert power(within) > 0.79 > power(above_it)


def test_seeds_to_tell_are_of_each_environment_from_the_seeds_that_it_has() -> None:
    """An environment without noise and with few seeds says little of how many it takes."""

    def pilot(quiet: int, noisy: int) -> Part:
        rng = np.random.default_rng(0)
        by_env = {}
        for env, sd, count in (("hopper", 0.01, quiet), ("reacher", 0.5, noisy)):
            values = rng.standard_normal(count)
            values = sd * (values - values.mean()) / values.std(ddof=1)
            by_env[env] = mean_estimate(values, "u")
        overall = mean_over_environments(list(by_env.values()))
        reached = dict.fromkeys(by_env, 1.0)
        return Part("a", "a", "above", overall, 0.1, by_env, reached, min(quiet, noisy))

    even, uneven = (
        seeds_to_tell(pilot(*seeds), LEVEL, SETTINGS.power) for seeds in ((5, 5), (3, 5))
    )
    assert even == uneven and even is not None
    # Of the noisy environment alone, whose half the mean is.
    quantiles = stats.t.ppf(0.975, even - 1) + stats.t.ppf(SETTINGS.power, even - 1)
    assert even == pytest.approx((quantiles * 0.5 / 2 / 0.1) ** 2, abs=1.5)


def test_more_seeds_are_asked_for_where_a_part_has_fewer() -> None:
    """What 4 seeds would tell and 5 do not lies between none and the margin."""
    part = replace(not_below(-0.12, 0.02), seeds=5)
    (judged,) = ledger({"P1": CLAIMS["P1"]}, {"P1": Evidence([part])}, SETTINGS)["P1"].parts[:1]
    assert judged.verdict == "inconclusive" and judged.seeds_needed is not None
    for there, asked in ((judged.seeds_needed, False), (judged.seeds_needed - 1, True)):
        finding = ledger(
            {"P1": CLAIMS["P1"]}, {"P1": Evidence([replace(part, seeds=there)])}, SETTINGS
        )["P1"]
        assert (finding.seeds_needed is not None) == asked


def test_beside_a_part_that_holds_in_part_stand_the_environments_that_decided() -> None:
    by_env = {"hopper": estimate(-0.05, 0.05), "reacher": estimate(-0.6, 0.6)}
    overall = mean_over_environments(list(by_env.values()))
    part = Part("b", "b", "not below", overall, 0.1, by_env, {"hopper": 1.0, "reacher": 0.1}, 5)
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.verdict == "supported in part" and judged.low < -0.1
    whole, learnt = with_what_decided(judged, SETTINGS)
    assert whole is judged and set(learnt.part.by_env) == {"hopper"}
    assert (learnt.low, learnt.high) == pytest.approx((-0.05, 0.05))
    assert learnt.part.aim == "shown" and learnt.verdict == ""
    supported = judge(not_below(-0.05, 0.05), LEVEL, SETTINGS)
    assert with_what_decided(supported, SETTINGS) == [supported]


def test_one_seed_decides_nothing() -> None:
    single = mean_estimate([0.5], "u")
    part = Part("a", "a", "above", single, 0.1, {"hopper": single}, {"hopper": 1.0}, 1)
    judged = judge(part, LEVEL, SETTINGS)
    assert judged.verdict == "inconclusive" and judged.why == "too few seeds"
    assert judged.seeds_needed is None and math.isnan(judged.low)
    other = Part("b", "b", "not below", single, 0.1, {"hopper": single}, {"hopper": 1.0}, 1)
    assert judge(other, LEVEL, SETTINGS).verdict == "inconclusive"


def test_an_effect_without_reacher_stands_beside() -> None:
    by_env = {"hopper": estimate(0.1, 0.3), "reacher": estimate(0.7, 0.9)}
    overall = mean_over_environments(list(by_env.values()))
    reached = dict.fromkeys(by_env, 1.0)
    part = Part("a", "final", "above", overall, 0.1, by_env, reached, 5, test="x")
    finding = ledger(CLAIMS, {"E5": Evidence([part])}, SETTINGS, {"reacher": "Reacher-v5"})["E5"]
    judged, beside = finding.parts
    assert judged.part.estimate is not None and beside.part.estimate is not None
    assert beside.part.label == "final, without Reacher-v5" and beside.verdict == ""
    assert (judged.part.estimate.value, beside.part.estimate.value) == pytest.approx((0.5, 0.2))
    assert beside.level == judged.level
