"""The one error exit: a line that says what is wrong, and an exit code."""

import signal

import pytest

from replicate.messages import (
    ConfigError,
    DamagedRunError,
    InterruptedTraining,
    TraceError,
    ending,
    one_line_errors,
)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("seed: wrong"), 2, "error: seed: wrong"),
        (DamagedRunError("run.json: damaged"), 2, "error: run.json: damaged"),
        (TraceError("no such commit"), 1, "error: no such commit"),
        (OSError(28, "No space left", "runs/x"), 2, "error: runs/x: No space left; advice"),
        (KeyboardInterrupt(), 130, "stopped at once; advice"),
        (
            InterruptedTraining("after update 3 of 9", signal.SIGTERM),
            143,
            "stopped by SIGTERM after update 3 of 9; the same command goes on",
        ),
    ],
)
def test_every_expected_end_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, "advice") == code
    assert capsys.readouterr().err == f"{line}\n"


def test_what_is_not_expected_keeps_its_traceback() -> None:
    @one_line_errors
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()
