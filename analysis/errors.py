"""What is wrong with stored data is said in one line, with exit code 2."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

Arguments = ParamSpec("Arguments")


class DataError(ValueError):
    """Stored data that cannot be used; the message is one line that names the file."""


def one_line_errors(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A command line that tells a ``DataError`` and returns 2."""

    @wraps(main)
    def told(*arguments: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **options)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return told
