"""Accepted baselines: per-seed values, and who accepted them when, why and where.

One JSON file.  ``history`` only grows; its last entry made the values, earlier ones keep their
means, so that a decline in small accepted steps can be seen.
"""

import getpass
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from replicate.messages import OneLineError
from replicate.training.provenance import provenance
from tests.regression.cells import Cell, Design, Sample, seeds_of

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ROOT / "results" / "reference" / "regression" / "baselines.json"
RECORDED = ("cpu", "simd", "python", "versions", "code_digest", "lock_digest")
RENEW = 'make accept REASON="..."'
RESTORE = "restore it from git"


class BaselineError(OneLineError):
    """One line: what is wrong with the stored baselines, and the way out."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CellBaseline(_Record):
    """Values of a cell by seed, and the overrides that made them."""

    overrides: list[str]
    returns: Annotated[dict[int, FiniteFloat], MinLen(2)]


class Acceptance(_Record):
    """Who accepted which means, when, why and where."""

    date: str
    who: str
    reason: str
    means: dict[str, FiniteFloat]
    provenance: dict[str, Any]


class Baselines(_Record):
    """The file."""

    cells: dict[str, CellBaseline]
    history: Annotated[list[Acceptance], MinLen(1)]

    @property
    def samples(self) -> dict[str, Sample]:
        """Values by seed, by name of the cell."""
        return {name: cell.returns for name, cell in self.cells.items()}


def overrides_of(cell: Cell, design: Design) -> list[str]:
    """What a cell's baseline must have been made with."""
    return [*cell.overrides, f"seed={design.baseline_seeds}"]


def read(path: Path) -> Baselines:
    """The stored baselines.

    Raises:
        BaselineError: there is no such file, or it is not one.

    """
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    try:
        return Baselines.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BaselineError(f"no baselines in {shown}; make them: {RENEW}") from None
    except (OSError, ValidationError) as error:
        what = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            what = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        raise BaselineError(f"{shown} is corrupt ({what}); {RESTORE}") from None


def check_design(baselines: Baselines, design: Design) -> None:
    """Every cell has a baseline that was made as the design says.

    Only what ``conf/regression.yaml`` itself says counts: another default elsewhere in ``conf/`` is
    a change like one of code, and the gate's to judge.

    Raises:
        BaselineError: the first cell that has not.

    """
    for cell in design.cells:
        baseline = baselines.cells.get(cell.name)
        if baseline is None:
            raise BaselineError(f"{cell.name}: no baseline; renew them: {RENEW}")
        if baseline.overrides != overrides_of(cell, design):
            raise BaselineError(f"{cell.name}: baseline made with other overrides; renew: {RENEW}")
        if set(baseline.returns) != set(seeds_of(cell, design.baseline_seeds)):
            raise BaselineError(f"{cell.name}: not the seeds {design.baseline_seeds}; {RESTORE}")


def here() -> dict[str, Any]:
    """Where the values come from: machine, versions, digests."""
    described = provenance("cpu")
    return {name: described[name] for name in RECORDED}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of what is not as it was: where to look first, and whether bits may differ at all."""
    return [name for name in RECORDED if then.get(name) != now[name]]


def _git_user() -> str:
    command = ["git", "config", "user.name"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or getpass.getuser()


def renewed(
    earlier: list[Acceptance], design: Design, samples: Mapping[str, Sample], reason: str
) -> Baselines:
    """New values, with one more entry of the history."""
    entry = Acceptance(
        date=datetime.now(UTC).date().isoformat(),
        who=_git_user(),
        reason=reason,
        means={name: float(np.mean([*sample.values()])) for name, sample in samples.items()},
        provenance=here(),
    )
    cells = {
        cell.name: CellBaseline(overrides=overrides_of(cell, design), returns=samples[cell.name])
        for cell in design.cells
    }
    return Baselines(cells=cells, history=[*earlier, entry])
