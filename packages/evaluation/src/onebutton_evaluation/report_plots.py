"""Draw the plots that a pipeline declares: those of its task by name, and a team's own as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onebutton_evaluation.charts import Dot, Dots, Kind, Plot, Series, axis
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.wording import alike, figure, tick

Rows = Sequence[Mapping[str, Any]]
Write = Callable[[float], str]
MANY = 30  # points that are drawn as a line alone
TABLES = ("confusion", "classes", "residuals_by_slice", "importance")  # drawn as tables


@dataclass(frozen=True)
class Shape:
    """How a plot is drawn.

    Attributes:
        x: the column across.
        y: the columns upwards, and the kind of each.
        up: what they are called together, where not by the name of the only one.
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
OF_TASK = {
    "roc": Shape(
        "ROC",
        "How many of the cases are found at the price of how many false alarms; the diagonal is chance.",
        "false_positive_rate",
        {"true_positive_rate": "line"},
        diagonal=True,
    ),
    "calibration": Shape(
        "Calibration", BESIDE, "predicted", {"observed": "line dotted"}, write=(tick, tick), diagonal=True
    ),
    "thresholds": Shape(
        "Thresholds",
        "How many of the rows called are right (precision, the line), and how many of all cases are found (recall, dashed).",
        "called",
        {"precision": "line", "recall": "line other"},
        "share",
        (tick, tick),
    ),
    "predicted": Shape("Predicted against observed", BESIDE, "predicted", {"observed": "line dotted"}, diagonal=True),
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


def residuals_by_slice(curves: Mapping[str, Rows]) -> Dots | None:
    """Show the errors on each slice: the median, and where eight of ten lie."""
    names = ("slice", "p50", "p10", "p90")
    return _dots(curves.get("residuals_by_slice", ()), names, "Predicted minus observed", "median")


def importance(curves: Mapping[str, Rows], metric: Metric) -> Dots | None:
    """Show how much worse the model gets with each input shuffled."""
    caption = f"How much worse {metric.words} gets with the values of an input shuffled"
    names = ("input", "importance", "low", "high")
    if metric.in_points:
        return _dots(curves.get("importance", ()), names, caption, "points", scale=100.0)
    return _dots(curves.get("importance", ()), names, caption, metric.words)


def _dots(rows: Rows, names: tuple[str, ...], caption: str, what: str, scale: float = 1.0) -> Dots | None:
    of, *ends = names
    known = [(row, [scale * row[end] for end in ends]) for row in rows if row[ends[0]] is not None]
    dots = [Dot(str(row[of]), here, low, high, row["rows"]) for row, (here, low, high) in known]
    write = alike([end for row in dots for end in (row.low, row.high)], 3 if scale == 1 else 2, "+")
    return Dots(caption, what, dots, write, 0.0, of) if dots else None
