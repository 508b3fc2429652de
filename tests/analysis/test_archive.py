"""The archive: the same bytes from the same files, and whole, or refused."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from analysis import archive, manifest
from replicate.store.files import sha256

NAME = "replicate-results-1.2.3"
FILE = Path(f"{NAME}.tar.gz")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data, reports and what is beside them."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "results/reference/runs/quick/hopper.runs.json": "[]",
        "results/reference/speed.json": "{}",
        "results/published/ppo_table1.csv": "a\n1\n",
        "results/replication/reference/report.html": "<p>main",
        "results/replication/reference_quick/report.html": "<p>quick",
        "results/replication/paper/report.html": "<p>mine",
        "CITATION.cff": "version: 1.2.3\n",
        "LICENSE": "MIT\n",
        "requirements.lock": "torch==2.13.0\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for folder in archive.DATA:
        manifest.update(folder, [file for file in folder.rglob("*") if file.is_file()])
    return tmp_path


def test_all_is_in_it_and_what_was_made_here_is_not(clone: Path) -> None:
    assert archive.main([]) == 0
    with tarfile.open(FILE) as tar:
        entries = tar.getmembers()
        assert {(e.mode, e.mtime, e.uid, e.uname) for e in entries} == {(0o644, 0, 0, "")}
        tar.extractall(clone / "unpacked")
    unpacked = clone / "unpacked" / NAME
    expected = sorted(
        str(file.relative_to(clone))
        for part in ("results", "CITATION.cff", "LICENSE", "requirements.lock")
        for file in (clone / part, *(clone / part).rglob("*"))
        if file.is_file() and "paper" not in file.parts
    )
    names = [str(f.relative_to(unpacked)) for f in unpacked.rglob("*") if f.is_file()]
    assert sorted(names) == expected == [e.name.removeprefix(f"{NAME}/") for e in entries]
    assert all((unpacked / name).read_bytes() == (clone / name).read_bytes() for name in expected)
    assert manifest.main([str(unpacked / "results")]) == 0


def test_equal_files_give_equal_bytes_and_other_files_others(clone: Path) -> None:
    assert archive.main([]) == 0
    before = FILE.read_bytes()
    for file in clone.rglob("*"):
        os.utime(file, (1e9, 1e9))
    (clone / "LICENSE").chmod(0o600)
    FILE.rename(clone / "before.tar.gz")
    assert archive.main([]) == 0
    assert FILE.read_bytes() == before
    (clone / "LICENSE").write_text("BSD\n")
    assert archive.main([]) == 0
    assert FILE.read_bytes() != before


def test_the_checksum_is_one_that_sha256sum_knows(clone: Path) -> None:
    assert archive.main([]) == 0
    command = ["sha256sum", "--check", f"{FILE}.sha256"]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_whole_archive_passes_and_a_changed_one_is_one_line(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert archive.main([]) == 0
    capsys.readouterr()
    assert archive.main(["--check", str(FILE)]) == 0
    assert capsys.readouterr().out == "3 data files, all as listed\n"
    FILE.write_bytes(FILE.read_bytes()[:-9])
    assert archive.main(["--check", str(FILE)]) == 2
    assert f"{FILE}: not what {FILE}.sha256 says" in capsys.readouterr().err
    archive.checksum(FILE).write_bytes(b"\xff\xfe")
    assert archive.main(["--check", str(FILE)]) == 2
    assert f"{FILE}: not what {FILE}.sha256 says" in capsys.readouterr().err
    # Even where the checksum was made anew.
    archive.checksum(FILE).write_text(f"{sha256(FILE)}  {FILE}\n")
    assert archive.main(["--check", str(FILE)]) == 2
    assert f"{FILE}: damaged" in capsys.readouterr().err
    Path("results/reference/speed.json").write_text("{ }")
    FILE.write_bytes(archive.pack(sorted(Path("results/reference").rglob("*.json")), NAME))
    archive.checksum(FILE).write_text(f"{sha256(FILE)}  {FILE}\n")
    assert archive.main(["--check", str(FILE)]) == 2
    assert "speed.json: not the file that its manifest lists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("results/reference/speed.json", "speed.json: missing, but listed"),
        ("results/replication/reference", "run snakemake figures"),
        ("requirements.lock", "requirements.lock: No such file"),
    ],
)
def test_without_something_there_is_no_archive(
    clone: Path, capsys: pytest.CaptureFixture[str], gone: str, said: str
) -> None:
    for name in (gone, "results/replication/reference_quick/report.html"):
        path = Path(name)
        for file in [path] if path.is_file() else list(path.rglob("*")):
            file.unlink()
    assert archive.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line and not FILE.exists()
