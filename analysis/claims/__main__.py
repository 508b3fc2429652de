"""Judge every claim.

python -m analysis.claims NAME OUT.json OUT.csv MANIFEST --plans PLAN.json… --measures MEASURES.csv…
    --probes PROBE.csv… [--published FILE.csv…]

NAME is the report's.  Measures are those of the studies of the plans, in their order.  A study or
probe that is not given has not been run; its claims are listed all the same.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from analysis import manifest
from analysis.claims import rules
from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.digests import digests, same_data
from analysis.claims.ledger import ledger
from analysis.claims.parts import Data
from analysis.claims.records import record, to_csv
from analysis.study import env_labels, read_study
from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.files import write_atomically


def read_data(
    plans: list[Path], measures: list[Path], probes: list[Path], published: list[Path]
) -> Data:
    """The studies, measures and probes of these files.

    Raises:
        DataError: a file that cannot be read or was altered.

    """
    if len(plans) != len(measures):
        raise DataError(
            f"{len(plans)} plans, {len(measures)} tables of measures: one of each study"
        )
    manifest.check([*measures, *probes, *published])
    studies = [read_study(plan) for plan in plans]
    tables = {study.name: pd.read_csv(file) for study, file in zip(studies, measures, strict=True)}
    return Data(
        {study.name: study for study in studies},
        tables,
        {file.stem: pd.read_csv(file) for file in probes},
        {file.stem: pd.read_csv(file) for file in published},
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.claims")
    parser.add_argument("name")
    parser.add_argument("json", type=Path)
    parser.add_argument("csv", type=Path)
    parser.add_argument("manifest", type=Path)
    for kind in ("plans", "measures", "probes", "published"):
        parser.add_argument(f"--{kind}", type=Path, nargs="*", default=[], metavar="FILE")
    options = parser.parse_args(arguments)
    claims, settings = load_claims(), load_ledger()
    rules.check(claims)
    data = read_data(options.plans, options.measures, options.probes, options.published)
    files = {file.stem: file for file in (*options.measures, *options.probes)}
    labels = env_labels(data.studies.values())
    findings = ledger(claims, rules.gather(claims, data), settings, labels)
    known = digests(claims, settings, same_data())
    records = [
        record(finding, data, settings, known.get(name), files, options.name)
        for name, finding in findings.items()
    ]
    text = json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(options.json, text.encode())
    write_atomically(options.csv, to_csv(records).encode())
    manifest.write(options.manifest, [options.json, options.csv])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
