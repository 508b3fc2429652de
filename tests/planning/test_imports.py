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
import sys, {module}
for name, module in list(sys.modules.items()):
    if name.split(".")[0] in ("analysis", "replicate"):
        print(module.__file__)
"""
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


@pytest.mark.parametrize("module", PROGRAMS)
def test_all_that_python_loads_is_listed(module: str) -> None:
    command = [sys.executable, "-c", LOADED.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {str(Path(file).relative_to(ROOT)) for file in done.stdout.split()}
    assert f"{module.replace('.', '/')}.py" in loaded
    assert loaded <= set(files_of(module))


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
