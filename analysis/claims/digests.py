"""A digest for each claim: what it says of data, not how its code is written.

python -m analysis.claims.digests

Writes ``conf/claims/digests.json``, which every plan quotes.  A digest is the SHA-256 of a claim's
margins, family and evidence, and of what measures, claims and ledger make of a data set that never
changes; words are no part of it.  Numbers are rounded, so that every machine has the same digests.
"""

import hashlib
import json
import math
import sys
from collections.abc import Mapping

import pandas as pd

from analysis.claims import rules
from analysis.claims.configuration import CONF, Claim, LedgerSettings, load_claims, load_ledger
from analysis.claims.fixed_data import fixed_data
from analysis.claims.ledger import Finding, ledger
from analysis.claims.parts import Data
from analysis.measures import read_published_scale
from replicate.messages import given_files, one_line_errors
from replicate.store.files import write_json
from replicate.store.software import CLAIM_DIGESTS

SCALE = CONF / "published_scale.yaml"
UNTRAINED = CONF.parents[1] / "results" / "reference" / "untrained.csv"
SIGNIFICANT_DIGITS = 4
WORDS = {"statement", "source", "wording", "ending", "tests", "explained_by"}
"""Of a claim, what changes no verdict; ``tests`` does in the ledger, which is in the digest."""


def same_data() -> Data:
    """What every digest is made of: ``fixed_data`` on the published scale of ``conf/claims``."""
    return fixed_data(pd.read_csv(UNTRAINED), read_published_scale(SCALE))


def digests(claims: Mapping[str, Claim], settings: LedgerSettings, data: Data) -> dict[str, str]:
    """Claim → digest, of every claim that a function judges.

    Args:
        data: of :func:`same_data`.

    """
    evidence = rules.gather(claims, data)
    return {
        name: digest_of(finding, settings)
        for name in sorted(evidence)
        # Alone, so that a claim that joins its family later leaves its digest as it is.
        for finding in [ledger(claims, {name: evidence[name]}, settings)[name]]
    }


def digest_of(finding: Finding, settings: LedgerSettings) -> str:
    """SHA-256 of what is claimed and of what the ledger makes of the fixed data."""
    content = {
        "claim": finding.claim.model_dump(mode="json", exclude=WORDS),
        "ledger": settings.model_dump(mode="json", exclude={"words"}),
        "verdict": finding.verdict,
        "seeds_needed": finding.seeds_needed,
        "parts": [
            [
                judged.part.key,
                judged.part.aim,
                judged.verdict,
                judged.part.count,
                judged.seeds_needed,
                [rounded(number) for number in (judged.low, judged.high, judged.part.margin)],
                [rounded(p) for p in judged.part.p_values or ()],
                None if judged.part.estimate is None else rounded(judged.part.estimate.value),
            ]
            for judged in finding.parts
        ],
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def rounded(value: float) -> str:
    """Four significant digits; sums that are zero but for the last bits are 0."""
    if not math.isfinite(value):
        return str(value)
    return f"{value + 0.0:.{SIGNIFICANT_DIGITS - 1}e}" if abs(value) > 1e-9 else "0"


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    given_files("analysis.claims.digests", [], arguments)
    claims = load_claims()
    rules.check(claims)
    write_json(CLAIM_DIGESTS, digests(claims, load_ledger(), same_data()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
