"""SIGINT and SIGTERM as a wish that training fulfils between two updates."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = b"stopping after this update; once more stops at once\n"


@dataclass
class StopRequest:
    """Whether, and by which signal, this process was asked to stop."""

    signal_number: int | None = None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Take the first SIGINT or SIGTERM as a request; a second one acts as ever.

    Handlers exist in the main thread only; elsewhere nothing is taken.
    """
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    # A shell lets its background jobs ignore Ctrl-C; so do we.
    before = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _: FrameType | None) -> None:
        request.signal_number = number
        restore()
        with suppress(OSError, ValueError):  # not print: the signal may have come within one
            os.write(sys.stderr.fileno(), STOPPING)

    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
