"""All metrics by task and name; docs/evaluation.md shows how a team adds its own."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from onebutton_contracts.errors import InputError
from onebutton_evaluation.influence import (
    Better,
    Floats,
    Kind,
    Metric,
    Rows,
    auc_of,
    average_precision_of,
    counted,
    median_of,
    ranked,
    rarest_called,
    smooth,
)

Task = Literal["binary", "multiclass", "regression"]
BINARY = ("0", "1")  # classes where gates.toml names none
MACRO = "macro"  # no class may be called so: `f1[macro]` is the mean over classes


def _errors(rows: Rows) -> Floats:
    return rows.predictions - rows.answers


def _distances(rows: Rows) -> Floats:
    return np.abs(_errors(rows))


def _squares(rows: Rows) -> Floats:
    centred = rows.answers - rows.answers.mean()  # else the difference of two large numbers would lose its digits
    return np.column_stack([_errors(rows) ** 2, centred, centred**2])


def log_losses(rows: Rows) -> Floats:
    """Return the log loss of each row."""
    tiny = float(np.finfo(np.float64).eps)  # as scikit-learn: certain and wrong costs much, but not without end
    if rows.predictions.ndim > 1:
        right = rows.predictions[np.arange(len(rows)), rows.codes]
    else:
        right = np.where(rows.answers > 0, rows.predictions, 1 - rows.predictions)
    losses: Floats = -np.log(np.clip(right, tiny, 1.0))
    return losses


def _brier(rows: Rows) -> Floats:
    """Square the distance from what happened; over several classes the sum of theirs (Brier 1950)."""
    if rows.predictions.ndim == 1:
        return _errors(rows) ** 2
    happened = np.eye(len(rows.classes))[rows.codes]
    sums: Floats = ((rows.predictions - happened) ** 2).sum(axis=1)
    return sums


_REGRESSION = (  # of squared errors no interval holds with heavy tails, which cannot be seen: these decide nothing
    smooth("mae", "lower", _distances, kind="loss", words="MAE"),
    smooth("rmse", "lower", _squares, lambda m: np.sqrt(m[0]), kind="loss", words="RMSE", decides=False),
    smooth("r2", "higher", _squares, lambda m: 1 - m[0] / (m[2] - m[1] ** 2), kind="r2", words="R2", decides=False),
    smooth("bias", "zero", _errors),
    Metric("median_ae", "median absolute error", "lower", "quantile", lambda rows: median_of(_distances(rows))),
)
_PROBABILITIES = (
    smooth("log_loss", "lower", log_losses, kind="loss", least_rows=100),
    smooth("brier", "lower", _brier, kind="loss", least_rows=100, words="Brier score"),
    ranked("auc", "AUC", "rank", auc_of),
    ranked("average_precision", "average precision", "precision", average_precision_of),
)
_SHARE = smooth("share", "", lambda rows: rows.answers, kind="share")
_PREDICTED = smooth("bias", "zero", _errors, words="predicted minus observed share", least_rows=100)


def _pinball(level: float) -> Metric:
    def losses(rows: Rows) -> Floats:
        gap = rows.answers - rows.quantiles[level]
        return np.maximum(level * gap, (level - 1) * gap)

    return smooth(f"pinball[{level:g}]", "lower", losses, kind="loss", least_rows=500)


def _coverage(low: float, high: float) -> Metric:
    def inside(rows: Rows) -> Floats:
        return ((rows.quantiles[low] <= rows.answers) & (rows.answers <= rows.quantiles[high])).astype(np.float64)

    return smooth(f"coverage[{low:g},{high:g}]", "", inside, kind="share")


def _kappa(cells: Any) -> Any:
    chance = cells.sum(axis=1) @ cells.sum(axis=0)
    return (np.trace(cells) - chance) / (1 - chance)


PER_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1"}  # what is measured of each class, in words


def _of_class(name: str, code: int, cells: Any) -> Any:
    hit, answered, called = cells[code, code], cells[code].sum(), cells[:, code].sum()
    part, whole = {"precision": (hit, called), "recall": (hit, answered), "f1": (2 * hit, answered + called)}[name]
    return part / whole if whole != 0 else 0 * part  # nothing called so is no success, as in scikit-learn


def _rows_of_class(name: str, code: int, rows: Rows) -> Any:
    answered, called = rows.codes == code, rows.called == code
    return {"precision": called, "recall": answered, "f1": answered | called}[name]


def _mean_of_classes(name: str, cells: Any) -> Any:
    return sum(_of_class(name, code, cells) for code in range(len(cells))) / len(cells)


def _of_classes(classes: Sequence[str]) -> list[Metric]:
    """Make the metrics of called classes: those of one class, and their mean."""
    found = [
        counted("accuracy", "accuracy", np.trace, "share"),
        counted("kappa", "kappa", _kappa, "agreement", rarest_called),
    ]
    for name, words in PER_CLASS.items():
        for code, label in enumerate(classes):
            value, basis = partial(_of_class, name, code), partial(_rows_of_class, name, code)
            kind: Kind = "f1" if name == "f1" else "share"
            found.append(counted(f"{name}[{label}]", f"{words} of {label}", value, kind, basis))
        mean = partial(_mean_of_classes, name)
        found.append(counted(f"{name}[{MACRO}]", f"mean {words} of the classes", mean, "average", rarest_called))
    return found


@cache
def known_metrics(task: Task, classes: tuple[str, ...] = (), quantiles: tuple[float, ...] = ()) -> dict[str, Metric]:
    """List the metrics of a task by name; classes in the order of their probabilities, levels of quantiles rising."""
    if task == "regression":
        spans = [(low, high) for low in quantiles for high in quantiles if low < high]
        found = [*_REGRESSION, *map(_pinball, quantiles), *(_coverage(*span) for span in spans)]
    elif task == "binary":
        found = [_SHARE, *_PROBABILITIES, _PREDICTED, *_of_classes(classes or BINARY)]
    else:
        shares = [
            smooth(f"share[{label}]", "", partial(lambda code, rows: rows.codes == code, code), kind="share")
            for code, label in enumerate(classes)
        ]
        found = [*shares, *_PROBABILITIES, *_of_classes(classes)]
    return {metric.name: metric for metric in found}


def named(known: Mapping[str, Metric], name: str) -> Metric:
    """Find a metric by its name; of one that another `gates.toml` declared, in results of before, its name alone is known."""
    return known.get(name) or own_metric(name, "")


_OWN: dict[str, Metric] = {}


def register(*metrics: Metric) -> None:
    """Add a team's own metrics, in the stage that judges: its `gates.toml` declares their names and which side is better."""
    _OWN.update({metric.name: metric for metric in metrics})


def own_metric(name: str, better: Better) -> Metric:
    """Find a team's own metric; where nothing is judged, such as behind a page, its name and the better side are enough."""

    def measure(_: Rows) -> None:
        raise InputError(
            f"judging.own names {name}, and no metric of that name is registered: the stage that judges does it"
        )

    return _OWN.get(name) or Metric(name, name.replace("_", " "), better, "loss", measure)
