"""The data of the repository and its reports in one file, to keep and to cite.

python -m analysis.archive                writes replicate-results-VERSION.tar.gz and its .sha256
python -m analysis.archive --check FILE   whether an archive is what its checksum and manifests say

In it: ``results/reference`` and ``results/published`` as they are, the reports that ``snakemake
figures`` drew of them, the lock file, licence and citation.  Equal files give equal bytes.
"""

import gzip
import hashlib
import io
import sys
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import yaml

from analysis import manifest
from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.files import MANIFEST, parsed_json, sha256, write_atomically
from replicate.store.records import is_reference

DATA = (Path("results/reference"), Path("results/published"))
MADE = Path("results/replication")
CITATION = Path("CITATION.cff")
BESIDE = (CITATION, Path("LICENSE"), Path("requirements.lock"))


class ArchiveError(DataError):
    """Why there is no archive, or why it is not to be trusted, in one line."""


def contents() -> list[Path]:
    """All files of the archive, checked.

    Raises:
        ArchiveError: no report was drawn.
        AlteredDataError: a data file is not the one that its manifest lists.

    """
    for folder in DATA:
        manifest.verify(folder / MANIFEST)
    # Without what a killed process or an editor left.
    data = [file for folder in DATA for file in folder.rglob("[!.]*") if file.is_file()]
    reports = [file for file in MADE.glob("*/report.html") if is_reference(file.parent.name)]
    if not reports:
        raise ArchiveError(f"{MADE}/reference/report.html: missing; run snakemake figures")
    return sorted([*data, *reports, *BESIDE])


def pack(files: Iterable[Path], root: str) -> bytes:
    """A tar.gz of files: their names and content, and nothing of times and owners.

    Args:
        files: relative paths.
        root: folder that they are in when unpacked.

    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            content = file.read_bytes()
            entry = tarfile.TarInfo(f"{root}/{file.as_posix()}")  # its mode is 644, its time 0
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def unpack(file: Path) -> dict[PurePosixPath, bytes]:
    """Files of an archive: name → content.

    Raises:
        ArchiveError: it is no such archive.

    """
    try:
        # All of it first: the end of the tar is not the end of the file.
        data = gzip.decompress(file.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = [(entry.name, tar.extractfile(entry)) for entry in tar if entry.isfile()]
            return {PurePosixPath(name): member.read() for name, member in members if member}
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(f"{file}: damaged ({error})") from None


def checksum(file: Path) -> Path:
    """The checksum file beside an archive, which ``sha256sum --check`` reads too."""
    return file.with_name(f"{file.name}.sha256")


def _listed(file: Path, name: PurePosixPath, content: bytes) -> dict[str, str]:
    try:
        return dict(parsed_json(content))
    except (ValueError, TypeError):
        raise ArchiveError(f"{file}: {name}: no manifest") from None


def check(file: Path) -> int:
    """How many data files an archive has, all as its manifests list them.

    Raises:
        ArchiveError: it is not what its checksum or a manifest says.

    """
    if sha256(file) != checksum(file).read_text("utf-8", "replace").partition(" ")[0]:
        raise ArchiveError(f"{file}: not what {checksum(file).name} says")
    contents = unpack(file)
    listed = {
        name.parent / entry: digest
        for name, content in contents.items()
        if name.name == MANIFEST
        for entry, digest in _listed(file, name, content).items()
    }
    for name, digest in listed.items():
        if hashlib.sha256(contents.get(name, b"")).hexdigest() != digest:
            raise ArchiveError(f"{file}: {name}: not the file that its manifest lists")
    return len(listed)


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.archive")
    parser.add_argument("--check", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.check:
        print(f"{check(options.check)} data files, all as listed")
        return 0
    name = f"replicate-results-{yaml.safe_load(CITATION.read_text(encoding='utf-8'))['version']}"
    file = Path(f"{name}.tar.gz")
    write_atomically(file, pack(contents(), name))
    write_atomically(checksum(file), f"{sha256(file)}  {file.name}\n".encode())
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, {check(file)} data files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
