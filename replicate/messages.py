"""Floor 0: what is said to people: lines while runs train, and every error of this package.

An error that a user can put right is a ``OneLineError``: its message is one line that names what is
wrong and what to do.  ``ending`` is the one place that turns it into a line and an exit code.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import ClassVar, NoReturn, ParamSpec

Arguments = ParamSpec("Arguments")


def say(text: str) -> None:
    """Print a line on standard error; a reader that closed the pipe does not end a training."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 run, 2,000 runs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def why_it_ended(printed: str) -> str:
    """What a process ended with: its ``error:`` line, or its last."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no word of why"])[-1]


def first_line(error: object) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class OneLineError(ValueError):
    """An error whose message is one line for the user."""

    exit_code: ClassVar[int] = 2


class ConfigError(OneLineError):
    """A wrong key or value."""


class LockedError(ConfigError):
    """Another process trains these runs; the message says what to do."""


class DataError(OneLineError):
    """Stored data that cannot be used; the message names the file."""


class DamagedRunError(DataError):
    """A stored run that cannot be used."""


class UnknownSettingsError(DamagedRunError):
    """One that is whole, but of settings that this version does not know."""


class UnusableCheckpointError(OneLineError):
    """A checkpoint that training cannot go on from; the message names the file."""


class ReplayError(OneLineError):
    """An environment that cannot be brought back to where it was."""


class TraceError(OneLineError):
    """Code that cannot be traced, or that does other than the table of traces says."""

    exit_code = 1


class InterruptedTraining(KeyboardInterrupt):
    """Training was stopped by a signal, with all that was done on the disk.

    Args:
        when: in its course, for people.
        signal_number: which one; a shell expects the exit code 128 + this.

    """

    def __init__(self, when: str, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name} {when}; the same command goes on")
        self.signal_number = signal_number


EXPECTED = (OneLineError, OSError, KeyboardInterrupt)
"""What a command may end with; anything else is a fault of this package and keeps its traceback."""


def ending(error: BaseException, advice: str = "") -> int:
    """Say in one line why a command ends; returns its exit code.

    Args:
        error: one of ``EXPECTED``.
        advice: what to know where files cannot be used, or after Ctrl-C.

    """
    advice = f"; {advice}" if advice else ""
    if isinstance(error, KeyboardInterrupt):
        say(str(error) or f"stopped at once{advice}")
        return 128 + int(getattr(error, "signal_number", signal.SIGINT))
    if isinstance(error, OSError):
        file = "" if error.filename is None else f"{error.filename}: "
        say(f"error: {file}{error.strerror or error}{advice}")
        return OneLineError.exit_code
    say(f"error: {error}")
    return int(getattr(error, "exit_code", OneLineError.exit_code))


def _not_begun(*_: object) -> None:
    os.write(2, b"stopped before it began\n")
    os._exit(128 + signal.SIGINT)


def end_quietly_until_begun() -> None:
    """While ``python -m`` imports a program, let Ctrl-C end it in one line, until ``begin``."""
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _not_begun)


def begin() -> None:
    """What every program does first: Ctrl-C acts as usual, no character is an error.

    A character that the terminal's encoding lacks is printed as its code point.
    """
    if signal.getsignal(signal.SIGINT) is _not_begun:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that says what is right."""

    def error(self, message: str) -> NoReturn:
        """What argparse calls where an argument is wrong.

        Raises:
            ConfigError: always.

        """
        raise ConfigError(f"{message}; {' '.join(self.format_usage().split())}")


def given_files(program: str, names: Iterable[str], arguments: list[str]) -> list[str]:
    """The arguments of a program that takes files in a fixed order; the last may be left out.

    Args:
        names: for people; ``[NAME]`` may be left out.

    Raises:
        ConfigError: there are more or fewer.

    """
    parser = Parser(prog=f"python -m {program}")
    for name in names:
        parser.add_argument(name.strip("[]"), nargs="?" if name.startswith("[") else None)
    return [text for text in vars(parser.parse_args(arguments)).values() if text is not None]


def one_line_errors(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Make the expected errors of a command line one line and an exit code."""

    @wraps(main)
    def told(*arguments: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            begin()
            return main(*arguments, **options)
        except EXPECTED as error:
            return ending(error)

    return told
