"""Intervals that say how far a number may be from the truth, each by a published method, in closed form.

docs/evaluation.md says which method is used when, from how many units on, and how its coverage is checked. Some joins of
published methods are our own: the inverted interval of an AUC on effective rows with Student's t; the switch to an interval for
few errors under five of them; and degrees of freedom from the units of the rarest class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from onebutton_evaluation.influence import Codes, Floats, Kind, Mask, Measured, Metric, Rows, gradient

LEVEL = 0.95
DIGITS = 6  # of a number in a file
ROUNDING = 1e-12  # a standard error below this is the rounding of equal numbers
FEW = 5  # errors under which their spread is known too badly for a transformed interval
GRID = 4001  # of AUCs that are tried as the truth: steps of a quarter of a thousandth
NO_SPREAD = "no spread"
INVERTED = "Hanley-McNeil, inverted"
OF_RAREST = "Agresti-Coull of the rarest class"
RARE = {NO_SPREAD, INVERTED, OF_RAREST}  # intervals of a model that hardly errs


@dataclass(frozen=True)
class Interval:
    """A number and how far it may be from the truth.

    Attributes:
        low: lower end at 95 %; NaN where the rows do not differ, so that nothing is known of the spread.
        error: standard error.
        p: probability of an estimate this far from 0, were the truth 0; two-sided. Of a difference; NaN else.
        units: independent ones among the rows, such as days.
        basis: units that the number stands on, such as those with the rarer answer.
    """

    estimate: float
    low: float
    high: float
    error: float
    p: float
    method: str
    rows: int
    units: int
    basis: int

    def mapping(self) -> dict[str, Any]:
        """Lay out what files have of it; null where there is no end."""
        ends = {name: short(getattr(self, name)) for name in ("estimate", "low", "high")}
        return {**ends, "method": self.method}


def short(value: float) -> float | None:
    """Round a number for a file: few enough digits to read one, enough to see a change; null where there is none."""
    return None if math.isnan(value) else round(value, DIGITS)


class Scale(NamedTuple):
    """A scale on which an estimate is nearer to normal: the way there, smooth as `gradient` asks, and the way back."""

    name: str
    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


PLAIN = Scale("delta method", lambda x: x, lambda z: z)
LOG = Scale("delta method, log scale", np.log, np.exp)
LOGIT = Scale("delta method, logit scale", lambda x: np.log(x / (1 - x)), lambda z: 1 / (1 + np.exp(-z)))
DELONG = LOGIT._replace(name="DeLong, logit scale")
UNEXPLAINED = Scale("delta method, log(1 - R2)", lambda x: -np.log1p(-x), lambda z: -np.expm1(-z))
FISHER = Scale("delta method, Fisher's z", np.arctanh, np.tanh)


@dataclass(frozen=True)
class Declared:
    """What is declared of a kind of metric before any row is seen: its scale, and what is not enough data.

    That is under `least` units of the basis, which `of` says in words, or under so many `rows`; from simulations.
    """

    least: int
    of: str = ""
    scale: Scale = PLAIN
    rows: int = 0


KINDS: dict[Kind, Declared] = {
    "mean": Declared(20),
    "loss": Declared(20, "", LOG, 50),
    "r2": Declared(20, "", UNEXPLAINED, 100),
    "quantile": Declared(20),
    "share": Declared(10, "that it is a share of"),
    "f1": Declared(10, "of the class, or called so"),
    "average": Declared(20, "of the rarest class", LOGIT),
    "agreement": Declared(20, "of the rarest class", FISHER),
    "rank": Declared(10, "with each answer", DELONG),
    "precision": Declared(20, "with the answer", LOGIT),
}


def needs(metric: Metric) -> str:
    """Say how many units a metric needs."""
    declared = KINDS[metric.kind]
    rows = max(declared.rows, metric.least_rows)
    return f"{metric.words} needs {f'{rows} rows and ' if rows else ''}{declared.least} units {declared.of}".rstrip()


def interval(rows: Rows, metric: Metric) -> Interval | None:
    """Judge rows by a metric, with its 95 % interval.

    Returns:
        None where there is not enough data: the units are fewer than is declared for the kind of metric.
    """
    found = metric.measure(rows)
    if found is None or len(rows) < max(KINDS[metric.kind].rows, metric.least_rows):
        return None
    error, count = standard_error(found.influence, rows.units)
    basis = count if found.basis is None else units_of(found.basis, rows.units, len(rows))
    if basis < KINDS[metric.kind].least or count <= 1:
        return None
    if found.parts:
        low, high, method = _of_parts(found, metric.kind, rows.units)
    else:
        low, high, method = _ends(found, metric.kind, rows.units, error, basis)
    return Interval(found.estimate, low, high, error, float("nan"), method, len(rows), count, basis)


def _ends(found: Measured, kind: Kind, units: Codes | None, error: float, basis: int) -> tuple[float, float, str]:
    """Choose the method and find both ends by it."""
    estimate, quantile = found.estimate, student(basis)
    if found.values is not None:
        return *woodruff(found.values, estimate, units, quantile), "Woodruff"
    held = len(found.influence) if found.basis is None else int(np.count_nonzero(found.basis))
    if units is None and kind in {"share", "f1"}:
        error = 0.0  # every row counts as one
    if kind == "share":
        return *agresti_coull(estimate, error, held, quantile), "Agresti-Coull"
    if kind == "f1":  # f/(2-f) is a share of the union of answers and calls (Lam et al. 2023)
        low, high = agresti_coull(estimate / (2 - estimate), error * 2 / (2 - estimate) ** 2, held, quantile)
        return 2 * low / (1 + low), 2 * high / (1 + high), "Agresti-Coull of f/(2-f)"
    if few := _of_few_errors(found, kind, units, basis):
        return few
    if not error > ROUNDING:
        return float("nan"), float("nan"), NO_SPREAD
    scale = KINDS[kind].scale
    middle, reach = scale.there(estimate), quantile * error * float(gradient(scale.there, np.array(estimate))[0])
    return float(scale.back(middle - reach)), float(scale.back(middle + reach)), scale.name


def _of_few_errors(found: Measured, kind: Kind, units: Codes | None, basis: int) -> tuple[float, float, str] | None:
    """Find both ends where under five errors would make all of the spread; None where there are more."""
    if kind == "rank" and found.basis is not None and basis * (1 - found.estimate) < FEW:
        ones, zeros = (effective_rows(found.influence, side, units) for side in (found.basis, ~found.basis))
        if ones * (1 - found.estimate) < FEW:
            return *inverted(found.estimate, ones, zeros, student(basis)), INVERTED
    hits = kind == "precision" and basis * (1 - found.estimate) < FEW
    called = kind in {"average", "agreement"} and found.errors is not None and found.errors < FEW
    if called or hits:
        return *agresti_coull(max(found.estimate, 0.0), 0.0, basis, student(basis)), OF_RAREST
    return None


def _of_parts(found: Measured, kind: Kind, units: Codes | None) -> tuple[float, float, str]:
    """Put the ends of a mean together from those of its parts and how these go together (Zou and Donner 2008)."""
    sums = [one.influence if units is None else np.bincount(units, weights=one.influence) for one in found.parts]
    spread = np.array([np.sqrt(one @ one) for one in sums])
    scale = np.where(spread > ROUNDING, spread, 1.0)
    alike = np.array([[one @ other for other in sums] for one in sums]) / np.outer(scale, scale)
    np.fill_diagonal(alike, 1.0)
    ends = []
    for one in found.parts:
        basis = units_of(one.basis, units, len(one.influence))
        low, high, _ = _ends(one, kind, units, standard_error(one.influence, units)[0], basis)
        ends.append((one.estimate - low, high - one.estimate))
    below, above = np.array(ends).T
    reach = [float(np.sqrt(max(0.0, side @ alike @ side))) / len(ends) for side in (below, above)]
    return found.estimate - reach[0], found.estimate + reach[1], "of each class"


def student(units: int) -> float:
    """Return the quantile of Student's t that a 95 % interval reaches to."""
    from scipy.special import stdtrit

    return float(stdtrit(units - 1, (1 + LEVEL) / 2))


def standard_error(influence: Floats, units: Codes | None) -> tuple[float, int]:
    """Return the standard error by the cluster sandwich (Liang and Zeger 1986; Obuchowski 1997 for an AUC), and the units."""
    sums: Floats = influence if units is None else np.bincount(units, weights=influence).astype(np.float64)
    count = units_of(None, units, len(influence))
    if count <= 1:
        return float("nan"), count
    return float(np.sqrt(count / (count - 1) * (sums @ sums)) / len(influence)), count


def units_of(rows: Mask | None, units: Codes | None, count: int) -> int:
    """Count the units with a row among these; of all rows where None."""
    if units is None:
        return count if rows is None else int(np.count_nonzero(rows))
    return int(np.count_nonzero(np.bincount(units if rows is None else units[rows], minlength=1)))


def agresti_coull(share: float, error: float, rows: float, quantile: float) -> tuple[float, float]:
    """Find the interval of a share (Agresti and Coull 1998), on the effective number of rows (Korn and Graubard 1998).

    Rows that share a unit tell less than as many independent ones: the standard error says how much less. It has the centre of
    Wilson's (1927) and is a little wider: that one holds a share of 0.98 of 20 rows only 84 times of 100.
    """
    from scipy.special import ndtri

    normal = float(ndtri((1 + LEVEL) / 2))
    if error > ROUNDING:
        rows = min(rows, share * (1 - share) / error**2 * (normal / quantile) ** 2)
    more = rows + normal**2
    centre = (rows * share + normal**2 / 2) / more
    reach = normal * float(np.sqrt(centre * (1 - centre) / more))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def woodruff(values: Floats, estimate: float, units: Codes | None, quantile: float) -> tuple[float, float]:
    """Find the interval of a quantile (Woodruff 1952): the values at the ends of the interval of the share below it."""
    below = (values <= estimate).astype(np.float64)
    reach = quantile * standard_error(below - below.mean(), units)[0]
    low, high = np.quantile(values, np.clip([below.mean() - reach, below.mean() + reach], 0, 1))
    return float(low), float(high)


def effective_rows(influence: Floats, side: Mask, units: Codes | None) -> float:
    """Count the independent rows that would tell as much as these, by the spread between units (Korn and Graubard 1998)."""
    each, rows, held = influence[side], int(np.count_nonzero(side)), units_of(side, units, 0)
    total = float(each @ each)
    if units is None or total < ROUNDING:
        return float(held)
    sums = np.bincount(units[side], weights=each)
    return float(np.clip(rows * total / max(float(sums @ sums), ROUNDING), held, rows))


def inverted(area: float, ones: float, zeros: float, quantile: float) -> tuple[float, float]:
    """Find the AUCs from which this one is not further than their own standard errors allow (Newcombe 2006).

    The standard error is that of Hanley and McNeil (1982) with the larger of its two variances in the rarer class, the ones:
    there few rows are ranked wrongly, and each of them costs much.
    """
    tried = np.linspace(0, 1, GRID)
    wrong = 1 - tried
    rarer, other = tried**2 * wrong / (1 + tried), tried * wrong**2 / (2 - tried)
    variance = (tried * wrong + (zeros - 1) * rarer + (ones - 1) * other) / (ones * zeros)
    inside = np.append(tried[(tried - area) ** 2 <= quantile**2 * variance + 1e-15], area)
    return float(inside.min()), float(inside.max())
