"""Move the months that train and judge on by the rule `retrain` of `params.yaml`: `make retrain` writes it, OB411 checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

from onebutton_contracts.errors import InputError

UNTIL = "retrained_until"


def moved(params: Mapping[str, Any], until: int) -> dict[str, Any]:
    """Return the parameters that the rule writes, by dotted key.

    Args:
        params: as `params.yaml` has them; `retrain` says by key the months from and to, counted back from the last one, or
            `first` for the first that stands there now.
        until: the last month, counted from year 0, which is written, too.

    Raises:
        InputError: there is no rule, a key of it does not exist, or it leaves no month.
    """
    rule = params.get("retrain")
    if not rule:
        raise InputError(
            "params.yaml has no section `retrain`, which says how the months that train and judge move on: "
            "docs/retraining.md shows one"
        )
    found = {}
    for key, (since, to) in rule.items():
        try:
            value = reduce(getitem, key.split("."), params)
        except (LookupError, TypeError):
            raise InputError(f"params.yaml: retrain names {key}, which is no key of this file") from None
        found[key] = _like(value, since, to, until, key)
    return found | {UNTIL: spelt(until)}


def put(params: Any, values: Mapping[str, Any]) -> None:
    """Write values by dotted key into parameters; a list that stands there keeps its comment and its brackets."""
    for key, value in values.items():
        *path, last = key.split(".")
        section = reduce(getitem, path, params)
        if isinstance(value, list):
            section[last].clear()
            section[last].extend(value)
        else:
            section[last] = value


def _like(value: Any, since: int | str, to: int, until: int, key: str) -> Any:
    """Write months as those that stand there now: numbers of one year, texts such as `2013-09`, or the day that begins one."""
    if not value or not isinstance(value, list | str) or (isinstance(value, str) and since == "first"):
        raise InputError(
            f"params.yaml: retrain names {key}, {value!r}: neither a list of months nor a day that a number moves"
        )
    if isinstance(value, str):
        return f"{spelt(until - int(since))}-01"
    by_number = isinstance(value[0], int)
    begins = until // 12 * 12 + value[0] - 1 if by_number else months_of(value[0])[0]
    months = range(begins if since == "first" else until - int(since), until - to + 1)
    if not months or (by_number and months[0] // 12 != months[-1] // 12):
        raise InputError(
            f"UNTIL={spelt(until)} leaves {key} of params.yaml without a month, or with months of two years"
        )
    return [one % 12 + 1 if by_number else spelt(one) for one in months]


def months_of(text: str) -> tuple[int, int]:
    """Read `2013-09` or `2013-07..2013-12` as months counted from year 0.

    Raises:
        InputError: it is neither.
    """
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])(?:\.\.(\d{4})-(0[1-9]|1[0-2]))?", text)
    if not found:
        raise InputError(f"UNTIL must be a month such as 2013-09, or a range such as 2013-07..2013-12, it is {text!r}")
    year, month, last_year, last_month = found.groups()
    first = int(year) * 12 + int(month) - 1
    return first, int(last_year) * 12 + int(last_month) - 1 if last_year else first


def spelt(month: int) -> str:
    """Write a month counted from year 0, as `2013-09`."""
    return f"{month // 12}-{month % 12 + 1:02}"
