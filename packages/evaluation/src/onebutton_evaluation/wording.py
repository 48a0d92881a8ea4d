"""Write numbers with their interval and their limit in the same words on every page, in the terminal and in the model card."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from onebutton_evaluation.declarations import LimitedGate
from onebutton_evaluation.influence import Metric

MOST_DIGITS = 6
FIGURES = 4  # of a large number
TEN, SMALL = 10, 0.001  # from where on numbers get fewer digits, and below which more


def figure(value: float) -> str:
    """Write a number with four figures or fewer: of a large one the digits behind the point say nothing."""
    if 0 < abs(value) < SMALL:
        return f"{value:.2g}"
    text = f"{value:,.{places([value])}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def places(values: Iterable[float], least: int = 3) -> int:
    """Count the digits behind the point that leave the largest value four figures."""
    largest = max(map(abs, values), default=0.0)
    return least if largest < TEN else max(0, min(least, FIGURES - 1 - int(math.log10(largest))))


def alike(values: Sequence[float], least: int = 3, sign: str = "") -> Callable[[float], str]:
    """Return what writes each of some values with as many digits as the largest needs; `+` as sign writes it always."""
    digits = places(values, least)
    return lambda value: f"{value:{sign},.{digits}f}"


def capital(words: str) -> str:
    """Begin words with a capital letter."""
    return words[:1].upper() + words[1:]


def percent(value: float) -> str:
    """Write a share as a percentage with one digit."""
    return f"{100 * value:.1f} %"


def metric_label(metric: Metric, answer_label: str) -> str:
    """Name a metric for the head of a column; the share of the answer 1 is called after what it is a share of."""
    return f"{answer_label}, %" if metric.name == "share" else metric.words


def number_words(metric: Metric, number: Mapping[str, Any] | None) -> str:
    """Write a metric with its 95 % interval, as in `0.714 (0.694 to 0.734)`; a share of answers in percent."""
    if number is None:
        return "not enough data"
    share = metric.name.startswith("share")
    ends = [100 * end if share else end for end in _ends(number)]
    return _written(ends, 1 if share else places(ends))


def with_interval(number: Mapping[str, Any], limits: LimitedGate | None = None, *, sign: bool = False) -> str:
    """Write an estimate and its 95 % interval, as in `0.714 (95 % interval 0.694 to 0.734)`.

    Args:
        number: with `estimate`, and with `low` and `high` where it has an interval.
        limits: what it is held to: it gets as many digits as tell the two apart.
        sign: whether to write a plus sign, as for a difference.
    """
    ends = _ends(number)
    return _written(ends, _digits(ends, limits, places(ends)), "95 % interval ", "+" if sign else "")


def _ends(number: Mapping[str, Any]) -> list[float]:
    return [end for end in map(number.get, ("estimate", "low", "high")) if end is not None]


def _written(ends: Sequence[float], digits: int, of: str = "", sign: str = "") -> str:
    estimate, *rest = (f"{end:{sign},.{digits}f}" for end in ends)
    return f"{estimate} ({of}{rest[0]} to {rest[1]})" if rest else estimate


def _digits(values: Sequence[float], limits: LimitedGate | None, least: int) -> int:
    """Count the digits behind the point that show on which side of its limit each value stands."""
    marks = [mark for mark in (limits.at_least, limits.at_most) if mark is not None] if limits else []
    for digits in range(least, MOST_DIGITS):
        if all(value == mark or round(value, digits) != mark for value in values for mark in marks):
            return digits
    return MOST_DIGITS


def limit_words(limits: LimitedGate) -> str:
    """Write the limits of a gate, as in `at least 0.68`."""
    marks = {"at least": limits.at_least, "at most": limits.at_most}
    return " and ".join(f"{side} {mark:,g}" for side, mark in marks.items() if mark is not None)


def compared_heading(name: str) -> str:
    """Head a comparison with the champion or with the column of a simpler model."""
    return f"Compared with {'the champion' if name == 'champion' else name.replace('_', ' ')}"
