"""Lay out charts: what stands where on which scale. The template `pages/parts.html.jinja` draws them, as HTML and inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from onebutton_evaluation.influence import Metric
from onebutton_evaluation.wording import alike, figure, tick

Rows = Sequence[Mapping[str, Any]]
Point = tuple[float, float]
Write = Callable[[float], str]
Kind = Literal["dot", "second", "line", "line other", "line dotted"]  # classes of the style
MANY = 30  # points that are drawn as a line alone
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


@dataclass(frozen=True)
class Shape:
    """How the rows of a plot's file are drawn: the column across, and those upwards with the kind of each.

    Attributes:
        up: what these are called together, where not by the name of the only one.
        write: lays out the numbers of both scales.
        diagonal: whether both scales are one, with a dashed line where both columns are equal.
        level: a number, or the column of one, at which a dashed line stands.
        reach: the columns of the ends of an interval.
    """

    title: str
    words: str
    x: str
    y: Mapping[str, Kind]
    up: str = ""
    write: tuple[Write, Write] = (figure, figure)
    diagonal: bool = False
    level: str | float | None = None
    reach: tuple[str, ...] = ()

    def draw(self, rows: Rows) -> Plot:
        """Draw the rows of a plot's file."""
        across = [row[self.x] for row in rows]
        up = [row[name] for row in rows for name in (*self.y, *self.reach)]
        level = rows[0][self.level] if isinstance(self.level, str) else self.level
        if self.diagonal:
            across = up = [*across, *up]
        elif level is not None:
            up.append(level)
        x = axis(self.x.replace("_", " "), across, self.write[0])
        y = axis(self.up or next(iter(self.y)).replace("_", " "), up, self.write[1])
        line = None if level is None else ((x.low, level), (x.high, level))
        if self.diagonal:
            line = (x.low, x.low), (x.high, x.high)
        series = [Series([(row[self.x], row[name]) for row in rows], kind) for name, kind in self.y.items()]
        if self.reach:
            low, high = self.reach
            series.append(Series([], reaches=[(row[self.x], row[low], row[high]) for row in rows]))
        return Plot(self.title, self.words, x, y, tuple(series), line)


BESIDE = "Means of what was predicted and of what happened, in bins of equal count; on the diagonal they are equal."
OBSERVED: dict[str, Kind] = {"observed": "line dotted"}
OF_TASK = {
    "roc": Shape(
        "ROC",
        "How many of the cases are found at the price of how many false alarms; the diagonal is chance.",
        "false_positive_rate",
        {"true_positive_rate": "line"},
        diagonal=True,
    ),
    "calibration": Shape("Calibration", BESIDE, "predicted", OBSERVED, write=(tick, tick), diagonal=True),
    "thresholds": Shape(
        "Thresholds",
        "How many of the rows called are right (precision, the line), and how many of all cases are found (recall, dashed).",
        "called",
        {"precision": "line", "recall": "line other"},
        "share",
        (tick, tick),
    ),
    "predicted": Shape("Predicted against observed", BESIDE, "predicted", OBSERVED, diagonal=True),
    "residuals": Shape(
        "Errors by prediction",
        "Predicted minus observed in bins of equal count: the median, and where eight of ten lie. Above 0 is too much.",
        "predicted",
        {"p50": "dot"},
        "error",
        level=0,
        reach=("p10", "p90"),
    ),
    "coverage": Shape(
        "Coverage",
        "How often what happened lies between the predicted quantiles; the dashed line is what is expected.",
        "predicted",
        {"covered": "line dotted"},
        write=(figure, tick),
        level="expected",
    ),
}


def plots(curves: Mapping[str, Rows], axes: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """Draw what is declared, in the order of `dvc.yaml`; a plot of no known name needs columns of numbers as its `x` and `y`."""
    found = []
    for name, rows in curves.items():
        said = axes.get(name, {})
        x, y = str(said.get("x")), str(said.get("y"))
        numbers = len(rows) > 1 and all(isinstance(row.get(one), int | float) for row in rows for one in (x, y))
        if name in OF_TASK and rows:
            found.append(OF_TASK[name].draw(rows))
        elif name not in TABLES and numbers:
            kind: Kind = "line" if len(rows) > MANY else "line dotted"
            found.append(Shape(said.get("title", name), "", x, {y: kind}).draw(rows))
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
        ends = [*_ends(self.rows), *([] if self.reference is None else [self.reference])]
        margin = (max(ends) - min(ends)) * 0.04 or 0.01
        return Axis("", min(ends) - margin, max(ends) + margin)


def _ends(rows: Sequence[Dot]) -> list[float]:
    return [value for row in rows for value in (row.low, row.high, row.predicted) if value is not None]


def columns(title: str, rows: Sequence[Dot], write: Write = figure) -> Plot:
    """Set dots with intervals side by side as a small picture; what was predicted is drawn as a diamond."""
    longest = max(8, 60 // len(rows))  # letters of a name
    short = [row.name if len(row.name) <= longest else f"{row.name[: longest - 1]}…" for row in rows]
    places = list(enumerate(rows))
    dots = Series([(at, row.estimate) for at, row in places], reaches=[(at, row.low, row.high) for at, row in places])
    second = Series([(at, row.predicted) for at, row in places if row.predicted is not None], "second")
    x = Axis("", -0.5, len(rows) - 0.5, tuple(enumerate(short)))
    return Plot(title, "", x, axis("", _ends(rows), write), (dots, second), width=480, height=190)


def residuals_by_slice(rows: Rows) -> Dots | None:
    """Show the errors on each slice: the median, and where eight of ten lie."""
    return _dots(rows, ("slice", "p50", "p10", "p90"), "Predicted minus observed", "median")


def importance(rows: Rows, metric: Metric) -> Dots | None:
    """Show how much worse the model gets with each input shuffled."""
    caption = f"How much worse {metric.words} gets with the values of an input shuffled"
    scale, what = (100.0, "points") if metric.in_points else (1.0, metric.words)
    return _dots(rows, ("input", "importance", "low", "high"), caption, what, scale)


def _dots(rows: Rows, names: tuple[str, ...], caption: str, what: str, scale: float = 1.0) -> Dots | None:
    of, *ends = names
    known = [(row, [scale * row[end] for end in ends]) for row in rows if row[ends[0]] is not None]
    dots = [Dot(str(row[of]), here, low, high, row["rows"]) for row, (here, low, high) in known]
    return Dots(caption, what, dots, alike(_ends(dots), 3 if scale == 1 else 2, "+"), 0.0, of) if dots else None
