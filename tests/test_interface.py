"""What a notebook does: the README's own lines, shortened."""

import re
from pathlib import Path

import pytest

from replicate import plan
from replicate.interface import compose, load
from replicate.records import DamagedRunError, write_run

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
    about = {"digest": run.digest, "settings": run.model_dump(mode="json"), "status": "finished"}
    write_run(tmp_path / run.run_id, [], [{"update": 0, "env_step": 2048, "kl": 0.01}], about)
    assert load(runs, tmp_path).updates.kl.tolist() == pytest.approx([0.01])
    file = tmp_path / run.run_id / "updates.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DamagedRunError, match=rf"^{file}: damaged [^\n]*$"):
        load(runs, tmp_path)


def test_the_commands_of_the_readme_are_valid() -> None:
    for line in re.findall(r"^python -m replicate (?!--help)(.*)$", README.read_text(), re.M):
        arguments = [a.strip("'") for a in line.split() if a != "-m"]
        assert plan.compose(*arguments).runs
