"""Traces: which changes of the code they tell, and which they do not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replicate.upkeep import panel, traces
from tests.conftest import runs_of

ROOT = Path(__file__).parents[2]
FEW_ROWS = """
seeds: 2
overrides: [algo.num_steps=32, total_env_steps=96]
algorithms:
  trpo: [algo=trpo, algo.value_minibatch_size=16, algo.value_epochs=2]
  ppo: [algo=ppo, algo.learning_rate=0.003, algo.minibatch_size=16]
rows:
  trpo: {algo: trpo, envs: [cart_pole, hopper]}
  ppo: {algo: ppo, envs: [cart_pole, hopper]}
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("{algo: trpo, ", "{algo: tpro, "), "trpo: algo: did you mean 'trpo'?"),
        (("hopper", "hoper"), "envs: no 'hoper'; did you mean 'hopper'?"),
        (("seeds: 2", "seeds: 0"), "seeds: 0 is out of range"),
        (("seeds: 2", "seeds: ["), "cannot be read"),
    ],
)
def test_a_wrong_panel_is_one_line(
    change: tuple[str, str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(panel, "FILE", tmp_path / "traces.yaml")
    panel.FILE.write_text(FEW_ROWS.replace(*change))
    assert traces.main([]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1 and expected in printed


def test_a_check_of_a_commit_is_not_taken_for_one_of_the_present(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert traces.main(["--check", "HEAD~1"]) == 2
    assert capsys.readouterr().err.startswith("error: HEAD~1: --check is of the present code")


def test_a_wrong_device_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert traces.main(["device=gpu"]) == 2
    assert capsys.readouterr().err == "error: device=gpu: no such choice; did you mean 'cpu'?\n"


# Changes of the code, in a copy of the tree.


class Tree:
    """A checkout of its own, with a panel of few rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    def trace(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.run("-m", "replicate", "traces", *arguments)

    def git(self, *arguments: str) -> str:
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *name, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / "replicate" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def answers(self, made: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Whether runs with this ``run.json`` are stale here, and what finds out."""
        program = (
            "import json, sys; from replicate.store.staleness import command, compare\n"
            "made, runs = json.loads(sys.argv[1])\n"
            "answers = {name: compare(made, [run]) for name, run in runs.items()}\n"
            "print(json.dumps({name: (a.same, command([a])) for name, a in answers.items()}))"
        )
        runs = {
            f"{algo}/{env}": runs_of(f"algo={algo}", f"env={env}")[0].model_dump(mode="json")
            for algo in ("trpo", "ppo")
            for env in ("hopper", "cart_pole", "walker2d")
        }
        done = self.run("-c", program, json.dumps([made, runs]))
        assert done.returncode == 0, done.stderr
        return {name: (same, todo) for name, (same, todo) in json.loads(done.stdout).items()}

    def same(self, made: dict[str, Any]) -> dict[str, str]:
        return {name: same for name, (same, _) in self.answers(made).items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A traced tree in a repository of its own, and what its runs say of themselves."""
    tree = Tree(tmp_path_factory.mktemp("tree"))
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("replicate", "conf"):
        shutil.copytree(ROOT / name, tree.folder / name, ignore=ignored)
    shutil.copyfile(ROOT / "requirements.lock", tree.folder / "requirements.lock")
    (tree.folder / "conf/traces.yaml").write_text(FEW_ROWS)
    tree.git("init", "--quiet")
    tree.git("add", ".")
    tree.git("commit", "--quiet", "--message", "original")
    program = (
        "import json, replicate.training.runs\n"
        "from replicate.training.provenance import provenance\n"
        "print(json.dumps(provenance('cpu')))"
    )
    made = json.loads(tree.run("-c", program).stdout)
    assert made["dirty"] is False
    return tree.folder, made


@pytest.fixture(scope="module")
def traced(original: tuple[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    folder, made = original
    done = Tree(folder).trace()
    assert done.returncode == 0 and "4 rows" in done.stdout and ", 4 new" in done.stdout
    return folder, made


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Tree]:
    def copied(folder: Path) -> Tree:
        shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
        return Tree(tmp_path / "copy")

    return copied


Given = tuple[Path, dict[str, Any]]
Copy = Callable[[Path], Tree]
ALL = [f"{algo}/{env}" for algo in ("trpo", "ppo") for env in ("hopper", "cart_pole", "walker2d")]
HELP = ("rollout length, one update each", "length of a rollout; one update for each")


def test_a_reworded_help_text_leaves_every_stored_run_fresh(original: Given, copy: Copy) -> None:
    """Once it is traced, and the commit of the runs with it, of which nothing was known here."""
    folder, made = original
    tree = copy(folder)
    tree.replace("settings.py", *HELP)
    todo = f"python -m replicate traces {made['commit'][:12]}"
    assert tree.answers(made) == dict.fromkeys(ALL, ("unknown", todo))
    assert tree.same({**made, "dirty": True}) == dict.fromkeys(ALL, "unknown")
    assert tree.trace("--check").returncode == 1
    done = tree.trace(made["commit"])
    assert done.returncode == 0, done.stderr
    assert "4 of 4 rows kept their trace" in done.stdout
    assert tree.same(made) == dict.fromkeys(ALL, "same")
    # Its text is known: it does not matter that it was not committed.
    assert tree.same({**made, "dirty": True}) == dict.fromkeys(ALL, "same")
    # On a class of CPU that has no traces, those of this one tell.
    assert tree.same({**made, "simd": "NEON"}) == dict.fromkeys(ALL, "same")
    assert len(tree.git("worktree", "list").splitlines()) == 1
    checked = tree.trace("--check")
    assert checked.returncode == 0 and "4 traces as in" in checked.stdout


def test_a_moved_file_leaves_every_stored_run_fresh(traced: Given, copy: Copy) -> None:
    folder, made = traced
    tree = copy(folder)
    maths = tree.folder / "replicate/maths"
    (maths / "returns.py").rename(maths / "gae.py")
    for file in (tree.folder / "replicate").rglob("*.py"):
        file.write_text(file.read_text().replace("replicate.maths.returns", "replicate.maths.gae"))
    assert tree.same(made) == dict.fromkeys(ALL, "unknown")
    assert tree.trace().returncode == 0
    assert tree.same(made) == dict.fromkeys(ALL, "same")


def test_other_arithmetic_of_epsilon_is_told_from_all_that_it_does_not_touch(
    traced: Given, copy: Copy
) -> None:
    folder, made = traced
    tree = copy(folder)
    tree.replace("maths/objectives.py", "1 + epsilon", "1 + 0.95 * epsilon")
    done = tree.trace()
    assert "2 of 4 rows kept their trace; other: ppo/cart_pole, ppo/hopper" in done.stdout
    expected = {name: "other" if name.startswith("ppo") else "same" for name in ALL}
    assert tree.same(made) == expected


def test_checkpoints_that_are_not_what_was_stored_are_told(traced: Given, copy: Copy) -> None:
    folder, made = traced
    tree = copy(folder)
    tree.replace(
        "store/checkpoints.py",
        "np.savez(",
        "half = [k for k in parts if k.endswith('policy_state.parameters')]\n"
        "    parts |= {k: parts[k] / 2 for k in half}\n    np.savez(",
    )
    done = tree.trace()
    assert done.returncode == 0 and "0 of 4 rows kept their trace" in done.stdout, done.stderr
    assert "same" not in tree.same(made).values()


def test_the_check_tells_a_table_that_disagrees_and_passes_where_nothing_is_known(
    traced: Given, copy: Copy
) -> None:
    folder, _ = traced
    tree = copy(folder)
    table = tree.folder / "results/reference/traces.csv"
    rows = table.read_text()
    table.write_text(rows.replace(rows.splitlines()[-1][-12:], "0" * 12))
    for arguments in ((), ("--check",)):
        done = tree.trace(*arguments)
        assert done.returncode == 1 and done.stderr.count("error: ") == 1
        assert "ppo/hopper" in done.stderr
    maker = rows.splitlines()[1].split(",")[2]
    table.write_text(rows.replace(f",{maker},", ",Abacus,"))
    done = tree.trace("--check")
    assert done.returncode == 0 and "not known here, only on Abacus" in done.stdout


def test_a_commit_that_is_not_there_is_one_line(traced: Given, copy: Copy) -> None:
    tree = copy(traced[0])
    done = tree.trace("c0ffee")
    assert done.returncode == 2 and done.stderr.startswith("error: c0ffee: no such commit")
