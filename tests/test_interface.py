"""What a notebook does: the README's own lines, shortened."""

import re
from pathlib import Path

import pytest

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


def test_the_commands_of_the_readme_are_valid() -> None:
    from replicate.plan import compose

    for line in re.findall(r"^python -m replicate (?!--help)(.*)$", README.read_text(), re.M):
        arguments = [a.strip("'") for a in line.split() if a != "-m"]
        assert compose(*arguments).runs
