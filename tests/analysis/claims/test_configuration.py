"""``conf/claims``: all claims are there, and what is wrong in a file is one line that names it."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from analysis.claims import rules
from analysis.claims.configuration import CONF, ClaimsError, load_claims, load_ledger
from analysis.claims.ledger import ledger
from analysis.claims.sentences import sentence
from replicate.planning.composition import options
from tests.analysis.claims import worlds

CLAIMS = [
    *(f"N{i}" for i in range(1, 5)),
    *("I1", "I2"),
    *(f"T{i}" for i in range(1, 4)),
    *(f"C{i}" for i in range(1, 11)),
    *(f"E{i}" for i in range(1, 7)),
    *(f"S{i}" for i in range(1, 4)),
    *(f"P{i}" for i in range(1, 4)),
    "L1",
]


def test_every_claim_is_listed_with_its_statement() -> None:
    claims = load_claims()
    assert sorted(claims) == sorted(CLAIMS)
    rules.check(claims)
    assert all(len(claim.statement) > 30 for claim in claims.values())


def test_probes_that_are_named_are_modules() -> None:
    for claim in load_claims().values():
        for probe in (*claim.probes, *set(claim.explained_by).difference(options("study"))):
            # One module writes two records.
            name = {"update_line": "update_anatomy"}.get(probe, probe)
            assert importlib.util.find_spec(f"replicate.probes.{name}"), (claim.name, probe)


def test_families_are_those_of_the_design() -> None:
    families: dict[str | None, set[str]] = {}
    for name, claim in load_claims().items():
        families.setdefault(claim.family, set()).add(name)
    assert set(map(frozenset, families.values())) == {
        frozenset({"E1", "E2", "E3", "E4"}),
        frozenset({"E5"}),
        frozenset({"E6"}),
        frozenset({"P1"}),
        frozenset({"C3", "C4", "C5"}),
        frozenset({"I2", "N1", "N2", "N3", "N4"}),
        frozenset({"T1", "T2", "T3"}),
        frozenset({"S1", "S2", "S3"}),
        frozenset({"C6"}),
        frozenset({"C9"}),
        frozenset({"C10"}),
        frozenset({"C1", "C2", "C7", "C8", "I1", "L1", "P2", "P3"}),  # no p-value
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("E1", "statement:", "statment:", "statment: unknown key; did you mean 'statement'?"),
        ("E1", "factor: 1.25", "facto: 1.25", "margins.facto: unknown key; did you mean 'factor'?"),
        ("E1", "factor: 1.25", "factor: wide", "margins.factor: 'wide' is not valid"),
        ("E1", "factor: 1.25", "factor: .inf", "margins.factor"),
        ("E2", "  not_slower: 0.05", "  # gone", "margins.not_slower: missing"),
        ("E1", "  supported: >-", "  suported: >-", "wording.suported: unknown key"),
        ("E1", "{step_4}", "{step_4", "wording."),
        ("P1", "without: [", "without: [bipedal_walkr, ", "did you mean 'bipedal_walker'?"),
        ("P1", "studies: [comparison,", "studies: [comparision,", "did you mean 'comparison'?"),
        ("E4", "{suite_worst}", "{suite_worst", "ending: "),
        ("E1", "family:", "family: [", "cannot be read"),
        ("L1", "statement:", "margins: {u: 1}\nstatement:", "margins.u: unknown key; L1 has no"),
        ("ledger", "alpha: 0.05", "alpha: 5", "alpha: 5"),
        ("ledger", "power:", "powr:", "powr: unknown key; did you mean 'power'?"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, file: str, old: str, new: str, expected: str
) -> None:
    shutil.copytree(CONF, tmp_path / "claims")
    changed = tmp_path / "claims" / f"{file}.yaml"
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new))
    with pytest.raises(ClaimsError) as raised:
        rules.check(load_claims(tmp_path / "claims"))
        load_ledger(tmp_path / "claims")
    said = str(raised.value)
    assert said.startswith(f"conf/claims/{file}.yaml: ") and "\n" not in said
    assert expected in said


def test_claims_have_a_letter_and_a_number(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "claims")
    shutil.copy(CONF / "L1.yaml", tmp_path / "claims/C11.yaml")
    names = list(load_claims(tmp_path / "claims"))
    assert names[names.index("C9") + 1 :][:2] == ["C10", "C11"]
    (tmp_path / "claims/C11.yaml").rename(tmp_path / "claims/rollback.yaml")
    with pytest.raises(ClaimsError, match=r"^conf/claims/rollback.yaml: no name of a claim; a le"):
        load_claims(tmp_path / "claims")


def test_a_sentence_that_names_no_part_is_one_line(tmp_path: Path) -> None:
    claim = worlds.CLAIMS["C1"]
    wording = claim.wording
    assert wording is not None
    claims = {
        **worlds.CLAIMS,
        "C1": claim.model_copy(
            update={"wording": wording.model_copy(update={"supported": "It is {good} and {bade}."})}
        ),
    }
    evidence = rules.evidence_of(claim, worlds.world("epsilon", ("clip_0.2",)))
    assert evidence is not None
    finding = ledger(claims, {"C1": evidence}, worlds.SETTINGS)["C1"]
    with pytest.raises(
        ClaimsError, match=r"conf/claims/C1.yaml: wording.supported: no part 'bade'"
    ):
        sentence(finding, worlds.SETTINGS.words)
