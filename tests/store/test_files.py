"""Files: all of what was to be written, or what was there before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replicate.store import files


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = (tmp_path / f".a.json.{pid}.partial" for pid in (ended.pid, os.getppid()))
    neighbour = tmp_path / f".b.json.{ended.pid}.partial"
    for file in (left, others, neighbour):
        file.write_text("half")
    files.write_atomically(tmp_path / "a.json", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([others, neighbour, tmp_path / "a.json"])


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    files.write_atomically(target, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(target, b"new and longer")
    assert target.read_bytes() == b"old"
