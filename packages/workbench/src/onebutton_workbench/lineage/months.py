"""Move the months that train and judge on by the rule `retrain` of `params.yaml`: `make retrain` writes it, OB411 checks it."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from onebutton_contracts.errors import InputError, require

if TYPE_CHECKING:
    import pandas as pd

UNTIL = "retrained_until"


def move(params: Any, until: str) -> None:
    """Write what the rule makes of the last month, and that month; a list keeps its comment and its brackets.

    By dotted key it says the months from and to, counted back from the last one, or `first` for the first that stands there.

    Raises:
        InputError: there is no rule, a key of it holds no months, or it leaves none.
    """
    import pandas as pd

    none = "params.yaml has no section `retrain`, which says how the months that train and judge move on"
    require(params.get("retrain"), f"{none}: docs/retraining.md shows one")
    month = pd.Period(until, "M")
    for key, (since, to) in params["retrain"].items():
        *path, last = key.split(".")
        try:
            section = reduce(getitem, path, params)
            moved = _like(section[last], since, to, month)
        except (LookupError, TypeError, ValueError):
            why = f"neither a list of months nor a day that a number moves, but {since!r} is to move it"
            raise InputError(f"params.yaml: retrain names {key}, which is {why}") from None
        require(moved, f"UNTIL={month} leaves {key} of params.yaml without a month, or with months of two years")
        if isinstance(moved, list):
            section[last][:] = moved
        else:
            section[last] = moved
    params[UNTIL] = str(month)


def _like(value: Any, since: Any, to: int, until: pd.Period) -> Any:
    """Write months as those that stand there now: numbers of one year, texts such as `2013-09`, or the day that begins one."""
    import pandas as pd

    if isinstance(value, str):
        return f"{until - since}-01"
    numbers = isinstance(value[0], int)
    first = f"{until.year}-{value[0]}" if numbers else value[0]
    months = pd.period_range(first if since == "first" else until - since, until - to, freq="M")
    if not numbers:
        return [str(month) for month in months]
    return [month.month for month in months] if len({*months.year}) == 1 else []
