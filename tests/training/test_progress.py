"""Progress: a bar on a terminal, lines elsewhere, never on stdout."""

import io
import sys

import pytest

from replicate.engine.cohort import Progress
from replicate.training import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def halfway() -> Progress:
    return Progress(
        update=5, num_updates=10, env_steps=1024, lanes=4, seconds=2.0, mean_return=12.3456
    )


def test_a_line_says_how_far_how_fast_and_how_long_still() -> None:
    assert progress.line("Hopper-v5 ppo (1/2)", halfway()) == (
        "Hopper-v5 ppo (1/2):  50%  1,024 env steps × 4 lanes  2,048 steps/s  mean return 12.35  "
        "0:00:02 left"
    )


def test_the_bar_of_a_terminal_is_not_in_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.reporter("Hopper-v5 ppo (1/1)") as report:
        report(halfway())
    assert "Hopper-v5 ppo (1/1)" in terminal.getvalue() and "50%" in terminal.getvalue()
    assert capsys.readouterr().out == ""
