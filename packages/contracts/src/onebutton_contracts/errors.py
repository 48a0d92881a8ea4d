"""A person's mistake, told in one line; anything else keeps its traceback."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """An input is not what it must be. The message says what is wrong, where, and what mends it."""


def require(good: object, message: str) -> None:
    """Raise an `InputError` with a message unless something holds of an input."""
    if not good:
        raise InputError(message)


def run_stage(main: Callable[[], object]) -> None:
    """Run a stage's `main`; end the program with the message alone, and status 1, when an input is wrong.

    Errors of packages that depend on none of ours are told so too when their class says `for_people = True`.
    """
    try:
        main()
    except Exception as error:
        if isinstance(error, InputError) or getattr(error, "for_people", False):
            sys.exit(str(error))
        raise
