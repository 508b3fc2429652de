"""SHA-256 of data files, so that altered data is refused and not drawn.

python -m analysis.manifest FOLDER                   checks all that is listed below it
python -m analysis.manifest FOLDER --update FILE…    lists files that were changed on purpose

``manifest.json`` lists the data of ``results/reference`` and ``results/published``;
``<name>.manifest.json`` the files ``<name>.…`` beside it that were made here.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.files import (
    MANIFEST,
    REMEDY,
    name_in,
    read_json,
    sha256,
    write_json,
    write_manifest,
)

MAX_DEPTH = 3
"""How far below its folder a manifest lists files."""


class AlteredDataError(DataError):
    """A data file is not the one that the manifest lists."""


write = write_manifest


def update(folder: Path, files: Iterable[Path]) -> None:
    """List ``files`` anew in a folder's manifest; the others stay, unless their file is gone.

    Raises:
        DataError: the manifest cannot be read, or a file lies elsewhere.

    """
    manifest = folder / MANIFEST
    listed = read_json(manifest) if manifest.exists() else {}
    kept = {name: digest for name, digest in listed.items() if (folder / name).is_file()}
    write_json(manifest, kept | {name_in(manifest, file): sha256(file) for file in files})


def listed(folder: Path) -> list[Path]:
    """The files that a folder's manifest lists; none where it has no manifest."""
    manifest = folder / MANIFEST
    return [folder / name for name in read_json(manifest)] if manifest.exists() else []


def of(file: Path) -> Path | None:
    """The manifest that is to list a file.

    That of its environment, beside it, or that of the nearest folder above; none for a user's own.
    """
    beside = file.with_name(f"{file.name.partition('.')[0]}.{MANIFEST}")
    above = [folder / MANIFEST for folder in file.parents[:MAX_DEPTH]]
    return next((manifest for manifest in (beside, *above) if manifest.is_file()), None)


def check(files: Iterable[Path]) -> None:
    """Compare files with the manifests that are to list them.

    Raises:
        AlteredDataError: the first file that is missing, not listed, or has other bytes.
        DataError: a manifest cannot be read.

    """
    listed: dict[Path, list[Path]] = {}
    for file in files:
        manifest = of(file)
        if manifest is None:
            raise AlteredDataError(f"{file}: no {MANIFEST} lists it; {REMEDY}")
        listed.setdefault(manifest, []).append(file)
    for manifest, of_manifest in listed.items():
        verify(manifest, of_manifest)


def renew(*files: Path) -> None:
    """Renew the digests of files that a command wrote, where the repository's data lists them.

    One that is listed nowhere is a user's own.
    """
    for file in files:
        manifest = of(file)
        if manifest is not None and name_in(manifest, file) in read_json(manifest):
            update(manifest.parent, [file])


def verify(manifest: Path, files: Iterable[Path] | None = None) -> None:
    """Check files, by default all that are listed.

    Raises:
        AlteredDataError: the first file that is missing, not listed, or has other bytes.
        DataError: the manifest cannot be read.

    """
    listed = read_json(manifest)
    for file in [manifest.parent / name for name in listed] if files is None else files:
        digest = listed.get(name_in(manifest, file))
        if digest is None:
            raise AlteredDataError(f"{file}: not listed in {manifest}; {REMEDY}")
        if not file.is_file():
            raise AlteredDataError(f"{file}: missing, but listed in {manifest}; {REMEDY}")
        if sha256(file) != digest:
            raise AlteredDataError(f"{file}: not the file that {manifest} lists; {REMEDY}")


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.manifest")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--update", type=Path, nargs="+", metavar="FILE")
    options = parser.parse_args(arguments)
    if options.update:
        for file in options.update:
            nearest = of(file.resolve())
            if nearest not in (None, options.folder.resolve() / MANIFEST):
                raise DataError(f"{file}: it is {nearest} that lists it")
        update(options.folder, options.update)
        return 0
    manifests = sorted(options.folder.rglob(f"*{MANIFEST}"))
    if not manifests:
        raise DataError(f"{options.folder}: no {MANIFEST} in it or below")
    for manifest in manifests:
        verify(manifest)
    print(f"{sum(len(read_json(manifest)) for manifest in manifests)} data files, all as listed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
