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
