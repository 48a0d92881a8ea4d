"""Draw the plots that a pipeline declares: those of its task by name, and a team's own as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onebutton_evaluation.charts import Axis, Dot, Dots, Kind, Plot, Series, axis
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.wording import alike, figure, percent, tick

Columns = Mapping[str, Sequence[Any]]
MANY = 30  # points that are drawn as a line alone
TABLES = ("confusion", "classes", "residuals_by_slice", "importance")  # drawn as tables


def plots(curves: Mapping[str, Columns], axes: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """Draw what is declared, in the order of `dvc.yaml`; a plot of no known name needs its `x` and `y` there."""
    found = []
    for name, columns in curves.items():
        if name in OF_TASK and columns:
            found.append(OF_TASK[name](columns))
        elif name not in TABLES and (own := _own(columns, axes.get(name, {}), name)):
            found.append(own)
    return found


def _points(columns: Columns, x: str, y: str) -> list[tuple[float, float]]:
    return list(zip(columns[x], columns[y], strict=True))


def _roc(columns: Columns) -> Plot:
    words = "How many of the cases are found at the price of how many false alarms; the diagonal is chance."
    x, y = (axis(name.replace("_", " "), (0, 1)) for name in ("false_positive_rate", "true_positive_rate"))
    line = Series(_points(columns, "false_positive_rate", "true_positive_rate"), "line")
    return Plot("ROC", words, x, y, (line,), ((0, 0), (1, 1)))


def _diagonal(
    title: str, what: str, columns: Columns, write: Callable[[float], str], scale: Callable[[float], str]
) -> Plot:
    """Set what was predicted on average beside what was observed, bin by bin."""
    points = _points(columns, "predicted", "observed")
    furthest = max(points, key=lambda pair: abs(pair[0] - pair[1]))
    apart = f"{write(furthest[0])} predicted, {write(furthest[1])} observed"
    words = (
        f"Predicted and observed {what} in bins of equal count, which meet on the diagonal; furthest apart at {apart}."
    )
    x, y = (axis(name, [*columns["predicted"], *columns["observed"]], scale) for name in ("predicted", "observed"))
    return Plot(title, words, x, y, (Series(points, "line dotted"),), ((x.low, x.low), (x.high, x.high)))


def _calibration(columns: Columns) -> Plot:
    return _diagonal("Calibration", "share", columns, percent, tick)


def _predicted(columns: Columns) -> Plot:
    return _diagonal("Predicted against observed", "mean", columns, figure, figure)


def _thresholds(columns: Columns) -> Plot:
    words = "How many of the rows called are right (precision, the line), and how many of all cases are found (recall, dashed)."
    series = (
        Series(_points(columns, "called", "precision"), "line"),
        Series(_points(columns, "called", "recall"), "line other"),
    )
    return Plot("Thresholds", words, axis("rows called", (0, 1), tick), axis("", (0, 1), tick), series)


def _residuals(columns: Columns) -> Plot:
    words = (
        "Predicted minus observed in bins of equal count: the median, and where eight of ten lie. Above 0 is too much."
    )
    x = axis("predicted", columns["predicted"])
    points = Series(_points(columns, "predicted", "p50"), "dot", _reaches(columns))
    return Plot(
        "Errors by prediction", words, x, axis("error", [0, *columns["p10"], *columns["p90"]]), (points,), _level(x, 0)
    )


def _reaches(columns: Columns) -> list[tuple[float, float, float]]:
    return list(zip(columns["predicted"], columns["p10"], columns["p90"], strict=True))


def _level(x: Axis, value: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (x.low, value), (x.high, value)


def _coverage(columns: Columns) -> Plot:
    expected = columns["expected"][0]
    words = (
        f"How often what happened lies between the predicted quantiles; {tick(expected)} is expected, the dashed line."
    )
    x, points = axis("predicted", columns["predicted"]), Series(_points(columns, "predicted", "covered"), "line dotted")
    return Plot(
        "Coverage", words, x, axis("covered", [*columns["covered"], expected], tick), (points,), _level(x, expected)
    )


def _own(columns: Columns, said: Mapping[str, Any], name: str) -> Plot | None:
    """Draw a plot that a team declared; None where it is not two columns of numbers."""
    x, y = said.get("x"), said.get("y")
    if not isinstance(x, str) or not isinstance(y, str) or not {x, y} <= columns.keys():
        return None
    points = [pair for pair in _points(columns, x, y) if all(isinstance(value, int | float) for value in pair)]
    if len(points) < 2:  # noqa: PLR2004  a line has two ends
        return None
    kind: Kind = "line" if len(points) > MANY else "line dotted"
    scales = (axis(label, [pair[place] for pair in points]) for place, label in enumerate((x, y.replace("_", " "))))
    return Plot(str(said.get("title", name)), "", next(scales), next(scales), (Series(sorted(points), kind),))


OF_TASK: Mapping[str, Callable[[Columns], Plot]] = {
    "roc": _roc,
    "calibration": _calibration,
    "thresholds": _thresholds,
    "predicted": _predicted,
    "residuals": _residuals,
    "coverage": _coverage,
}


def residuals_by_slice(curves: Mapping[str, Columns]) -> Dots | None:
    """Show the errors on each slice: the median, and where eight of ten lie."""
    return _dots(
        curves.get("residuals_by_slice", {}), ("slice", "p50", "p10", "p90"), "Predicted minus observed", "median"
    )


def importance(curves: Mapping[str, Columns], metric: Metric) -> Dots | None:
    """Show how much worse the model gets with each input shuffled."""
    caption = f"How much worse {metric.words} gets with the values of an input shuffled"
    names = ("input", "importance", "low", "high")
    return _dots(curves.get("importance", {}), names, caption, "points" if metric.in_points else metric.words, metric)


def _dots(
    columns: Columns, names: tuple[str, str, str, str], caption: str, what: str, metric: Metric | None = None
) -> Dots | None:
    scale, least = (100.0, 2) if metric and metric.in_points else (1.0, 3)
    table = zip(*(columns.get(name, ()) for name in (*names, "rows")), strict=True)
    rows = [
        Dot(str(name), scale * here, scale * low, scale * high, rows)
        for name, here, low, high, rows in table
        if low is not None
    ]
    write = alike([end for row in rows for end in (row.low, row.high)], least, "+")
    return Dots(caption, what, rows, write, 0.0, names[0]) if rows else None
