"""The command line: what it writes, and what it says of bad input."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from replicate.__main__ import COMMANDS, help_text, main
from replicate.planning.composition import compose
from replicate.settings import documented_keys
from replicate.store import checkpoints
from replicate.store.description import RUN_FIELDS
from replicate.store.records import read_description

SHORT = ["algo.num_steps=64", "total_env_steps=128", "algo.update_epochs=1"]


def test_one_run_writes_its_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env=hopper", "recipe=modern", "seed=3", f"out={tmp_path}", *SHORT]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.parent == tmp_path
    assert sorted(f.name for f in folder.iterdir()) == [
        "episodes.parquet",
        "run.json",
        "updates.parquet",
    ]
    description = json.loads((folder / "run.json").read_text())
    assert description["status"] == "finished"
    assert set(description) == set(RUN_FIELDS)  # the data dictionary describes all
    assert description["settings"]["seed"] == 3
    assert description["env_steps"] == 128
    assert description["versions"]["mujoco"] and description["cpu"] and description["simd"]
    episodes = pq.read_table(folder / "episodes.parquet").to_pydict()
    assert sum(episodes["episodic_length"]) <= 128
    assert episodes["env_step"] == sorted(episodes["env_step"])
    assert pq.read_table(folder / "updates.parquet").column("env_step").to_pylist() == [64, 128]


def test_a_sweep_trains_the_product_as_lanes_of_one_cohort(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", "env=hopper", "seed=range(0,3)", "algo.clip_epsilon=0.1,0.2"]
    assert main([*sweep, f"out={tmp_path}", *SHORT]) == 0
    folders = [Path(line) for line in capsys.readouterr().out.split()]
    described = [json.loads((folder / "run.json").read_text()) for folder in folders]
    trained = [(d["settings"]["algo"]["clip_epsilon"], d["settings"]["seed"]) for d in described]
    assert sorted(trained) == [(e, s) for e in (0.1, 0.2) for s in range(3)]
    assert {d["cohort"]["lanes"] for d in described} == {6}


def test_a_finished_run_is_not_trained_again_and_repeats_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["env=hopper", "algo=trpo", "algo.num_steps=128", "total_env_steps=256"]
    assert main([*command, f"out={tmp_path / 'a'}"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    stamps = {f.name: f.stat().st_mtime_ns for f in folder.iterdir()}
    assert main([*command, f"out={tmp_path / 'a'}"]) == 0
    assert "was finished before" in capsys.readouterr().out
    assert {f.name: f.stat().st_mtime_ns for f in folder.iterdir()} == stamps
    # Killed between the last run's files and the end of their checkpoint.
    (run,) = compose(*command).runs
    parts = {"update": 2, "num_updates": 2, "seconds": 1.0, "history": read_description(folder)}
    checkpoints.write(tmp_path / "a", checkpoints.cohort_name([run]), [run], parts, {})
    assert main([*command, f"out={tmp_path / 'a'}"]) == 0
    assert [file.name for file in (tmp_path / "a").iterdir()] == [folder.name]
    capsys.readouterr()
    assert main([*command, f"out={tmp_path / 'b'}"]) == 0
    again = Path(capsys.readouterr().out.strip())
    for name in ("episodes.parquet", "updates.parquet"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


BAD = {
    "unknown key": (["algo.clip_epsilo=0.3"], "did you mean 'algo.clip_epsilon'?"),
    "unknown top-level key": (["sed=1"], "did you mean 'seed'?"),
    "key of another algorithm": (["algo=trpo", "algo.clip_epsilon=0.2"], "a key of ppo"),
    "wrong type": (["algo.clip_epsilon=abc"], "algo.clip_epsilon: 'abc'"),
    "epsilon zero": (["algo.clip_epsilon=0"], "at least 1e-30"),
    "epsilon negative": (["algo.clip_epsilon=-0.2"], "at least 1e-30"),
    "epsilon infinite": (["algo.clip_epsilon=.inf"], "algo.clip_epsilon"),
    "minibatch": (["algo.minibatch_size=60"], "nearest that does: 64"),
    "minibatch of one": (["algo.minibatch_size=1"], "at least 2"),
    "value minibatch": (["algo=vpg", "algo.value_minibatch_size=100"], "nearest that does: 128"),
    "unknown environment": (["env=hoper"], "did you mean 'hopper'?"),
    "unknown environment id": (["env.id=Hoper-v5"], "did you mean 'Hopper-v5'?"),
    "environment argument": (["env.kwargs.foo=3"], "env.kwargs"),
    "environment argument's type": (["env.kwargs.reset_noise_scale=abc"], "env.kwargs"),
    "unknown algorithm": (["algo=poo"], "did you mean 'ppo'?"),
    "unknown recipe": (["recipe=moder"], "did you mean 'modern'?"),
    "objective": (["algo.objective=clp"], "did you mean 'clip'?"),
    "repeated seeds": (["-m", "seed=1,2,1"], "1 is repeated"),
    "several values": (["seed=1,2"], "add -m"),
    "negative seed": (["seed=-1"], "at least 0"),
    "seed of letters": (["seed=a"], "'a'"),
    "seed of signs": (["seed=--5"], "'--5'"),
    "too small for float32": (["algo.learning_rate=1e-60"], "at least 1e-30"),
    "too short": (["total_env_steps=10"], "nearest valid: 2048"),
    "no override": (["foo"], "write key=value"),
    "unknown command": (["docter", "scale=quick"], "did you mean 'doctor'?"),
    "unknown key of a command": (["doctor", "scal=quick"], "did you mean 'scale'?"),
    "unknown scale of a command": (["estimate", "scale=quik"], "did you mean 'quick'?"),
    "no value": (["retrain", "studies"], "write studies=value"),
    "key given twice": (["estimate", "scale=quick", "scale=paper"], "scale is given twice"),
    "unknown device": (["traces", "device=cud"], "did you mean 'cuda'?"),
    "no folder to mirror": (["mirror"], "RUN_FOLDER"),
    "unknown flag": (["--bar"], "unknown flag"),
    "no such cohort": (["--cohort", "nowhere.json"], "cannot be read"),
    "no CUDA here": (["device=cuda"], "cpu"),
    "out is below a file": (["out=setup.cfg/x"], "cannot be written"),
    "two folders": (["-m", "out=a,b"], "out=a,b: one value, for all runs"),
    "two loggers": (["-m", "logger=none,wandb"], "one value, for all runs"),
    "a range without values": (["-m", "seed=range(0,0)"], "no value in it"),
    "a range the wrong way": (["-m", "seed=range(3,0)"], "no value in it"),
    "a range without a step": (["-m", "seed=range(0,3,0)"], "write range(start,stop,step)"),
    "a range of 10^12": (["-m", "seed=range(0,1000000000000)"], "too many values; at most 10000"),
    "a range of tiny steps": (["-m", "algo.gamma=range(0.1,0.9,1e-12)"], "at most 10000"),
    "a range without end": (["-m", "algo.gamma=range(0,inf)"], "error: "),
    "a product of ranges": (
        ["-m", "seed=range(0,5000)", "algo.clip_epsilon=0.1,0.2,0.3"],
        "15000 runs; at most 10000",
    ),
    "an interval": (["-m", "algo.clip_epsilon=interval(0.1,0.2)"], "range(start,stop,step)"),
    "a glob": (["-m", "env=glob(*)"], "range(start,stop,step)"),
    "a key twice": (["seed=1", "seed=2"], "seed is given twice"),
    "a value twice": (["-m", "env=hopper,hopper"], "env: hopper is repeated; each value once"),
    "no effect": (
        ["-m", "algo.kl_target=0.003,0.01"],
        "algo.kl_target: several values, but it has",
    ),
    "longer than an int32": (["total_env_steps=10000000000"], "at most 2147483647"),
    "a float's length": (["total_env_steps=1e30"], "integer"),
    "a rollout of a float": (["algo.num_steps=1e10"], "integer"),
    "a rollout beyond an int32": (["algo.num_steps=10000000000"], "at most 2147483647"),
    "a rollout that does not fit": (
        ["algo.num_steps=2147483584", "total_env_steps=2147483647"],
        "algo.num_steps: 2147483584 takes at least 1,",
    ),
    "networks that do not fit": (
        ["algo.hidden_sizes=[1000000,1000000]"],
        "algo.hidden_sizes: [1000000, 1000000] takes at least 32,016 GB of memory for 1 at once",
    ),
    "a deep network": (["algo.hidden_sizes=[" + "1," * 999 + "1]"], "at most 100"),
    "passes without end": (["algo.update_epochs=1000000000"], "at most 1000"),
    "a minibatch of a prime": (
        ["algo.num_steps=2147483647", "total_env_steps=2147483647"],
        "nearest that does: 2147483647",
    ),
    "beyond float32": (["algo.value_coefficient=1e300"], "at most 1e+30"),
    "a standard deviation beyond float32": (["recipe.log_std_init=1e300"], "at most 1e+30"),
    "pictures": (["env.kwargs.render_mode=human"], "env.kwargs.render_mode: training shows no"),
    "a secret of the environment": (
        ["recipe.name=${oc.env:HOME}"],
        "recipe.name: '${oc.env:HOME}' is not looked up",
    ),
    "a value of another key": (["env.kwargs.a=${seed}"], "env.kwargs.a: '${seed}' is not looked"),
    "a number of 5000 digits": (["seed=" + "9" * 5000], "not an override; write key=value"),
    "steps backwards": (["env.kwargs.frame_skip=-1"], "env.kwargs.frame_skip: it must be 1 to"),
    "an environment of old": (["env.id=Hopper-v2"], "env.kwargs: Hopper-v2 does not work with"),
    "a folder with a null byte": (["out=a\0b"], "not an override"),
    "a sweep in a list": (["algo.hidden_sizes=[1,choice(1,2)]"], "not a value"),
    "hidden layer of width 0": (["algo.hidden_sizes=[0]"], "at least 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(
    case: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, expected = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("replicate.training.runs.cuda_is_available", lambda: False)
    Path("setup.cfg").write_text("a file")
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert expected in printed.err
    assert [f.name for f in tmp_path.iterdir()] == ["setup.cfg"], "something was written"


def test_the_file_of_a_cohort_says_what_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cohort", "none.json", "-m"]) == 2
    assert capsys.readouterr().err.startswith("error: -m: the file of --cohort says")
    for wrong in ("seed=7", "algo=trpo", f"out={tmp_path}"):
        assert main(["--cohort", "none.json", "threads=1", wrong]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: {wrong.partition('=')[0]}: told by the file of --cohort")


def test_too_little_memory_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["env=hopper", "env.kwargs.max_episode_steps=1000000000000", *SHORT]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory: ")


@pytest.mark.parametrize(
    "said", ["CUDA out of memory. Tried", "DefaultCPUAllocator: can't allocate memory: you tried"]
)
def test_too_little_memory_of_pytorch_is_one_line(
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("replicate.training.runs.train_cohort", lambda *_: fail(said))
    assert main(["env=hopper", *SHORT]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: out of memory: {said}")
    monkeypatch.setattr("replicate.training.runs.train_cohort", lambda *_: fail("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["env=hopper", *SHORT])


def fail(said: str) -> None:
    raise RuntimeError(said)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    first = b"The command line.\n"
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # or the pipe might hold all of it
    command = [sys.executable, "-m", "replicate", "--help"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        read = os.read(reading, len(first))
        os.close(reading)
        _, told = process.communicate()
    assert (process.returncode, read, told) == (141, first, b"")


def test_a_run_that_diverged_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["env=cart_pole", "algo.learning_rate=1e30", f"out={tmp_path}", *SHORT]
    assert main(command) == 0
    first = capsys.readouterr()
    assert "diverged at env step" in first.err and first.out.count("\n") == 1
    assert main(command) == 0
    assert "diverged at env step" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        *('{"runs": [], "store": "x"}', '{"runs": [{}], "store": "a\\u0000b"}'),
        *("[]", "3", "{", '{"runs": [], "store": 3}', '{"runs": 3, "store": "x"}'),
        *('{"runs": [1], "store": "x"}', '{"runs": [{}]}', '{"runs": [{"seed": 1}], "store": "x"}'),
    ],
)
def test_a_cohort_that_makes_no_sense_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cohort.json"
    file.write_text(text)
    assert main(["--cohort", str(file)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: --cohort {file}: ") and printed.count("\n") == 1


def test_bad_input_of_a_real_process_has_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "replicate", "env=hoper"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("algo", ["ppo", "vpg", "trpo"])
def test_help_lists_every_key(algo: str) -> None:
    text = help_text()
    for key, unit, meaning in documented_keys(algo):
        lines = [row for row in text.splitlines() if row.split()[:1] == [key]]
        assert sum(line.endswith(f"[{unit}] {meaning}") for line in lines) == 1


def test_help_names_every_command_and_each_says_more(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text()
    for name, (_, purpose) in COMMANDS.items():
        assert f"  {name} " in text and purpose in text
        assert main([name, "--help"]) == 0
        assert f"python -m replicate {name}" in capsys.readouterr().out


def test_every_environment_of_conf_trains(tmp_path: Path) -> None:
    names = "half_cheetah,hopper,inverted_double_pendulum,inverted_pendulum,reacher,swimmer"
    more = "walker2d,ant,humanoid,bipedal_walker,lunar_lander,cart_pole"
    runs = compose(f"env={names},{more}", *SHORT).runs
    assert len(runs) == 12
    assert main(["-m", f"env={names},{more}", f"out={tmp_path}", *SHORT]) == 0
    assert len(list(tmp_path.glob("*/run.json"))) == 12
