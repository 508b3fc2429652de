"""SHA-256 of every data file of a folder, so that altered data is refused and not drawn.

python -m analysis.manifest FOLDER      checks it; exit code 2 and one line where it differs
"""

import hashlib
import json
import sys
from pathlib import Path

from analysis.errors import DataError, one_line_errors
from replicate.records import write_json

NAME = "manifest.json"


class AlteredDataError(DataError):
    """A data file is not the one that the manifest lists."""


def sha256(file: Path) -> str:
    """Of a file's bytes, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(folder: Path, files: list[Path]) -> None:
    """List ``files`` of ``folder`` with their digests."""
    digests = {file.relative_to(folder).as_posix(): sha256(file) for file in sorted(files)}
    write_json(folder / NAME, digests)


def verify(folder: Path, below: str = "") -> None:
    """Check the listed files whose names start with ``below``.  Without a manifest: nothing to do.

    Raises:
        AlteredDataError: the first file that is missing or has other bytes.

    """
    manifest = folder / NAME
    if not manifest.is_file():
        return
    for name, digest in json.loads(manifest.read_text()).items():
        file = folder / name
        if not name.startswith(below):
            continue
        if not file.is_file():
            raise AlteredDataError(f"{file}: missing, but listed in {manifest}")
        if sha256(file) != digest:
            raise AlteredDataError(f"{file}: not the file that {manifest} lists")


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    verify(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
