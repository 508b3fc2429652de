"""Floor 0: what is said to people while runs train."""

import sys
from contextlib import suppress


def say(text: str) -> None:
    """A line on standard error; who no longer listens (a closed pipe) does not end a training."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def first_line(error: object) -> str:
    """What is wrong, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
