"""How people read a part, and the sentence that a verdict writes."""

import math
import re
from collections.abc import Iterable
from string import Formatter

from analysis.claims.configuration import ClaimsError, Words
from analysis.claims.ledger import (
    CONTRADICTED,
    IN_PART,
    JUDGED,
    NOT_RUN,
    SUPPORTED,
    Finding,
    Judged,
)
from analysis.claims.parts import EXPONENT, FACTOR, PROPORTION, SHARE, Part

LISTED = ("passed", "failed", "open")
CLAUSE = re.compile(r"\[\[(.*?)\|\|(.*?)\]\]", re.DOTALL)
"""``[[clause||else]]`` in a sentence: else where a part that the clause names was not run."""


def effect(judged: Judged) -> str:
    """``+0.31 u [+0.20, +0.42]``, ``×2.31 [1.90, 2.80]``, ``12 % [5, 22] (8 of 67 runs)``.

    Differences of percentages are in percentage points.
    """
    part = judged.part
    if judged.verdict == NOT_RUN or (part.estimate is None and part.count is None):
        return part.absent
    if part.count is not None:
        cases = f"{part.count[0]:,} of {part.count[1]:,}"
        if part.estimate is None:
            return cases
        if part.aim == "never":
            return f"{cases} runs (at most {_percent(judged.high)} % of runs)"
        bounds = f"[{_percent(judged.low)}, {_percent(judged.high)}]"
        return f"{_percent(part.estimate.value)} % {bounds} ({cases} runs)"
    assert part.estimate is not None
    value, unit = part.estimate.value, part.estimate.unit
    if part.p_values is not None:
        return f"{_number(value, unit)}, {p_text(part)}"
    text = with_bounds(value, judged.low, judged.high, unit)
    return f"at least {text}" if part.at_least else text


def with_bounds(value: float, low: float, high: float, unit: str) -> str:
    """``+0.31 u [+0.20, +0.42]``; bounds that are NaN: there are too few seeds for them."""
    interval = "(too few seeds for an interval)"
    if not math.isnan(low):
        least, most = (_number(bound, unit, bare=True) for bound in (low, high))
        interval = f"[{least}, {most}]"
    return f"{_number(value, unit)} {interval}"


def p_text(part: Part) -> str:
    """Two-sided p of a test without an interval."""
    assert part.p_values is not None
    p = min(1.0, 2 * min(part.p_values))
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _number(value: float, unit: str, bare: bool = False) -> str:
    if unit == FACTOR:
        factor = math.exp(value)
        text = f"{factor:.3g}" if factor < 1000 else f"{factor:,.0f}"
        return text if bare else f"×{text}"
    if unit in (SHARE, PROPORTION):
        text = f"{100 * value:+.1f}" if unit == SHARE else f"{100 * value:.1f}"
        text = text if bare else f"{text} {'points' if unit == SHARE else '%'}"
    elif unit == EXPONENT:
        text = f"{value:+.3f}"
    else:
        text = f"{value:+.2f}"
        text = text if bare else f"{text} {unit}"
    return text.replace("-", "−")


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 10 or percent == 0 else f"{percent:.1f}"


def sentence(finding: Finding, words: Words) -> str:
    """What is found, in the words of ``conf/claims``; empty where nothing was run.

    Raises:
        ClaimsError: the claim has no sentence for its verdict, or names what is neither a part nor
            told beside them.

    """
    wording = finding.claim.wording
    if finding.verdict == NOT_RUN or wording is None:
        return ""
    key = finding.verdict.replace(" ", "_")
    template = getattr(wording, key)
    where = f"conf/claims/{finding.claim.name}.yaml: wording.{key}"
    if template is None:
        raise ClaimsError(f"{where}: missing")
    template = f"{template} {finding.claim.ending}"
    values = _values(finding, words)
    for name in _names(template):
        if name not in values:
            raise ClaimsError(f"{where}: no part {name!r}; it has {', '.join(sorted(values))}")
    missing = {judged.part.key for judged in finding.parts if judged.verdict == NOT_RUN}
    chosen = CLAUSE.sub(lambda clause: clause[2 if missing & _names(clause[1]) else 1], template)
    return re.sub(r"\s+", " ", chosen.format_map(values)).strip()


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _values(finding: Finding, words: Words) -> dict[str, str]:
    values = {"because": f" ({finding.why})" if finding.why else "", **finding.evidence.told}
    for judged in finding.parts:
        values[judged.part.key] = effect(judged)
        values[f"{judged.part.key}_where"] = _where(judged.part, finding.parts)
        values[f"{judged.part.key}_verdict"] = judged.verdict
        if judged.part.aim == "not below":
            values[f"{judged.part.key}_word"] = _word(judged, words)
    for name, listed in zip(LISTED, by_outcome(finding.parts), strict=True):
        values[name] = "; ".join(f"{j.part.label} ({effect(j)})" for j in listed) or "nothing"
        values[f"count_{name}"] = str(len(listed))
    return values


def _where(part: Part, parts: Iterable[Judged]) -> str:
    """Of how many environments a part is, if others of the claim in the same unit are of more."""

    def unit(other: Part) -> str | None:
        return None if other.estimate is None else other.estimate.unit

    envs = len(part.by_env)
    # In u a part has no environment without a published return, in another unit it has.
    most = max(len(each.part.by_env) for each in parts if unit(each.part) == unit(part))
    return f" (run on {envs} of {most} environments)" if 0 < envs < most else ""


def by_outcome(parts: Iterable[Judged]) -> tuple[list[Judged], list[Judged], list[Judged]]:
    """Judged parts that pass, those that contradict the claim, and the others."""
    judged = [each for each in parts if each.part.aim in JUDGED]
    passed = [each for each in judged if each.verdict in (SUPPORTED, IN_PART)]
    failed = [each for each in judged if each.verdict == CONTRADICTED]
    return passed, failed, [each for each in judged if each not in passed + failed]


def _word(judged: Judged, words: Words) -> str:
    if judged.verdict in (SUPPORTED, IN_PART):
        return words.beats if judged.low > 0 else words.matches
    return words.falls_short if judged.verdict == CONTRADICTED else words.open
