"""The returns gate: ``make regression``.  ``gate.py`` says what is tested and how often it errs."""

import pytest

from analysis import manifest
from replicate.messages import OneLineError
from replicate.store.files import MANIFEST
from tests.regression.baselines import (
    BASELINES,
    Baselines,
    check_design,
    differences,
    here,
    read,
)
from tests.regression.cells import Design, measure_all, read_design
from tests.regression.gate import judge, table

NEXT = (
    "look at the change first, then at results/README.md, The guard of returns; "
    'if it is meant: make accept REASON="why"'
)


def checked() -> tuple[Design, Baselines]:
    """The design and the stored baselines, or a failure of one line."""
    problem = ""
    try:
        design = read_design()
        manifest.verify(BASELINES.parents[1] / MANIFEST, [BASELINES])
        baselines = read(BASELINES)
        check_design(baselines, design)
    except OneLineError as error:
        problem = str(error)
    if problem:  # outside of the except: pytest would show both errors
        pytest.fail(problem, pytrace=False)
    return design, baselines


@pytest.mark.regression
def test_returns_did_not_get_worse(capsys: pytest.CaptureFixture[str]) -> None:
    design, baselines = checked()
    current = measure_all(design.cells, design.current_seeds)
    verdicts = judge(design, baselines.samples, current)
    accepted = baselines.history[-1]
    changed = ", ".join(differences(accepted.provenance, here())) or "nothing"
    with capsys.disabled():
        print(f"\n\n{table(design, verdicts)}")
        print(f"Baselines of {accepted.date} ({accepted.reason}); changed since: {changed}.")
    worse = ", ".join(verdict.cell.name for verdict in verdicts if verdict.worse)
    if worse:
        pytest.fail(f"returns got worse: {worse}; {NEXT}", pytrace=False)
