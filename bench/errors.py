"""Errors that a user can mend, and how a command line shows them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError


class BenchError(Exception):
    """Something the user can mend; the message is one line: the thing, the choices, the mend."""


class MissingDataError(BenchError):
    """A data set, or a split of it, is not where it was looked for."""


@contextmanager
def readable_validation(where: str) -> Iterator[None]:
    """Turn a pydantic error into one line that names ``where``, the key and what is allowed."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BenchError(f"{where}: {key + ': ' if key else ''}{message}") from None


def run_main(main: Callable[[list[str] | None], int], argv: list[str] | None = None) -> int:
    """Run a command; a ``BenchError`` becomes one line on stderr and exit status 2."""
    try:
        return main(argv)
    except BenchError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
