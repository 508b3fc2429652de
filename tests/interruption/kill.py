"""Kill -9 a training at a random moment, give the command again, compare the bytes.

python -m tests.interruption.kill [--cases N] [--table PATH.md]

A kill counts only if a checkpoint existed, and the second command said after which update it went
on.  About eight minutes on one core for all 30 cases; exit code 1 where one is not identical.
"""

import argparse
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from replicate.store.checkpoints import FOLDER
from replicate.store.files import sha256
from replicate.store.records import read_description
from replicate.training.provenance import machine
from tests.bench.tables import Table

ENVIRONMENTS = ("hopper", "half_cheetah", "ant", "bipedal_walker", "lunar_lander")
KINDS = {
    "ppo": ("algo=ppo",),
    "ppo, adaptive KL": ("algo=ppo", "algo.objective=adaptive_kl"),
    "ppo, target KL": ("algo=ppo", "algo.target_kl=0.003", "algo.learning_rate=1e-3"),
    "trpo": ("algo=trpo",),
    "trpo_baselines": ("algo=trpo_baselines", "algo.value_minibatch_size=64"),
    "vpg": ("algo=vpg", "algo.learning_rate=1e-2"),
}
RECIPES = ("paper2017", "modern")
LANES = 4
NUM_STEPS = 256
EVERY = 4
"""Updates between checkpoints."""


@dataclass(frozen=True)
class Case:
    """What is trained, for so many updates."""

    kind: str
    env: str
    recipe: str
    updates: int = 60

    def overrides(self) -> list[str]:
        """For ``python -m replicate -m``."""
        where = [f"env={self.env}", f"recipe={self.recipe}"]
        size = [f"seed=range(0,{LANES})", f"algo.num_steps={NUM_STEPS}"]
        length = [f"total_env_steps={NUM_STEPS * self.updates}"]
        return [*KINDS[self.kind], *where, *size, *length, f"checkpoint_every_updates={EVERY}"]


CASES = [
    Case(kind, env, RECIPES[(i + j) % len(RECIPES)])
    for i, kind in enumerate(KINDS)
    for j, env in enumerate(ENVIRONMENTS)
]


@dataclass(frozen=True)
class Outcome:
    """What a kill led to.

    Args:
        resumed: the update after which training went on; 0: it did not.
        identical: whether all Parquet files equal the uninterrupted ones.

    """

    resumed: int
    num_updates: int
    identical: bool


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every Parquet file below a folder."""
    files = sorted(folder.glob("*/*.parquet"))
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def start(case: Case, out: Path) -> "subprocess.Popen[str]":
    """Train, in a process of its own."""
    command = [sys.executable, "-m", "replicate", "-m", *case.overrides(), f"out={out}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(case: Case, out: Path) -> str:
    """Train to the end; what was printed."""
    process = start(case, out)
    _, printed = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{case}: exit code {process.returncode}\n{printed}")
    return printed


def killed(case: Case, out: Path, moment: float) -> bool:
    """Kill a training ``moment`` seconds after its first checkpoint; whether it was in time."""
    process = start(case, out)
    while process.poll() is None and not list((out / FOLDER).glob("*.npz")):
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Not in time: it had finished.
    return process.returncode == -signal.SIGKILL and bool(list((out / FOLDER).glob("*.npz")))


def interrupted(case: Case, chance: random.Random) -> Outcome:
    """Train once without and once with a kill."""
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        begin = time.monotonic()
        finish(case, whole)
        length = time.monotonic() - begin
        while not killed(case, cut, chance.uniform(0, length / 2)):
            shutil.rmtree(cut)
        printed = finish(case, cut)
        resumption = re.search(r"going on after update (\d+) of (\d+)", printed)
        said, num_updates = map(int, resumption.groups()) if resumption else (0, 0)
        notes = [read_description(file.parent)["resumed"] for file in cut.glob("*/run.json")]
        # Runs that were finished when the kill came were not trained again: they have no note.
        resumed = {note[-1]["update"] for note in notes if note}
        same = digests(whole) == digests(cut) and len(digests(whole)) == 2 * LANES
        return Outcome(said if resumed == {said} else 0, num_updates, same)


def table(outcomes: dict[Case, Outcome]) -> Table:
    """One row per case."""
    rows = [
        [
            case.kind,
            case.env,
            case.recipe,
            f"{outcome.resumed} of {outcome.num_updates}",
            "yes" if outcome.identical else "NO",
        ]
        for case, outcome in outcomes.items()
    ]
    columns = ["algorithm", "environment", "recipe", "went on after update", "identical"]
    return Table("Kill -9 at a random moment, four lanes, two Parquet files each", columns, rows)


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.interruption.kill")
    parser.add_argument("--cases", type=int, default=len(CASES))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--table", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    cases = CASES[: options.cases]
    outcomes = {case: interrupted(case, chance) for case in track(cases, "killing")}
    about = machine("cpu")
    text = (
        f"`python -m tests.interruption.kill`, on {about['cpu']} ({about['simd']}), "
        f"{platform.system()}.\n\n{table(outcomes).markdown()}\n"
    )
    print(text)
    if options.table:
        options.table.write_text(text)
    good = all(outcome.identical and outcome.resumed > 0 for outcome in outcomes.values())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
