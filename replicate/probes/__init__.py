"""Floor 6: experiments that no study runs – exact computations, and updates measured one by one.

Each module is a program that writes a record for the analysis.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from replicate.messages import Parser, one_line_errors
from replicate.store.files import check_writable, write_atomically, write_manifest


@one_line_errors
def main(
    name: str,
    columns: Sequence[str],
    rows: Callable[[], Iterable[Sequence[object]]],
    arguments: list[str],
) -> int:
    """The command line of a probe: its rows, and a manifest of them where one is asked for.

    Args:
        name: of its module.
        rows: called once the arguments are known to be right.

    """
    parser = Parser(prog=f"python -m replicate.probes.{name}")
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", nargs="?")
    options = parser.parse_args(arguments)
    check_writable(options.out.parent)
    write_csv(options.out, columns, rows())
    if options.manifest:
        write_manifest(options.manifest, [options.out])
    return 0


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A record, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_atomically(file, text.getvalue().encode())
