"""Which function judges which claim, and the margins that it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.claims import (
    anatomy,
    clip,
    comparison,
    cost,
    epsilon,
    exact,
    no_undo,
    step_sizes,
    strategies,
    trust_region,
    uses,
)
from analysis.claims.configuration import Claim, ClaimsError, check_names
from analysis.claims.parts import Data, Evidence
from replicate.settings import nearest


@dataclass(frozen=True)
class Rule:
    """A claim's function and the names of its margins in ``conf/claims``."""

    evidence: Callable[[Data, Claim], Evidence]
    margins: frozenset[str]


RULES = {
    "C1": Rule(exact.c1, frozenset({"tolerance"})),
    "C2": Rule(exact.c2, frozenset({"tolerance"})),
    "C3": Rule(strategies.c3, frozenset({"u", "factor"})),
    "C4": Rule(anatomy.c4, frozenset({"tolerance", "outside"})),
    "C5": Rule(clip.c5, frozenset({"u", "factor"})),
    "C6": Rule(strategies.c6, frozenset({"u", "factor"})),
    "C7": Rule(exact.c7, frozenset({"tolerance"})),
    "C8": Rule(exact.c8, frozenset({"tolerance"})),
    "C9": Rule(strategies.c9, frozenset({"u", "factor"})),
    "C10": Rule(clip.c10, frozenset({"u"})),
    "E1": Rule(epsilon.e1, frozenset({"factor"})),
    "E2": Rule(epsilon.e2, frozenset({"u", "not_slower"})),
    "E3": Rule(epsilon.e3, frozenset({"often", "runs"})),
    "E4": Rule(uses.e4, frozenset({"u", "trained"})),
    "E5": Rule(epsilon.e5, frozenset({"u", "settings"})),
    "E6": Rule(epsilon.e6, frozenset({"u", "speed"})),
    "I1": Rule(exact.i1, frozenset({"tolerance", "large_ratio", "variance_factor"})),
    "I2": Rule(clip.i2, frozenset({"factor"})),
    "N1": Rule(exact.n1, frozenset({"locked_in", "tolerance"})),
    "N2": Rule(no_undo.n2, frozenset({"trained", "fall", "back", "tenth", "often"})),
    "N3": Rule(step_sizes.n3, frozenset({"decades", "learnt"})),
    "N4": Rule(anatomy.n4, frozenset({"rank_correlation"})),
    "P1": Rule(comparison.p1, frozenset({"u"})),
    "P2": Rule(cost.p2, frozenset({"share", "objective_lines"})),
    "P3": Rule(comparison.p3, frozenset()),
    "S1": Rule(strategies.s1, frozenset({"u"})),
    "S2": Rule(strategies.s2, frozenset({"u"})),
    "S3": Rule(strategies.s3, frozenset({"u", "factor"})),
    "T1": Rule(trust_region.t1, frozenset({"tolerance"})),
    "T2": Rule(cost.t2, frozenset({"exponent", "tolerance", "parameters"})),
    "T3": Rule(strategies.t3, frozenset({"u"})),
}
"""A claim that is not here has no experiment yet: the ledger lists it as not run."""


def check(claims: Mapping[str, Claim]) -> None:
    """Every rule has its claim, with its margins and its sentences.

    Raises:
        ClaimsError: one has not.

    """
    for name in sorted(RULES.keys() - claims.keys()):
        raise ClaimsError(f"conf/claims/{name}.yaml: missing; {nearest(name, claims)}")
    for name, claim in claims.items():
        known = RULES[name].margins if name in RULES else frozenset()
        check_names(claim, "margins", claim.margins, set(known))
        if (name in RULES) != (claim.wording is not None):
            missing = "missing" if name in RULES else "no function judges it yet"
            raise ClaimsError(f"conf/claims/{name}.yaml: wording: {missing}")


def evidence_of(claim: Claim, data: Data) -> Evidence | None:
    """What the claim's function makes of the data; None where all that it reads is missing."""
    if claim.name not in RULES:
        return None
    studies = any(study in data.studies for study in claim.studies) or not claim.studies
    probes = all(probe in data.probes for probe in claim.probes)
    return RULES[claim.name].evidence(data, claim) if studies and probes else None


def gather(claims: Mapping[str, Claim], data: Data) -> dict[str, Evidence]:
    """:func:`evidence_of` every claim that has some."""
    gathered = {name: evidence_of(claim, data) for name, claim in claims.items()}
    return {name: evidence for name, evidence in gathered.items() if evidence is not None}
