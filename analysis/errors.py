"""What is wrong with stored data is said in one line, with exit code 2."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from replicate.store.records import DataError

Arguments = ParamSpec("Arguments")


def one_line_errors(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A command line that tells a ``DataError`` or an ``OSError`` and returns 2."""

    @wraps(main)
    def told(*arguments: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **options)
        except DataError as error:
            text = str(error)
        except OSError as error:
            text = f"{error.filename}: {error.strerror or error}"
        print(f"error: {text}", file=sys.stderr)
        return 2

    return told
