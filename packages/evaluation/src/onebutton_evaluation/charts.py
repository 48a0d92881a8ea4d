"""Place numbers on scales; the macros `plot` and `dots` of `pages/parts.html.jinja` draw them, as inline SVG and as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Axis(NamedTuple):
    """A scale from the first of its ticks to the last."""

    ticks: Sequence[float]

    def at(self, value: float) -> float:
        """Place a value: 0 is the low end, 1 the high one."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


def axis(values: Sequence[float]) -> Axis:
    """Make a scale of round ticks that holds some values (Heckbert 1990, "Nice Numbers for Graph Labels")."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis([number * step for number in range(first, max(last, first + 1) + 1)])


def numbers(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[float]:
    """List what stands in some columns, where there is something."""
    return [row[name] for row in rows for name in columns if row.get(name) is not None]
