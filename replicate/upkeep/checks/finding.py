"""What a check of the doctor finds: one line, its state, and what to do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        text: one line.
        todo: what to do about it; empty where nothing is to be done.

    """

    name: str
    state: State
    text: str
    todo: str = ""


Check = Callable[[], Iterable[Finding]]


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 run, 2 runs."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def why_it_ended(text: str) -> str:
    """What a process ended with: its ``error:`` line, or its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no word of why"])[-1]
