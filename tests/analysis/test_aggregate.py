"""Runs are taken once, and only as they were written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from analysis import aggregate, manifest
from analysis.aggregate import read_runs
from replicate.store.columns import SCHEMAS
from replicate.store.description import RUN_FIELDS
from replicate.store.files import MANIFEST, read_json, sha256
from replicate.store.records import ENV_TABLES, RUN, check_rows, read_checked
from replicate.training.runs import train_cohort
from tests.conftest import runs_of
from tests.stored import EPISODE, RESUMED, episodes_of, store_run, updates_of

RUNS = runs_of("env=hopper", "total_env_steps=6144", "seed=range(0,2)")
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "runs"
    for run in RUNS:
        store_run(store, run, resumed=[RESUMED])
    return store


def aggregated(store: Path, *runs: str) -> int:
    outputs = [str(store.parent / f"hopper.{name}") for name in (*ENV_TABLES, MANIFEST)]
    names = runs or [run.run_id for run in RUNS]
    return aggregate.main([str(store), *names, "--out", *outputs])


def test_the_tables_have_every_row_of_a_run_and_whose_it_is(store: Path) -> None:
    assert aggregated(store) == 0
    for name in SCHEMAS:
        made = pq.read_table(store.parent / f"hopper.{name}.parquet")
        assert made[RUN].unique().to_pylist() == sorted(run.run_id for run in RUNS)
        for run in RUNS:
            rows = made.filter(pc.field(RUN) == run.run_id).drop_columns(RUN)
            assert rows.equals(pq.read_table(store / run.run_id / f"{name}.parquet"))
    told = read_runs(store.parent / f"hopper.{ENV_TABLES[-1]}")
    assert told == [read_json(store / run / "run.json") for run in sorted(r.run_id for r in RUNS)]
    manifest.verify(store.parent / f"hopper.{MANIFEST}")


def test_the_bytes_are_those_of_the_runs_whatever_their_order_and_number(store: Path) -> None:
    assert aggregated(store) == 0
    files = [store.parent / f"hopper.{name}" for name in (*ENV_TABLES, MANIFEST)]
    before = [file.read_bytes() for file in files]
    one, two = (run.run_id for run in RUNS)
    # Stamps of the pipeline end in the ids.
    assert aggregated(store, two, f"somewhere/{one}", two) == 0
    assert [file.read_bytes() for file in files] == before


def cut_in_half(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        data = json.loads(file.read_text())
        change(data)
        file.write_text(json.dumps(data))

    return edit


def set_gamma(run: dict[str, Any]) -> None:
    run["settings"]["algo"]["gamma"] = 0.5


def swap_settings_and_digest(run: dict[str, Any]) -> None:
    run |= {"settings": RUNS[0].model_dump(mode="json"), "digest": RUNS[0].digest}


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "half of the episodes": ("episodes.parquet", cut_in_half, "not the file that run.json lists"),
    "no updates": ("updates.parquet", Path.unlink, "missing"),
    "half of run.json": ("run.json", cut_in_half, "damaged"),
    "a list": ("run.json", lambda file: file.write_text("[]"), "not an object"),
    "another setting": ("run.json", edited(set_gamma), "its digest is not that of its settings"),
    "another run": ("run.json", edited(swap_settings_and_digest), "its run_id is not that of"),
    "all of another run": (
        "run.json",
        lambda file: shutil.copy(file.parent.with_name(RUNS[0].run_id) / "run.json", file),
        f"another run, {RUNS[0].run_id}",
    ),
    "a list without a file": (
        "run.json",
        edited(lambda run: run["files"].pop("episodes.parquet")),
        "does not list the files",
    ),
    **{
        f"without {name}": ("run.json", edited(lambda run, n=name: run.pop(n)), f"{name}: missing")
        for name in RUN_FIELDS
    },
    **{
        f"{name}: {value!r}": (
            "run.json",
            edited(lambda run, n=name, v=value: run.update({n: v})),
            f"({expected}",
        )
        for name, value, expected in (
            ("digest", "0" * 64, "its digest"),
            ("digest", "../../evil", "digest: "),
            ("run_id", "../../evil", "its run_id is not that of its settings"),
            ("code_digest", "../../../evil", "code_digest: "),
            ("status", "done", "status: 'done' is not a choice"),
            ("status", "diverged", "diverged, and diverged_at_env_step None"),
            ("diverged_at_env_step", 7, "finished, and diverged_at_env_step 7"),
            ("resumed", None, "resumed: None is not valid"),
            ("resumed", [{"dirty": True}], "resumed.0."),
            ("versions", "x", "versions: 'x' is not valid"),
            ("env_steps", "x", "env_steps: 'x' is not valid"),
            ("env_steps", -1, "env_steps: -1 is out of range"),
            ("env_steps", 4096, "env_steps: a run of these settings does not end at 4096"),
            ("episodes", 3.5, "episodes: 3.5 is not valid"),
            ("cohort", {}, "cohort."),
            ("files", None, "files: None is not valid"),
            ("settings", {}, "settings.env: missing"),
            ("made_up", 1, "made_up: unknown key"),
        )
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_is_not_what_was_written_is_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    name, change, expected = DAMAGES[damage]
    folder = store / RUNS[1].run_id
    change(folder / name)
    assert aggregated(store) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / name}: ") and expected in line
    # Settings may be another version's: such a run is not to be deleted.
    remedy = "move {} away" if damage.startswith("settings") else "delete {} and give the command"
    assert remedy.format(folder) in line
    assert not list(store.parent.glob("hopper.*"))


def test_tables_of_another_run_are_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (store / run.run_id for run in RUNS)
    store_run(store, RUNS[0], {"episodes": with_row(EPISODES, 0, episodic_return=2.5)})
    shutil.copy(one / "episodes.parquet", other / "episodes.parquet")
    assert aggregated(store) == 2
    assert f"{other / 'episodes.parquet'}: damaged" in capsys.readouterr().err


EPISODES, UPDATES = episodes_of(6144), updates_of(RUNS[1], 3)
Rows = list[dict[str, Any]]


def with_row(rows: Rows, row: int, **changed: Any) -> Rows:
    return [*rows[:row], {**rows[row], **changed}, *rows[row + 1 :]]


UNWRITTEN: dict[str, tuple[str, Rows, str]] = {
    "a return of NaN": (
        "episodes",
        with_row(EPISODES, 4, episodic_return=NAN),
        "row 4, counted from 0: a return of nan",
    ),
    "an infinite return": ("episodes", with_row(EPISODES, 0, episodic_return=-INF), "row 0,"),
    "no return": ("episodes", with_row(EPISODES, 7, episodic_return=None), "row 7,"),
    "a doubled episode": (
        "episodes",
        [*EPISODES[:5], EPISODES[4], *EPISODES[5:]],
        "row 5, counted from 0: from env step 320 to 320 in 64 steps",
    ),
    "all episodes doubled": ("episodes", EPISODES * 2, "row 96,"),
    "an episode that is lacking": ("episodes", [*EPISODES[:5], *EPISODES[6:]], "row 5,"),
    "an episode that goes back": ("episodes", with_row(EPISODES, 3, env_step=100), "row 3,"),
    "an episode of no length": (
        "episodes",
        [*EPISODES, {**EPISODES[-1], "episodic_length": 0}],
        "row 96,",
    ),
    "an episode beyond the run": (
        "episodes",
        episodes_of(6144 + 64),
        "row 96, counted from 0: ends at env step 6208, the run at 6144",
    ),
    "the last episodes gone": ("episodes", EPISODES[:-2], "94 rows; run.json tells of 96"),
    "an episode without a step": ("episodes", with_row(EPISODES, 2, env_step=None), "row 2,"),
    "a doubled update": (
        "updates",
        [UPDATES[0], *UPDATES],
        "row 1, counted from 0: update 0 at env step 2048; it must be update 1 at 4096",
    ),
    "updates in another order": ("updates", UPDATES[::-1], "row 0,"),
    "an update at another step": ("updates", with_row(UPDATES, 2, env_step=5000), "row 2,"),
    "the last update gone": ("updates", UPDATES[:-1], "2 rows; run.json tells of 6144 env steps"),
}


@pytest.mark.parametrize("case", UNWRITTEN)
def test_rows_that_no_training_writes_are_refused(
    store: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Their checksum fits."""
    name, rows, expected = UNWRITTEN[case]
    folder = store_run(store, RUNS[1], {name: rows})
    assert aggregated(store) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / name}.parquet: damaged (") and expected in line


def test_columns_that_no_training_writes_are_refused(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = store / RUNS[1].run_id / "episodes.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns("terminated"), file)
    edited(lambda run: run["files"].update({file.name: sha256(file)}))(file.with_name("run.json"))
    assert aggregated(store) == 2
    assert "not the columns that training writes" in capsys.readouterr().err


@pytest.mark.parametrize("at", [4096, 4097, 6144])
def test_a_run_that_diverged_is_as_good_as_any(store: Path, at: int) -> None:
    """In its third update; what is measured of that one may be anything."""
    last = {**UPDATES[-1], "kl": NAN, "ratio_max": INF}
    tables = {"episodes": episodes_of(at), "updates": [*UPDATES[:2], last]}
    diverged = {"status": "diverged", "diverged_at_env_step": at, "episodes": at // EPISODE}
    store_run(store, RUNS[1], tables, **diverged)
    assert aggregated(store) == 0


def test_an_episode_after_the_run_diverged_is_refused(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diverged = {"status": "diverged", "diverged_at_env_step": 4100}
    store_run(store, RUNS[1], **diverged)
    assert aggregated(store) == 2
    assert "ends at env step 4160, the run at 4100" in capsys.readouterr().err


def test_a_run_without_an_episode_is_as_good_as_any(store: Path) -> None:
    store_run(store, RUNS[1], {"episodes": []}, episodes=0)
    assert aggregated(store) == 0


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("algo", ["vpg", "ppo", "trpo"])
def test_what_training_writes_is_not_refused(tmp_path: Path, algo: str) -> None:
    """Runs that leave the finite numbers at once, or at some time, and those that do not."""
    size = {"ppo": "learning_rate", "vpg": "learning_rate", "trpo": "max_kl"}[algo]
    common = ["env=reacher", f"algo={algo}", "algo.num_steps=128", "total_env_steps=512"]
    runs = runs_of(*common, f"algo.{size}=1e-3,1e22", "seed=range(0,3)")
    train_cohort(runs, tmp_path, "cpu", 100)
    descriptions = [read_checked(tmp_path / run.run_id) for run in runs]
    for description in descriptions:
        check_rows(tmp_path / description["run_id"], description)
    diverged = [description["status"] == "diverged" for description in descriptions]
    assert diverged == ([False] * 3 + [True] * 3 if algo != "trpo" else [False] * 6)
