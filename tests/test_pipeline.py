"""The Snakefile, run for real at smoke scale in a copy of the tree."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("analysis", "conf", "profiles", "replicate", "Snakefile", "environment.yaml")
FOLDER = Path("results/replication/comparison/smoke")

pytestmark = pytest.mark.xdist_group("pipeline")


def snakemake(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished smoke replication."""
    tree = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tree / part)
    done = snakemake(tree, "--config", "scale=smoke")
    assert done.returncode == 0, done.stderr
    return tree


def test_it_ends_with_a_report_and_pictures(tree: Path) -> None:
    for name in (
        "report.html",
        "learning_curves.svg",
        "learning_curves.png",
        "learning_curves.csv",
    ):
        assert (tree / FOLDER / name).stat().st_size > 500
    assert len(list((tree / "results/replication/runs").glob("*/run.json"))) == 16


def test_a_second_invocation_does_nothing(tree: Path) -> None:
    again = snakemake(tree, "--config", "scale=smoke")
    assert again.returncode == 0 and "Nothing to be done" in again.stderr


def test_a_figure_is_redrawn_byte_for_byte_without_training(tree: Path) -> None:
    figure = tree / FOLDER / "learning_curves.svg"
    before = figure.read_bytes()
    figure.unlink()
    runs = {f: f.stat().st_mtime_ns for f in (tree / "results/replication/runs").glob("*/*")}
    redrawn = snakemake(tree, "figures", "--config", "scale=smoke")
    assert redrawn.returncode == 0, redrawn.stderr
    assert figure.read_bytes() == before
    assert {f: f.stat().st_mtime_ns for f in runs} == runs


def test_only_a_missing_run_is_trained(tree: Path) -> None:
    shutil.rmtree(next((tree / "results/replication/runs").glob("hopper_v5-trpo-s1-*")))
    dry = snakemake(tree, "-n", "--config", "scale=smoke")
    trained = [line for line in dry.stdout.splitlines() if line.startswith("rule train")]
    assert dry.returncode == 0, dry.stderr
    assert len(trained) == 1 and "hopper_v5_trpo" in trained[0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("scale=smok", "did you mean 'smoke'?"),
        ("study=comparisn", "'comparison'"),
        ("scal=1", "'scale'"),
    ],
)
def test_a_wrong_config_is_one_line_and_exit_code_2(tree: Path, config: str, expected: str) -> None:
    done = snakemake(tree, "-n", "--config", config)
    assert done.returncode == 2
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert expected in line and "Traceback" not in done.stderr
