"""Move the months that train and judge on by the rule `retrain` of `params.yaml`: `make retrain` writes it, OB411 checks it.

A month is a number, counted from year 0.
"""

from __future__ import annotations

from datetime import date
from functools import reduce
from operator import getitem
from typing import Any

from onebutton_contracts.errors import InputError, require

UNTIL = "retrained_until"


def move(params: Any, until: int) -> None:
    """Write what the rule makes of the last month, and that month; a list keeps its comment and its brackets.

    By dotted key it says the months from and to, counted back from the last one, or `first` for the first that stands there.

    Raises:
        InputError: there is no rule, a key of it holds no months, or it leaves none.
    """
    none = "params.yaml has no section `retrain`, which says how the months that train and judge move on"
    require(params.get("retrain"), f"{none}: docs/retraining.md shows one")
    for key, (since, to) in params["retrain"].items():
        *path, last = key.split(".")
        try:
            section = reduce(getitem, path, params)
            value = _like(section[last], since, to, until)
        except (LookupError, TypeError):
            why = f"neither a list of months nor a day that a number moves, but {since!r} is to move it"
            raise InputError(f"params.yaml: retrain names {key}, which is {why}") from None
        require(value, f"UNTIL={spelt(until)} leaves {key} of params.yaml without a month, or with months of two years")
        if isinstance(value, list):
            section[last][:] = value
        else:
            section[last] = value
    params[UNTIL] = spelt(until)


def _like(value: Any, since: Any, to: int, until: int) -> Any:
    """Write months as those that stand there now: numbers of one year, texts such as `2013-09`, or the day that begins one."""
    if isinstance(value, str):
        return f"{spelt(until - since)}-01"
    numbers = isinstance(value[0], int)
    begins = until // 12 * 12 + value[0] - 1 if numbers else months_of(value[0])[0]
    months = range(begins if since == "first" else until - since, until - to + 1)
    if not numbers:
        return [spelt(month) for month in months]
    return [month % 12 + 1 for month in months] if len({month // 12 for month in months}) == 1 else []


def months_of(text: str) -> tuple[int, int]:
    """Read `2013-09` or `2013-07..2013-12`, its first month and its last.

    Raises:
        InputError: it is neither.
    """
    begins, _, ends = text.partition("..")
    try:
        first, last = (date.fromisoformat(f"{month}-01") for month in (begins, ends or begins))
    except ValueError:
        wrong = f"UNTIL must be a month such as 2013-09, or a range such as 2013-07..2013-12, it is {text!r}"
        raise InputError(wrong) from None
    return first.year * 12 + first.month - 1, last.year * 12 + last.month - 1


def spelt(month: int) -> str:
    """Write a month as `2013-09`."""
    return f"{month // 12}-{month % 12 + 1:02}"
