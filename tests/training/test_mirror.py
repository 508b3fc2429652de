"""The wandb mirror: what it holds, and that it never harms a run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replicate.__main__ import main
from replicate.store.records import read_table
from replicate.training import mirror
from tests.conftest import runs_of

RUNS = ["-m", "env=inverted_pendulum", "seed=0,1", "total_env_steps=4096", "algo.update_epochs=1"]
KEY = "0123456789abcdef0123456789abcdef01234567"
CANARY = "canary-in-a-coal-mine"


def records_of(file: Path) -> Iterator[Any]:
    """wandb's transaction log: LevelDB's log format after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, at, record = file.read_bytes(), 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:  # too short for a header: padding
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # full, last
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a mirrored run."""
    histories = [r.history for r in records_of(file) if r.HasField("history")]
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in h.item}
        for h in histories
    ]


def mirrors(store: Path) -> dict[str, Path]:
    """Run id → wandb's file."""
    return {f.stem.removeprefix("run-"): f for f in store.glob("wandb/offline-run-*/*.wandb")}


def tables(store: Path) -> dict[str, bytes]:
    return {str(f.relative_to(store)): f.read_bytes() for f in store.glob("*/*.parquet")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs without a mirror."""
    store = tmp_path_factory.mktemp("plain")
    assert main([*RUNS, f"out={store}"]) == 0
    assert not (store / "wandb").exists()
    return store


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    for child in mirror.Follower.let_go:
        child.kill()
        child.wait()
    mirror.Follower.let_go.clear()


def test_lanes_are_mirrored_while_they_train_and_no_secret_is(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mirror, "SECONDS_TO_WAIT", 60.0)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("MY_SECRET", CANARY)
    assert main([*RUNS, f"out={tmp_path}", "logger=wandb"]) == 0
    assert "mirror" not in capfd.readouterr().err
    assert tables(tmp_path) == tables(plain)
    mirrored = mirrors(tmp_path)
    assert sorted(mirrored) == sorted(run.run_id for run in runs_of(*RUNS[1:]))
    for run_id, file in mirrored.items():
        rows = rows_of(file)
        assert [row["_step"] for row in rows] == [2048, 4096]
        kls = read_table(tmp_path / run_id, "updates").column("kl").to_pylist()
        assert [row["kl"] for row in rows] == pytest.approx(kls)
        returns = read_table(tmp_path / run_id, "episodes").column("episodic_return").to_pylist()
        assert rows[-1]["mean_return_100"] == pytest.approx(sum(returns[-100:]) / 100)
        (run,) = [r.run for r in records_of(file) if r.HasField("run")][:1]
        assert run.run_id == run_id and run.project == "replicate" and not run.host
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        settings = json.loads((tmp_path / run_id / "run.json").read_text())["settings"]
        assert config.pop("_wandb") is not None and config == settings
    for file in tmp_path.rglob("*"):
        text = file.read_bytes() if file.is_file() else b""
        assert not any(secret.encode() in text for secret in (KEY, CANARY, "--follow")), file


HANGING = [sys.executable, "-c", "import time; time.sleep(1000)"]
HARMFUL = {
    "missing": (["/nowhere/python"], "mirror: off"),
    "crashes": (["false"], "mirror"),
    "hangs": (HANGING, "goes on by itself"),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_a_broken_mirror_leaves_the_runs_as_they_are(
    case: str,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, expected = HARMFUL[case]
    monkeypatch.setattr(mirror, "COMMAND", command)
    monkeypatch.setattr(mirror, "SECONDS_TO_WAIT", 0.2)
    assert main([*RUNS, f"out={tmp_path}", "logger=wandb"]) == 0
    printed = capsys.readouterr().err
    assert expected in printed and printed.count("mirror:") == 1
    assert tables(tmp_path) == tables(plain)


def test_a_full_pipe_costs_lines_not_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mirror, "COMMAND", HANGING)
    monkeypatch.setattr(mirror, "SECONDS_TO_WAIT", 0.0)
    monkeypatch.setattr(mirror, "MAX_WAITING_BYTES", 2**18)
    (run,) = runs_of("env=hopper")
    with mirror.mirroring("wandb", tmp_path) as watch:
        for step in range(10_000):
            watch(run, {"env_step": step, "kl": 0.01}, "running")
    assert "mirror: incomplete" in capsys.readouterr().err


def test_a_wandb_that_fails_is_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "wandb.py"
    broken.write_text("raise ImportError('made up')")
    start = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from replicate.training.mirror import main;"
    )
    monkeypatch.setattr(
        mirror, "COMMAND", [sys.executable, "-c", start + "main(['--follow', sys.argv[1]])"]
    )
    monkeypatch.setattr(mirror, "SECONDS_TO_WAIT", 60.0)
    (run,) = runs_of("env=hopper")
    with mirror.mirroring("wandb", tmp_path) as watch:
        watch(run, {"env_step": 2048, "kl": 0.01}, "running")
    assert "mirror: incomplete" in capsys.readouterr().err
    log = (tmp_path / "wandb" / "mirror.log").read_text()
    assert log == "wandb cannot be imported: made up\n"


def test_the_child_ends_when_wandb_hangs_and_the_training_is_over(tmp_path: Path) -> None:
    (tmp_path / "wandb.py").write_text("import time; time.sleep(1000)")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from replicate.training import mirror;"
        "mirror.SECONDS_TO_FINISH = 0.1; mirror.main(['--follow', sys.argv[1]])"
    )
    (run,) = runs_of("env=hopper")
    line = {"run_id": run.run_id, "row": {}, "status": "running", "settings": run.model_dump()}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        input=json.dumps(line) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr == "wandb took too long to finish\n"


def command_line(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "replicate", "mirror", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_finished_runs_are_mirrored_afterwards(plain: Path) -> None:
    folders = sorted(f for f in plain.iterdir() if (f / "run.json").is_file())
    before = tables(plain)
    done = command_line(*folders)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 2
    assert tables(plain) == before
    mirrored = mirrors(plain)
    assert sorted(mirrored) == [folder.name for folder in folders]
    for folder in folders:
        rows = rows_of(mirrored[folder.name])
        steps = [row["_step"] for row in rows]
        assert steps == sorted(set(steps)) == [row["env_step"] for row in rows]
        for name, column in (("episodes", "episodic_return"), ("updates", "kl")):
            stored = read_table(folder, name).column(column).to_pylist()
            assert [row[column] for row in rows if column in row] == pytest.approx(stored)
        returns = read_table(folder, "episodes").column("episodic_return").to_pylist()
        assert rows[-1]["mean_return_100"] == pytest.approx(sum(returns[-100:]) / 100)


def test_bad_folders_are_one_line_and_exit_code_2(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = next(f for f in plain.iterdir() if (f / "run.json").is_file())
    for number, text in enumerate(["{", "[]", "{}", '{"settings": {}, "status": "finished"}']):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "run.json").write_text(text)
    (tmp_path / "no_tables").mkdir()
    (tmp_path / "no_tables" / "run.json").write_bytes((finished / "run.json").read_bytes())
    bad = {"nowhere": "not a finished run", "no_tables": "episodes.parquet: damaged"}
    bad |= {str(number): "run.json: damaged" for number in range(4)}
    for name, expected in bad.items():
        assert mirror.main([str(finished), str(tmp_path / name)]) == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        assert printed.err.startswith("error: ") and expected in printed.err
    for arguments in ([], ["--nonsense"]):
        assert mirror.main(arguments) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_the_logger_is_no_part_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert runs_of("logger=wandb") == runs_of()
    assert main(["logger=wandbb"]) == 2
    assert "logger: 'wandbb' is not a choice; did you mean 'wandb'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, "offline"), ("online", "online"), ("disabled", "offline"), ("shared", "offline")],
)
def test_online_is_asked_for_by_name(
    asked: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if asked:
        monkeypatch.setenv("WANDB_MODE", asked)
    assert mirror.mode() == expected


def test_wandb_is_not_imported_with_the_package() -> None:
    code = (
        "import sys, replicate.interface, replicate.training.mirror, replicate.training.runs;"
        "sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}).returncode == 0
