"""An algorithm of one's own, as replicate/README.md makes it: module, line in a table, values."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["algo.num_steps=64", "total_env_steps=192", "algo.value_minibatch_size=32"]
COMMAND = ["env=cart_pole", "recipe=modern", "algo=sgd", *SHORT]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's code with the README's algorithm in it."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("replicate", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    readme = (ROOT / "replicate/README.md").read_text(encoding="utf-8")
    recipe = readme[readme.index("## An algorithm of your own") :]
    module, settings, line, values = re.findall(r"```\w+\n(.*?)```", recipe, re.S)[:4]
    (folder / "replicate/algorithms/sgd.py").write_text(module, encoding="utf-8")
    (folder / "conf/algo/sgd.yaml").write_text(values, encoding="utf-8")
    file = folder / "replicate/settings.py"
    text = file.read_text(encoding="utf-8")
    table = re.search(r"^ALGORITHMS.*?\n(?=})", text, re.S | re.M)
    assert table
    inserted = text[: table.start()] + settings + table[0] + line + text[table.end() :]
    file.write_text(inserted, encoding="utf-8")
    return folder


def replicate(tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "replicate", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )


def test_it_trains_as_lanes_that_do_not_see_each_other(tree: Path) -> None:
    beside = replicate(tree, "-m", *COMMAND, "algo.learning_rate=0.1,0.3", "seed=0,1", "out=beside")
    assert beside.returncode == 0, beside.stderr
    alone = replicate(tree, *COMMAND, "algo.learning_rate=0.3", "seed=1", "out=alone")
    assert alone.returncode == 0, alone.stderr
    (run,) = (tree / "alone").glob("*/run.json")
    assert len(list((tree / "beside").glob("*/run.json"))) == 4
    for name in ("episodes.parquet", "updates.parquet"):
        twin = tree / "beside" / run.parent.name / name
        assert (run.parent / name).read_bytes() == twin.read_bytes()


def test_its_keys_are_checked_and_documented(tree: Path) -> None:
    wrong = replicate(tree, *COMMAND, "algo.learning_rat=0.1")
    assert wrong.returncode == 2 and "did you mean 'algo.learning_rate'?" in wrong.stderr
    assert "defaults of algo=sgd" in replicate(tree, "--help").stdout
