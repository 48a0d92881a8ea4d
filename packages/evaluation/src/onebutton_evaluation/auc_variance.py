"""How far an AUC, or the difference of two, may be from the truth: the spread of the placement values of either class.

A row's placement is the share of the other class that it is ranked rightly against. Their mean is the AUC, and each class adds
a variance of its own (DeLong, DeLong and Clarke-Pearson 1988; for rows that share a unit Obuchowski 1997). Where a class is rare
its variance is known badly, and where the AUC is near 1 the few rows that are ranked wrongly make all of it: with bad luck there
is none among those at hand. docs/evaluation.md has the simulations by which both are allowed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onebutton_evaluation.influence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST = 10  # independent units that each class needs
FEWEST = 2.0  # rows that a class tells as much as, however unlike its units are


@dataclass(frozen=True)
class Imagined:
    """What is laid at either end of the placements, as Agresti and Coull (1998) lay two rows at either end of a share.

    Attributes:
        weight: in rows, at each end.
        middle: between the two ends, which are half below and half above it.
    """

    weight: float
    middle: float

    def part(self, share: float) -> Imagined:
        """Return a share of it."""
        return Imagined(self.weight * share, self.middle)

    def shrink(self, estimate: float, rows: float) -> float:
        """Return the mean of so many rows and the imagined ones."""
        return (rows * estimate + 2 * self.weight * self.middle) / (rows + 2 * self.weight)


OF_AUC = Imagined(0.2, 0.5)  # a fifth of a row ranked all wrongly, and as much of one ranked all rightly
OF_DIFFERENCE = Imagined(0.1, 0.0)  # less of rows on which the models differ by half: what both find hard cancels out


@dataclass(frozen=True)
class ClassSpread:
    """The placements of one class around their mean.

    Attributes:
        rows: of the class.
        units: independent ones among them.
        square: mean square of a row's distance.
        variance: of the mean, from the spread between units.
        effective: independent rows that would tell as much as these, by the spread between units (Korn and Graubard 1998).
    """

    rows: int
    units: int
    square: float
    variance: float
    effective: float

    def padded(self, estimate: float, imagined: Imagined) -> tuple[float, float]:
        """Return the variance of the mean with imagined rows among them, and its degrees of freedom."""
        count, units = self.effective + 2 * imagined.weight, self.units + 2 * imagined.weight
        mean = imagined.shrink(estimate, self.effective)
        ends = (imagined.middle - 0.5 - mean) ** 2 + (imagined.middle + 0.5 - mean) ** 2
        square = (self.effective * (self.square + (estimate - mean) ** 2) + imagined.weight * ends) / count
        return square / count * units / (units - 1), units - 1


@dataclass(frozen=True)
class Spread:
    """The placements of both classes.

    Attributes:
        shared: what rows of both classes in one unit add to the variance, positive where a good day is good for both.
        rows: of both classes.
        units: independent ones among them.
    """

    ones: ClassSpread
    zeros: ClassSpread
    shared: float
    rows: int
    units: int

    @property
    def error(self) -> float:
        """Standard error by DeLong, or Obuchowski where rows share units."""
        return float(np.sqrt(max(0.0, self.ones.variance + self.zeros.variance + self.shared)))

    def padded(self, estimate: float, imagined: Imagined) -> tuple[float, float, float]:
        """Find what an interval stands on, imagined rows among the others.

        The rarer class takes nearly all of these, classes of one size half each: what is ranked wrongly in one class is so in the
        other. The degrees of freedom are those of two variances that are known unequally well (Satterthwaite 1946; for placements
        Brunner and Munzel 2000), and not more than the units have.

        Returns:
            Centre, standard error and degrees of freedom.
        """
        share = 1 / (1 + (self.ones.effective / self.zeros.effective) ** 2)
        ones, ones_freedom = self.ones.padded(estimate, imagined.part(share))
        zeros, zeros_freedom = self.zeros.padded(estimate, imagined.part(1 - share))
        freedom = (ones + zeros) ** 2 / (ones**2 / ones_freedom + zeros**2 / zeros_freedom)
        centre = imagined.shrink(estimate, min(self.ones.effective, self.zeros.effective))
        error = max(self.error, float(np.sqrt(max(0.0, ones + zeros + self.shared))))
        return centre, error, min(freedom, self.units - 1.0)


def spread(rows: Rows, influence: Floats) -> Spread | None:
    """Measure the spread of placements.

    Args:
        rows: judged.
        influence: of each on the AUC, or on a difference of two.

    Returns:
        None where a class has fewer than `LEAST` units: no interval would be worth its name.
    """
    positive = rows.answers > 0
    sides = [_side(rows, influence, positive), _side(rows, influence, ~positive)]
    (ones, ones_sums), (zeros, zeros_sums) = sides
    if min(ones.units, zeros.units) < LEAST:
        return None
    if rows.alone:
        return Spread(ones, zeros, 0.0, len(rows), len(rows))
    units = int(np.count_nonzero(np.bincount(rows.units, minlength=rows.unit_count)))
    shared = 2 * units / (units - 1) * float(ones_sums @ zeros_sums) / (ones.rows * zeros.rows)
    return Spread(ones, zeros, shared, len(rows), units)


def _side(rows: Rows, influence: Floats, mask: NDArray[np.bool_]) -> tuple[ClassSpread, Floats]:
    """Measure one class; beside it the sum of its rows' distances in each unit, empty where each row is one."""
    distances = influence[mask]
    count = len(distances)
    distances = distances * (
        count / len(rows)
    )  # influence is that on the AUC of all rows, of which the class is a part
    total = float(distances @ distances)
    sums: Floats = np.empty(0)
    units, between = count, total
    if not rows.alone:
        members = rows.units[mask]
        sums = np.bincount(members, weights=distances, minlength=rows.unit_count).astype(np.float64)
        units = int(np.count_nonzero(np.bincount(members, minlength=rows.unit_count)))
        between = float(sums @ sums)
    if units < LEAST:
        return ClassSpread(count, units, float("nan"), float("nan"), float("nan")), sums
    alike = between / total if total > 0 else count / units  # rows of one unit that count as one
    effective = max(FEWEST, min(count, count / alike)) if alike > 0 else float(count)
    return ClassSpread(count, units, total / count, between / count**2 * units / (units - 1), effective), sums
