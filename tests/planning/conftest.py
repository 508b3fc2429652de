"""A copy of the configuration, to be made wrong."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``conf/`` that everything reads."""
    for part in ("conf", "analysis"):
        shutil.copytree(ROOT / part, tmp_path / part)
    monkeypatch.setattr("replicate.planning.composition.CONF", tmp_path / "conf")
    return tmp_path / "conf"
