"""What ``pip install .`` installs: every package, and what they read."""

import tomllib
from pathlib import Path

from replicate.store.software import CONF

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]


def test_every_package_is_declared() -> None:
    packages = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for name in ("analysis", "replicate")
        for file in (ROOT / name).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == packages | {"replicate.conf"}
    assert ROOT / SETUPTOOLS["package-dir"]["replicate.conf"] == CONF


def test_every_file_that_is_read_is_declared() -> None:
    places = {"replicate.conf": CONF, "analysis.report": ROOT / "analysis/report"}
    for package, folder in places.items():
        shipped = {
            file for glob in SETUPTOOLS["package-data"][package] for file in folder.glob(glob)
        }
        read = {file for file in folder.rglob("*.*") if file.suffix not in (".py", ".pyc")}
        assert shipped == read
