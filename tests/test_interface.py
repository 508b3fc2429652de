"""What a notebook does: the README's own lines, shortened."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from replicate.interface import compose, load, train
from replicate.messages import ConfigError, DamagedRunError
from replicate.planning import composition
from tests.stored import store_run

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    (block,) = [text for text in blocks if "replicate.interface" in text]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(block.replace("40960", "4096"), names)
    tables = names["tables"]
    episodes, updates = tables.episodes, tables.updates  # type: ignore[attr-defined]
    assert sorted(episodes.seed.unique()) == [0, 1, 2]
    assert set(episodes.env) == {"Hopper-v5"} and set(episodes.algo) == {"trpo"}
    assert len(updates) == 6 and (updates.kl <= 0.01).all()


def test_what_is_not_finished_or_damaged_is_not_loaded(tmp_path: Path) -> None:
    (run,) = runs = compose("env=hopper", "seed=3")
    with pytest.raises(FileNotFoundError, match=f"^[^\n]*{run.run_id}: not a finished run[^\n]*$"):
        load(runs, tmp_path)
    folder = store_run(tmp_path, run)
    assert load(runs, tmp_path).updates.kl.unique().tolist() == pytest.approx([0.01])
    file = folder / "updates.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DamagedRunError, match=rf"^{file}: damaged [^\n]*$"):
        load(runs, tmp_path)


def test_a_folder_that_was_swapped_is_not_loaded_as_the_run_asked_for(tmp_path: Path) -> None:
    asked, other = compose("env=hopper", "seed=0,1", "total_env_steps=2048")
    store_run(tmp_path, other).rename(tmp_path / asked.run_id)
    for give in (load, train):
        with pytest.raises(DamagedRunError, match=f"another run, {other.run_id}[^\n]*$"):
            give([asked], tmp_path)


def test_the_commands_of_the_readme_are_valid() -> None:
    for line in re.findall(r"^python -m replicate (?!--help)(.*)$", README.read_text(), re.M):
        arguments = [a.strip("'") for a in line.split() if a != "-m"]
        assert composition.compose(*arguments).runs


def test_no_runs_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^runs: none"):
        train([], tmp_path)


def test_an_edit_of_conf_reaches_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(composition.CONF, tmp_path / "conf")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    file = tmp_path / "conf/recipe/modern.yaml"
    (before,) = compose("recipe=modern")
    assert before.recipe.norm_epsilon != 0.125
    text = re.sub("norm_epsilon: [^ \n]*", "norm_epsilon: 0.125", file.read_text())
    file.write_text(text)
    (after,) = compose("recipe=modern")
    assert after.recipe.norm_epsilon == 0.125


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("env=hopper", "out=elsewhere"), "out: no part of a run; train\\(\\) takes out, device, "),
        (("threads=2",), "threads: no part of a run"),
        (("seed=1", "seed=2"), "seed is given twice"),
    ],
)
def test_what_would_be_dropped_is_refused(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        compose(*overrides)


def test_a_notebook_keeps_its_threads_and_a_finished_store_is_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = compose("env=cart_pole", "total_env_steps=2048")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first = train(runs, tmp_path, threads=1, checkpoint_every_updates=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

    def refused(folder: Path) -> None:
        raise AssertionError(f"{folder} is to be written")

    monkeypatch.setattr("replicate.__main__.check_writable", refused)
    assert train(runs, tmp_path).updates.equals(first.updates)
