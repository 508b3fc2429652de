"""Print what was found, a line for each claim.

python -m analysis.findings CLAIMS.json
"""

import sys
from pathlib import Path
from typing import Any

from analysis import manifest
from replicate.messages import DataError, first_line, given_files, one_line_errors
from replicate.store.files import REMEDY, parsed_json

NOT_RUN = "not run"
"""As ``analysis.claims.ledger`` has it: to import that takes a second."""


def read_claims(file: Path) -> list[dict[str, Any]]:
    """What ``analysis.claims`` wrote.

    Raises:
        DataError: it cannot be read, or was altered.

    """
    manifest.check([file])
    try:
        records: list[dict[str, Any]] = parsed_json(file.read_text(encoding="utf-8"))
        if not isinstance(records, list) or not all(map(_is_record, records)):
            raise ValueError("no list of claims with their verdicts")
    except ValueError as error:
        raise DataError(f"{file}: damaged ({first_line(error)}); {REMEDY}") from None
    return records


def _is_record(record: object) -> bool:
    keys = {"claim", "verdict", "sentence", "post_hoc", "runs", "n", "seeds_needed"}
    return isinstance(record, dict) and record.keys() >= keys | {"effect", "effect_of"}


def lines(records: list[dict[str, Any]]) -> list[str]:
    """Number, verdict, sentence, effect and n of each claim; those that were not run in one."""
    ran = [record for record in records if record["verdict"] != NOT_RUN]
    width = max((len(_verdict(record)) for record in ran), default=0)
    text = [
        f"{record['claim']}  {_verdict(record):{width}}  {record['sentence']}{_numbers(record)}"
        for record in ran
    ]
    missing = [record["claim"] for record in records if record["verdict"] == NOT_RUN]
    return text + ([f"Not run here: {', '.join(missing)}"] if missing else [])


def _verdict(record: dict[str, Any]) -> str:
    return f"{record['verdict']} (post hoc)" if record["post_hoc"] else str(record["verdict"])


def _numbers(record: dict[str, Any]) -> str:
    """The effect, where the sentence does not have it, with n; the seeds that it would take."""
    if not record["runs"]:
        return ""  # exact
    parts = [f"{record['runs']} runs, n = {record['n']}"]
    if record["effect"] not in record["sentence"]:
        parts.insert(0, f"{record['effect_of']}: {record['effect']}")
    if record["seeds_needed"]:
        parts.append(f"it would take {record['seeds_needed']} seeds")
    return f" ({'; '.join(parts)})"


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    (file,) = map(Path, given_files("analysis.findings", ["CLAIMS.json"], arguments))
    print("\n".join(lines(read_claims(file))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
