"""Write the report.

python -m analysis.report NAME ROOT OUT.html --plans PLAN.json… --coverage FILE.csv
    --error-rates FILE.csv

NAME is a scale, ``reference`` or ``reference_<scale>``; ROOT the folder that holds NAME/figures,
NAME/tables, NAME/measures and NAME/claims.json, and the probes and figures that all reports share,
in ROOT/probes and ROOT/figures.  Nothing is loaded from outside, every text is escaped, and the
content security policy admits this file's own style sheet and script only.
"""

import sys
from pathlib import Path

import pandas as pd

from analysis import manifest
from analysis.findings import read_claims
from analysis.report.page import Inputs, render
from analysis.study import read_study
from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.files import write_atomically


def simulated(file: Path) -> pd.DataFrame:
    """A simulated table.

    Raises:
        AlteredDataError: it is not the one that its manifest lists.

    """
    manifest.check([file])
    return pd.read_csv(file)


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.report")
    parser.add_argument("name")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plans", type=Path, nargs="*", default=[], metavar="PLAN")
    parser.add_argument("--coverage", type=Path, required=True, metavar="FILE")
    parser.add_argument("--error-rates", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    if not options.plans:
        raise DataError(f"{options.name}: no study with data to report on")
    inputs = Inputs(
        options.name,
        options.root,
        [read_study(plan) for plan in options.plans],
        read_claims(options.root / options.name / "claims.json"),
        simulated(options.coverage),
        simulated(options.error_rates),
    )
    write_atomically(options.out, render(inputs).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
