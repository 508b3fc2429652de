"""Which files of the repository a program is made of, from its imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("analysis", "replicate")


@cache
def files_of(module: str) -> list[str]:
    """Files of this repository that a module is made of: its own, those it imports, and theirs.

    Relative to the repository, which is the working folder; a package counts by its ``__init__``.
    """
    files: set[Path] = set()
    left = list(_files(module))
    while left:
        file = left.pop()
        if file not in files:
            files.add(file)
            left += _imported(file)
    return sorted(map(str, files))


def _files(module: str) -> Iterator[Path]:
    """What runs when a module is imported: the packages around it, and the module."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = Path(*parts[:end])
        package = path / "__init__.py"
        yield package if package.is_file() else path.with_suffix(".py")


@cache
def _imported(file: Path) -> list[Path]:
    """What a file imports itself, wherever in it."""
    if not file.is_file():
        return []
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    ours = [name for name in names if name.split(".")[0] in PACKAGES]
    # The last part of a name may be a function or a class, not a module.
    return [path for name in ours for path in _files(name) if path.is_file()]
