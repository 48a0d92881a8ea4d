"""Lay out charts: what stands where on which scale. The template `pages/parts.html.jinja` draws them, as HTML and inline SVG."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from onebutton_evaluation.influence import Metric
from onebutton_evaluation.wording import alike, figure, tick

Rows = Sequence[Mapping[str, Any]]
Point = tuple[float, float]
Write = Callable[[float], str]
Kind = Literal["dot", "second", "line", "line other", "line dotted"]  # classes of the style
MANY = 30  # points that are drawn as a line alone
SHAPES: dict[str, Any] = tomllib.loads((Path(__file__).parent / "pages/curves.toml").read_text(encoding="utf-8"))
TABLES = ("confusion", "classes", "residuals_by_slice", "importance")  # drawn as tables


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


def axis(label: str, values: Sequence[float], write: Write = figure) -> Axis:
    """Make a scale of round ticks that holds some values (Heckbert 1990, "Nice Numbers for Graph Labels")."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = [number * step for number in range(first, max(last, first + 1) + 1)]
    return Axis(label, marks[0], marks[-1], tuple((mark, write(mark)) for mark in marks))


class Series(NamedTuple):
    """Points of one kind; each reach is a place across, and the ends of an interval there."""

    points: Sequence[Point]
    kind: Kind = "dot"
    reaches: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Plot:
    """Series on two scales; its words say what it shows to readers who cannot see it, too; the reference is a dashed line."""

    title: str
    words: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    reference: tuple[Point, Point] | None = None
    width: int = 360
    height: int = 300

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Where the plotted area ends: left, right, top and bottom."""
        return 58, self.width - 24, 12, self.height - (42 if self.x.label else 26)

    def across(self, value: float) -> float:
        """Place a value on the picture, from the left."""
        left, right, _, _ = self.frame
        return round(left + self.x.at(value) * (right - left), 1)

    def up(self, value: float) -> float:
        """Place a value on the picture, from the top."""
        _, _, top, bottom = self.frame
        return round(bottom - self.y.at(value) * (bottom - top), 1)


def draw(rows: Rows, how: Mapping[str, Any]) -> Plot:
    """Draw the rows of a plot's file, as `pages/curves.toml` says how."""
    x, y, reach, level = how["x"], how["y"], how.get("reach", ()), how.get("level")
    shares, diagonal = how.get("shares", ""), how.get("diagonal", False)
    across = [row[x] for row in rows]
    upwards = [row[name] for row in rows for name in (*y, *reach)]
    if isinstance(level, str):
        level = rows[0][level]
    if level is not None:
        upwards.append(level)
    if diagonal:
        across = upwards = [*across, *upwards]
    first = axis(x.replace("_", " "), across, tick if "x" in shares else figure)
    second = axis(how.get("up", next(iter(y)).replace("_", " ")), upwards, tick if "y" in shares else figure)
    line = ((first.low, first.low), (first.high, first.high)) if diagonal else None
    if level is not None:
        line = (first.low, level), (first.high, level)
    series = [Series([(row[x], row[name]) for row in rows], kind) for name, kind in y.items()]
    if reach:
        series.append(Series([], reaches=[(row[x], *(row[end] for end in reach)) for row in rows]))
    return Plot(how["title"], how.get("words", ""), first, second, tuple(series), line)


def plots(curves: Mapping[str, Rows], axes: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """Draw what is declared, in the order of `dvc.yaml`; a plot of no known name needs columns of numbers as its `x` and `y`."""
    found = []
    for name, rows in curves.items():
        said = axes.get(name, {})
        x, y = str(said.get("x")), str(said.get("y"))
        numbers = len(rows) > 1 and all(isinstance(row.get(one), int | float) for row in rows for one in (x, y))
        if name in SHAPES and rows:
            found.append(draw(rows, SHAPES[name]))
        elif name not in TABLES and numbers:
            kind = "line" if len(rows) > MANY else "line dotted"
            found.append(draw(rows, {"title": said.get("title", name), "x": x, "y": {y: kind}}))
    return found


class Dot(NamedTuple):
    """One row of a dot plot: a dot between the ends of its interval, and how many rows it stands on."""

    name: str
    estimate: float
    low: float
    high: float
    rows: int
    predicted: float | None = None  # a second mark
    word: str = ""  # beside the numbers, such as `better`


@dataclass(frozen=True)
class Dots:
    """Dots with their intervals, one below the other, under the heads `of` and `what`; a dotted line stands at the reference."""

    caption: str
    what: str
    rows: Sequence[Dot]
    write: Write
    reference: float | None = None
    of: str = "slice"

    @property
    def scale(self) -> Axis:
        """The scale that all rows share."""
        marks = [*ends(self.rows), *([] if self.reference is None else [self.reference])]
        margin = (max(marks) - min(marks)) * 0.04 or 0.01
        return Axis("", min(marks) - margin, max(marks) + margin)


def ends(rows: Sequence[Dot]) -> list[float]:
    """List what must have its place on the scale of some dots."""
    return [value for row in rows for value in (row.low, row.high, row.predicted) if value is not None]


def columns(title: str, rows: Sequence[Dot], write: Write = figure) -> Plot:
    """Set dots with intervals side by side as a small picture; what was predicted is drawn as a diamond."""
    longest = max(8, 60 // len(rows))  # letters of a name
    short = [row.name if len(row.name) <= longest else f"{row.name[: longest - 1]}…" for row in rows]
    places = list(enumerate(rows))
    dots = Series([(at, row.estimate) for at, row in places], reaches=[(at, row.low, row.high) for at, row in places])
    second = Series([(at, row.predicted) for at, row in places if row.predicted is not None], "second")
    x = Axis("", -0.5, len(rows) - 0.5, tuple(enumerate(short)))
    return Plot(title, "", x, axis("", ends(rows), write), (dots, second), width=480, height=190)


def residuals_by_slice(rows: Rows) -> Dots | None:
    """Show the errors on each slice: the median, and where eight of ten lie."""
    dots = [Dot(row["slice"], row["p50"], row["p10"], row["p90"], row["rows"]) for row in rows]
    return Dots("Predicted minus observed", "median", dots, alike(ends(dots), sign="+"), 0.0) if dots else None


def importance(rows: Rows, metric: Metric) -> Dots | None:
    """Show how much worse the model gets with each input shuffled."""
    scale, what, digits = (100.0, "points", 2) if metric.in_points else (1.0, metric.words, 3)
    dots = [
        Dot(row["input"], scale * row["importance"], scale * row["low"], scale * row["high"], row["rows"])
        for row in rows
        if row["importance"] is not None
    ]
    caption = f"How much worse {metric.words} gets with the values of an input shuffled"
    return Dots(caption, what, dots, alike(ends(dots), digits, "+"), 0.0, "input") if dots else None
