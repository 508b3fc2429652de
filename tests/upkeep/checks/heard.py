"""What tests of checks have in common."""

from collections.abc import Iterator

from replicate.upkeep.checks.finding import Finding


def silent(_: str) -> None:
    """Told nothing."""


def only(findings: Iterator[Finding] | list[Finding]) -> Finding:
    (finding,) = findings
    return finding
