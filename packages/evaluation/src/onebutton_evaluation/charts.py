"""Lay out charts: what stands where on which scale. The template `pages/parts.html.jinja` draws them, as HTML and inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from onebutton_evaluation.wording import figure

Point = tuple[float, float]
Kind = Literal["dot", "second", "line", "line other", "line dotted"]  # classes of the style


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`; each tick is a value and its words."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float) -> float:
        """Place a value: 0 is the low end, 1 the high one."""
        return (value - self.low) / (self.high - self.low)

    def share(self, value: float, *, from_right: bool = False) -> str:
        """Place a value in percent of the width."""
        return f"{100 * (1 - self.at(value) if from_right else self.at(value)):.1f}%"


def axis(label: str, values: Sequence[float], write: Callable[[float], str] = figure) -> Axis:
    """Make a scale of round ticks that holds some values (Heckbert 1990, "Nice Numbers for Graph Labels")."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = [number * step for number in range(first, max(last, first + 1) + 1)]
    return Axis(label, marks[0], marks[-1], tuple((mark, write(mark)) for mark in marks))


@dataclass(frozen=True)
class Series:
    """Points of one kind; each reach is a place across, and the ends of an interval there."""

    points: Sequence[Point]
    kind: Kind = "dot"
    reaches: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Plot:
    """Series on two scales.

    Attributes:
        words: what it shows, for readers who cannot see it too.
        reference: the ends of a dashed line.
    """

    title: str
    words: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    reference: tuple[Point, Point] | None = None
    width: int = 360
    height: int = 300

    left, top = 58, 12

    @property
    def right(self) -> int:
        """Where the plotted area ends."""
        return self.width - 24

    @property
    def bottom(self) -> int:
        """Where the plotted area ends."""
        return self.height - (42 if self.x.label else 26)

    def across(self, value: float) -> float:
        """Place a value on the picture, from the left."""
        return round(self.left + self.x.at(value) * (self.right - self.left), 1)

    def up(self, value: float) -> float:
        """Place a value on the picture, from the top."""
        return round(self.bottom - self.y.at(value) * (self.bottom - self.top), 1)

    def path(self, points: Sequence[Point]) -> str:
        """Write a line through points; those that fall together are written once."""
        placed = [(self.across(x), self.up(y)) for x, y in points]
        kept = [placed[0], *(here for before, here in pairwise(placed) if here != before)]
        return " ".join(f"{x},{y}" for x, y in kept)


@dataclass(frozen=True)
class Dot:
    """One row of a dot plot.

    Attributes:
        name: of the slice.
        estimate: where the dot stands.
        low: end of its interval.
        high: end of its interval.
        rows: how many it stands on.
        second: a second mark, and what it is, such as `predicted`.
        word: beside the numbers, such as `better`.
    """

    name: str
    estimate: float
    low: float
    high: float
    rows: int
    second: float | None = None
    second_word: str = ""
    word: str = ""


@dataclass(frozen=True)
class Dots:
    """Dots with their intervals, one below the other.

    Attributes:
        what: the head of the numbers.
        write: lays out a number.
        reference: where a dotted line stands through all rows.
        of: the head of the names.
    """

    caption: str
    what: str
    rows: Sequence[Dot]
    write: Callable[[float], str]
    reference: float | None = None
    of: str = "slice"

    @property
    def scale(self) -> Axis:
        """The scale that all rows share."""
        ends = [value for row in self.rows for value in (row.low, row.high, row.second) if value is not None]
        ends += [] if self.reference is None else [self.reference]
        margin = (max(ends) - min(ends)) * 0.04 or 0.01
        return Axis("", min(ends) - margin, max(ends) + margin)


def columns(title: str, rows: Sequence[Dot], write: Callable[[float], str] = figure) -> Plot:
    """Set dots with intervals side by side as a small picture; a second mark is drawn as a diamond."""
    longest = max(8, 60 // len(rows))  # letters of a name
    short = [row.name if len(row.name) <= longest else f"{row.name[: longest - 1]}…" for row in rows]
    dots = Series(
        [(place, row.estimate) for place, row in enumerate(rows)],
        reaches=[(place, row.low, row.high) for place, row in enumerate(rows)],
    )
    second = [(place, row.second) for place, row in enumerate(rows) if row.second is not None]
    x = Axis("", -0.5, len(rows) - 0.5, tuple(enumerate(short)))
    y = axis("", [end for row in rows for end in (row.low, row.high, row.second) if end is not None], write)
    return Plot(title, "", x, y, (dots, Series(second, "second")), width=480, height=190)
