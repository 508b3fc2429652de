"""``conf/claims``: statements, families, margins and the sentences of the verdicts, checked."""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

import yaml
from pydantic import Field

from replicate.messages import ConfigError, DataError, first_line
from replicate.settings import Section, nearest, validated
from replicate.store import software

CONF = software.CONF / "claims"
CLAIM_FILE = re.compile(r"([A-Z])(0|[1-9][0-9]*)\.yaml")
LEDGER_FILE = "ledger.yaml"
OTHER_FILES = {LEDGER_FILE, "published_scale.yaml", "questions.yaml"}

Names = Annotated[tuple[str, ...], Field(strict=False)]


class ClaimsError(DataError):
    """A claim's file that cannot be used, in one line."""


class Wording(Section):
    """The sentence of each verdict; ``{key}`` is a part with its interval.

    Others: ``{passed}``, ``{failed}`` and ``{open}`` name parts, ``{count_passed}`` … count them;
    ``{key_verdict}`` is a part's own verdict; ``{key_word}`` says how the sides of a part stand
    that is claimed to be not below;
    ``{because}`` is what keeps the data from deciding.  A claim's function may tell more (``told``
    of its evidence).  None: the claim has no such verdict.
    """

    supported: str | None = None
    contradicted: str | None = None
    supported_in_part: str | None = None
    no_relevant_effect: str | None = None
    inconclusive: str | None = None
    no_rule: str | None = None


class Claim(Section):
    """A file of ``conf/claims``, named after the claim.

    Args:
        statement: in the repository's own words.
        source: where it is claimed, if not in the chapter.
        family: claims whose p-values are adjusted together; None: it has no p-value.
        studies, probes: what its function reads.
        explained_by: probes and studies of which tables are shown beside the verdict; they are no
            part of its rule.
        without: environments of these studies that it is not about.
        margins: by the names that its function uses.
        tests: how many it brings to its family: as many while it is not run.
        wording: None where no function judges it yet.
        ending: of every sentence of ``wording``, in the same way.

    """

    name: str
    statement: str
    source: str = ""
    family: str | None = None
    studies: Names = ()
    probes: Names = ()
    explained_by: Names = ()
    without: Names = ()
    margins: dict[str, Annotated[float, Field(strict=False)]] = Field(default_factory=dict)
    tests: Annotated[int, Field(strict=False, ge=1)] = 1
    wording: Wording | None = None
    ending: str = ""


class Words(Section):
    """How one side stands to the other, where it is claimed to be not worse."""

    beats: str
    matches: str
    falls_short: str
    open: str


class LedgerSettings(Section):
    """``ledger.yaml``: what holds for all claims.

    Args:
        alpha: error rate of a family.
        learnt_u: nothing is called equal where the better side's mean u is below.
        power: of the seeds that it would take.
        shown_without: environments without which overall differences in u are shown too.
        words: of parts that are claimed to be not below.

    """

    alpha: float = Field(gt=0, lt=0.5)
    learnt_u: float = Field(gt=0, le=1)
    power: float = Field(gt=0.5, lt=1)
    shown_without: Names = ()
    words: Words


def load_claims(folder: Path = CONF) -> dict[str, Claim]:
    """Every claim, by its name, in the order of letters and numbers.

    Raises:
        ClaimsError: a key or a value that is not one, or a file that has no claim's name.

    """
    files: dict[tuple[str, int], Path] = {}
    for file in sorted(folder.glob("*.yaml")):
        if name := CLAIM_FILE.fullmatch(file.name):
            files[name[1], int(name[2])] = file
        elif file.name not in OTHER_FILES:
            raise ClaimsError(
                f"conf/claims/{file.name}: no name of a claim; a letter and a number, as C1.yaml"
            )
    choices = {
        key: (group, {file.stem for file in CONF.parent.joinpath(group).glob("*.yaml")})
        for key, group in (("studies", "study"), ("without", "env"))
    }
    claims = {}
    for _, file in sorted(files.items()):
        claim = _checked(Claim, file, {"name": file.stem})
        claims[claim.name] = claim
        _check_templates(file, claim)
        for key, (group, known) in choices.items():
            for name in sorted(set(getattr(claim, key)) - known):
                raise ClaimsError(
                    f"conf/claims/{file.name}: {key}: no file conf/{group}/{name}.yaml; "
                    f"{nearest(name, known)}"
                )
    return claims


def load_ledger(folder: Path = CONF) -> LedgerSettings:
    """``ledger.yaml``.

    Raises:
        ClaimsError: a key or a value that is not one.

    """
    settings: LedgerSettings = _checked(LedgerSettings, folder / LEDGER_FILE, {})
    return settings


def check_names(claim: Claim, what: str, given: Mapping[str, Any], known: set[str]) -> None:
    """Exactly ``known`` are given.

    Raises:
        ClaimsError: one is missing, or is not known.

    """
    for name in given:
        if name not in known:
            raise ClaimsError(
                f"conf/claims/{claim.name}.yaml: {what}.{name}: unknown key; "
                + (nearest(name, known) if known else f"{claim.name} has no {what}")
            )
    for name in sorted(known - set(given)):
        raise ClaimsError(f"conf/claims/{claim.name}.yaml: {what}.{name}: missing")


def _checked(model: type[Any], file: Path, known: dict[str, str]) -> Any:
    where = f"conf/claims/{file.name}"
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClaimsError(f"{where}: cannot be read ({first_line(error)})") from None
    if not isinstance(data, dict):
        raise ClaimsError(f"{where}: not a mapping of keys to values")
    data = {str(key): value for key, value in data.items()}
    keys = set(model.model_fields) - set(known)
    for key in data:
        if key not in keys:
            raise ClaimsError(f"{where}: {key}: unknown key; {nearest(key, keys)}")
    try:
        return validated(model, {**data, **known})
    except ConfigError as error:
        raise ClaimsError(f"{where}: {error}") from None


def _check_templates(file: Path, claim: Claim) -> None:
    if claim.wording is None:
        return
    sentences = {f"wording.{verdict}": text for verdict, text in claim.wording}
    for key, text in {**sentences, "ending": claim.ending}.items():
        try:
            list(Formatter().parse(text or ""))
        except ValueError as error:
            raise ClaimsError(f"conf/claims/{file.name}: {key}: {error}") from None
