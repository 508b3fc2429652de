"""Files as they are kept – written whole or not at all, JSON, SHA-256, manifests."""

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from replicate.messages import ConfigError, DataError, first_line

REMEDY = "restore it from git or, if it was made here, delete it and give the command again"

PARTIAL = ".partial"
"""Ending of a file that is being written."""
MANIFEST = "manifest.json"
"""Lists data files with their SHA-256."""


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """All of ``data`` or nothing: written beside ``path``, synced, then renamed.

    Each process writes a file of its own, since two may write the same at once; what one left that
    was killed is deleted.

    Raises:
        OSError: with ``path`` as its file name; what was there before is still there.

    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
            if not _is_alive(left.name.split(".")[-2]):
                left.unlink(missing_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_alive(pid: str) -> bool:
    """Whether a process runs here."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def check_writable(folder: Path) -> None:
    """Make ``folder``, unless files cannot be written to it.

    Raises:
        ConfigError: they cannot; nothing is left behind.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error.strerror})") from None
    except ValueError as error:  # a null byte
        raise ConfigError(f"{str(folder)!r}: cannot be a folder ({error})") from None


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, indented, keys in order."""
    write_atomically(path, (json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def write_manifest(manifest: Path, files: Iterable[Path]) -> None:
    """List ``files``, which lie below the manifest's folder, and nothing else."""
    write_json(manifest, {name_in(manifest, file): sha256(file) for file in files})


def name_in(manifest: Path, file: Path) -> str:
    """What a manifest calls a file: its path from the manifest's folder.

    Raises:
        DataError: it lies elsewhere.

    """
    if "\0" in str(file):
        raise DataError(f"{str(file)!r}: no name of a file; {manifest} lists it")
    folder = manifest.parent.resolve()
    if not file.resolve().is_relative_to(folder):
        raise DataError(f"{file}: not below {manifest.parent}, whose {MANIFEST} is to list it")
    return file.resolve().relative_to(folder).as_posix()


def parsed_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, or nested too deeply.

    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object.

    """
    data = parsed_json(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object of a file of stored data.

    Raises:
        DataError: it is missing or no JSON object.

    """
    try:
        return read_object(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: damaged ({first_line(error)}); {REMEDY}") from None
