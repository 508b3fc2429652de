"""One table at the end, instead of one line per benchmark."""

import json
from pathlib import Path

import pytest

from analysis import manifest
from tests.bench.tables import Measurements, as_json, as_markdown

FOUND = pytest.StashKey[Measurements]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--table PATH``."""
    parser.addoption(
        "--table", type=Path, metavar="PATH", help="write the table to PATH.md and PATH.json"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """No table of pytest-benchmark's beside ours."""
    config.option.benchmark_quiet = True


@pytest.fixture(scope="session")
def measurements(pytestconfig: pytest.Config) -> Measurements:
    """What the benchmarks fill in."""
    return pytestconfig.stash.setdefault(FOUND, Measurements())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and write it where asked."""
    measurements = config.stash.get(FOUND, None)
    if measurements is None:
        return
    text = as_markdown(measurements)
    terminalreporter.section("speed")
    terminalreporter.write_line(text)
    path = config.getoption("--table")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".md").write_text(text)
        path.with_suffix(".json").write_text(json.dumps(as_json(measurements), indent=1) + "\n")
        manifest.renew(path.with_suffix(".json"))
