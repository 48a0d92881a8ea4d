"""Intervals that say how far a number may be from the truth, each by a published method, in closed form.

docs/evaluation.md says which method is used when, from how many units on, and how its coverage is checked. Some joins of
published methods are our own: the inverted interval of an AUC on effective rows with Student's t; the switch to an interval for
few errors under five of them; and degrees of freedom from the units of the rarest class.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from onebutton_evaluation.influence import Floats, Kind, Mask, Measured, Metric, Rows

LEVEL = 0.95
NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)
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
        basis: units that the number stands on, such as those with the rarer answer.
    """

    estimate: float
    low: float
    high: float
    error: float
    p: float
    method: str
    rows: int
    basis: int

    def mapping(self) -> dict[str, Any]:
        """Lay out what files have of it; null where there is no end."""
        ends = {name: short(getattr(self, name)) for name in ("estimate", "low", "high")}
        return {**ends, "method": self.method}


def short(value: float) -> float | None:
    """Round a number for a file: few enough digits to read one, enough to see a change; null where there is none."""
    return None if math.isnan(value) else round(value, DIGITS)


class Scale(NamedTuple):
    """A scale on which an estimate is nearer to normal: the way there, its slope, and the way back."""

    name: str
    there: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]


PLAIN = Scale("delta method", lambda x: x, lambda _: 1.0, lambda z: z)
LOG = Scale("delta method, log scale", np.log, lambda x: 1 / x, np.exp)
R2 = Scale("delta method, log(1 - R2)", lambda x: -np.log1p(-x), lambda x: 1 / (1 - x), lambda z: -np.expm1(-z))
FISHER = Scale("delta method, Fisher's z", np.arctanh, lambda x: 1 / (1 - x**2), np.tanh)
LOGIT = Scale(
    "delta method, logit scale",
    lambda x: np.log(x / (1 - x)),
    lambda x: 1 / (x * (1 - x)),
    lambda z: 1 / (1 + np.exp(-z)),
)
DELONG = LOGIT._replace(name="DeLong, logit scale")


class Declared(NamedTuple):
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
    "r2": Declared(20, "", R2, 100),
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
    found, declared = metric.measure(rows), KINDS[metric.kind]
    if found is None or len(rows) < max(declared.rows, metric.least_rows):
        return None
    basis = rows.unit_count if found.basis is None else rows.units_of(found.basis)
    if basis < declared.least:
        return None
    error = standard_error(found.influence, rows)
    if found.parts:
        low, high, method = _of_parts(found, metric.kind, rows)
    else:
        low, high, method = _ends(found, metric.kind, rows, error, basis)
    return Interval(found.estimate, low, high, error, float("nan"), method, len(rows), basis)


def _ends(  # noqa: PLR0911  one for each method
    found: Measured, kind: Kind, rows: Rows, error: float, basis: int
) -> tuple[float, float, str]:
    """Choose the method and find both ends by it."""
    estimate, quantile = found.estimate, student(basis)
    held = len(rows) if found.basis is None else int(np.count_nonzero(found.basis))
    if found.values is not None:  # the values at the ends of the interval of the share below (Woodruff 1952)
        below = (found.values <= estimate).astype(np.float64)
        reach = quantile * standard_error(below - below.mean(), rows)
        low, high = np.quantile(found.values, np.clip([below.mean() - reach, below.mean() + reach], 0, 1))
        return float(low), float(high), "Woodruff"
    if rows.units is None and kind in {"share", "f1"}:
        error = 0.0  # every row counts as one
    if kind == "share":
        return *agresti_coull(estimate, error, held, quantile), "Agresti-Coull"
    if kind == "f1":  # f/(2-f) is a share of the union of answers and calls (Lam et al. 2023)
        low, high = agresti_coull(estimate / (2 - estimate), error * 2 / (2 - estimate) ** 2, held, quantile)
        return 2 * low / (1 + low), 2 * high / (1 + high), "Agresti-Coull of f/(2-f)"
    if kind == "rank" and found.basis is not None and basis * (1 - estimate) < FEW:  # effective rows are no fewer
        ones, zeros = (effective_rows(found.influence, side, rows) for side in (found.basis, ~found.basis))
        if ones * (1 - estimate) < FEW:
            return *inverted(estimate, ones, zeros, quantile), INVERTED
    wrong = basis * (1 - estimate) if kind == "precision" else found.errors
    if wrong is not None and wrong < FEW:
        return *agresti_coull(max(estimate, 0.0), 0.0, basis, quantile), OF_RAREST
    if not error > ROUNDING:
        return float("nan"), float("nan"), NO_SPREAD
    scale = KINDS[kind].scale
    middle, reach = scale.there(estimate), quantile * error * scale.slope(estimate)
    return float(scale.back(middle - reach)), float(scale.back(middle + reach)), scale.name


def _of_parts(found: Measured, kind: Kind, rows: Rows) -> tuple[float, float, str]:
    """Put the ends of a mean together from those of its parts and how these go together (Zou and Donner 2008)."""
    sums = np.array([rows.by_unit(one.influence) for one in found.parts])
    spread = np.sqrt((sums**2).sum(axis=1))
    scale = np.where(spread > ROUNDING, spread, 1.0)
    alike = sums @ sums.T / np.outer(scale, scale)
    np.fill_diagonal(alike, 1.0)
    reaches = []
    for one in found.parts:
        basis = rows.unit_count if one.basis is None else rows.units_of(one.basis)
        low, high, _ = _ends(one, kind, rows, standard_error(one.influence, rows), basis)
        reaches.append((one.estimate - low, high - one.estimate))
    below, above = (float(np.sqrt(max(0.0, side @ alike @ side))) / len(reaches) for side in np.array(reaches).T)
    return found.estimate - below, found.estimate + above, "of each class"


def student(units: int) -> float:
    """Return the quantile of Student's t that a 95 % interval reaches to."""
    from scipy.special import stdtrit

    return float(stdtrit(units - 1, (1 + LEVEL) / 2))


def standard_error(influence: Floats, rows: Rows) -> float:
    """Return the standard error by the cluster sandwich (Liang and Zeger 1986; Obuchowski 1997 for an AUC); NaN of one unit."""
    sums, count = rows.by_unit(influence), rows.unit_count
    return math.sqrt(count / (count - 1) * (sums @ sums)) / len(rows) if count > 1 else float("nan")


def agresti_coull(share: float, error: float, rows: float, quantile: float) -> tuple[float, float]:
    """Find the interval of a share (Agresti and Coull 1998), on the effective number of rows (Korn and Graubard 1998).

    Rows that share a unit tell less than as many independent ones: the standard error says how much less. It has the centre of
    Wilson's (1927) and is a little wider: that one holds a share of 0.98 of 20 rows only 84 times of 100.
    """
    if error > ROUNDING:
        rows = min(rows, share * (1 - share) / error**2 * (NORMAL / quantile) ** 2)
    more = rows + NORMAL**2
    centre = (rows * share + NORMAL**2 / 2) / more
    reach = NORMAL * math.sqrt(centre * (1 - centre) / more)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def effective_rows(influence: Floats, side: Mask, rows: Rows) -> float:
    """Count the independent rows that would tell as much as these, by the spread between units (Korn and Graubard 1998)."""
    count, units, alone = int(np.count_nonzero(side)), rows.units_of(side), float(influence[side] @ influence[side])
    if rows.units is None or alone < ROUNDING:
        return float(units)
    sums = rows.by_unit(np.where(side, influence, 0.0))
    return float(np.clip(count * alone / max(float(sums @ sums), ROUNDING), units, count))


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
