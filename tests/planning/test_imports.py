"""The files of a program: all that Python loads, and nothing of other programs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicate.planning import imports
from replicate.planning.imports import files_of

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import importlib, os, sys
import gymnasium, mujoco, pandas, pyarrow.parquet, scipy.stats, seaborn, torch
for program in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(program)
        ours = ("analysis", "replicate")
        files = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] in ours]
        print(program, *files, flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(program)
"""
"""Prints what Python loads of ours for each program, in a process of its own.

The packages of others, which take the time, are loaded once."""
PROGRAMS = [
    "analysis.aggregate",
    "analysis.measures",
    "analysis.claims.__main__",
    "analysis.report.__main__",
    "analysis.products",
    "analysis.probe_figures.clipped_objective",
    "analysis.probe_figures.update_line",
    "analysis.probe_figures.update_passes",
    *(
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for folder in ("analysis/figures", "analysis/tables", "replicate/probes")
        for file in sorted((ROOT / folder).glob("*.py"))
        if file.stem != "__init__"
    ),
]


def forget() -> None:
    for cached in (imports.files_of, imports._imported):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    forget()
    yield
    forget()


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Program → the files that Python loads for it."""
    command = [sys.executable, "-c", LOADED, *PROGRAMS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    listed = (line.split() for line in done.stdout.splitlines())
    return {
        program: {str(Path(file).relative_to(ROOT)) for file in files} for program, *files in listed
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_python_loads_is_listed(program: str, loaded: dict[str, set[str]]) -> None:
    assert f"{program.replace('.', '/')}.py" in loaded[program]
    assert loaded[program] <= set(files_of(program))


def test_a_program_does_not_list_what_it_does_not_use() -> None:
    files = files_of("analysis.figures.epsilon")
    assert "analysis/study.py" in files and "analysis/figures/__init__.py" in files
    assert not {"analysis/report/page.py", "replicate/networks.py"} & set(files)
    assert not [file for file in files if file.startswith("analysis/claims")]


def test_imports_inside_functions_and_of_names_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file, source in {
        "analysis/__init__.py": "",
        "analysis/a.py": "import os\nfrom analysis.b import name\n",
        "analysis/b.py": "def f():\n    from analysis import c, d\n",
        "analysis/c.py": "import analysis.a\n",
        "analysis/unused.py": "",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(source)
    expected = [f"analysis/{name}.py" for name in ("__init__", "a", "b", "c")]
    assert files_of("analysis.a") == expected
