"""What ``pip install .`` installs: every package, and what they read."""

import tomllib
from pathlib import Path

import yaml

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


def test_conda_has_the_packages_of_the_lock_file() -> None:
    """In the file itself: Snakemake copies it to a folder where there is no other."""
    listed = yaml.safe_load((ROOT / "environment.yaml").read_text())["dependencies"][-1]["pip"]
    assert listed == (ROOT / "requirements.lock").read_text().splitlines()[1:]


def test_every_file_that_is_read_is_declared() -> None:
    places = {"replicate.conf": CONF, "analysis.report": ROOT / "analysis/report"}
    for package, folder in places.items():
        shipped = {
            file for glob in SETUPTOOLS["package-data"][package] for file in folder.glob(glob)
        }
        read = {file for file in folder.rglob("*.*") if file.suffix not in (".py", ".pyc")}
        assert shipped == read
