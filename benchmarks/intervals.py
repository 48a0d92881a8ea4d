"""Measure how often intervals hold the truth: `python benchmarks/intervals.py` writes the tables of docs/evaluation.md.

Rows are drawn again and again from a known truth, independent or 20 to a unit, whose rows share some luck. Of each metric the
share of 95 % intervals that hold the truth is told; a dash where there is *not enough data* in more than half of the draws. Below
it stands how often a difference is claimed on any of 20 slices between two models of which neither is better. `DRAWS=2000` asks
for more draws than the 400 of a quick run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onebutton_evaluation.catalogue import BINARY, known_metrics
from onebutton_evaluation.comparison import difference, holm
from onebutton_evaluation.influence import Metric, Rows
from onebutton_evaluation.intervals import interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Units = NDArray[np.int64] | None
    Draw = Callable[[np.random.Generator, Units, Any], Rows]

PAGE = Path(__file__).parent.parent / "docs" / "evaluation.md"
DRAWS = int(os.environ.get("DRAWS", "400"))
LARGE = 400_000  # rows from which the truth is read
CELLS = {
    "50 rows": (50, 1),
    "200 rows": (200, 1),
    "2,000 rows": (2000, 1),
    "400 rows in 20 units": (400, 20),
    "2,000 rows in 100 units": (2000, 20),
}
CLASSES = ("a", "b", "c")
SLICES, ROWS = 20, 200  # of false alarms: slices, and rows of each


@dataclass(frozen=True)
class Case:
    """A task with a truth of its own."""

    words: str
    draw: Draw
    known: dict[str, Metric]


def binary(base: float) -> Draw:
    """Draw answers of which about as many are 1 as a base of log odds says, and a model that is somewhat too bold."""

    def draw(random: np.random.Generator, units: Units, luck: Any) -> Rows:
        seen = random.normal(0, 1.2, len(luck)) + base
        answers = random.random(len(luck)) < 1 / (1 + np.exp(-seen - luck))
        return Rows(answers.astype(np.float64), 1 / (1 + np.exp(-1.1 * seen)), units, BINARY)

    return draw


def classes(apart: float) -> Draw:
    """Draw three classes, and a model that tells them so far apart."""

    def draw(random: np.random.Generator, units: Units, luck: Any) -> Rows:
        codes = random.choice(3, len(luck), p=[0.5, 0.3, 0.2])
        scores = random.normal(0, 1, (len(luck), 3)) + (apart + luck)[:, None] * np.eye(3)[codes]
        likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return Rows(codes.astype(np.float64), likely, units, CLASSES)

    return draw


def numbers(freedom: float) -> Draw:
    """Draw numbers whose errors have tails like Student's t with such degrees of freedom."""

    def draw(random: np.random.Generator, units: Units, luck: Any) -> Rows:
        predictions = random.normal(0, 2, len(luck))
        errors = random.normal(0, 1, len(luck)) if math.isinf(freedom) else random.standard_t(freedom, len(luck))
        quantiles = {0.1: predictions - 1.3, 0.9: predictions + 1.3}
        return Rows(predictions + 0.2 + errors + luck, predictions, units, quantiles=quantiles)

    return draw


OF_NUMBERS, OF_BINARY = known_metrics("regression", (), (0.1, 0.9)), known_metrics("binary")
OF_CLASSES = known_metrics("multiclass", CLASSES)
CASES = (
    Case("numbers, normal errors", numbers(math.inf), OF_NUMBERS),
    Case("numbers, errors with heavy tails (t with 4 degrees of freedom)", numbers(4), OF_NUMBERS),
    Case("binary, one answer in three", binary(-1), OF_BINARY),
    Case("binary, one answer in ten", binary(-2.8), OF_BINARY),
    Case("three classes, told apart fairly", classes(1.5), OF_CLASSES),
    Case("three classes, told apart well", classes(3.5), OF_CLASSES),
)


def drawn(case: Case, random: np.random.Generator, rows: int, per_unit: int) -> Rows:
    """Draw rows; those of one unit share some luck."""
    if per_unit == 1:
        return case.draw(random, None, np.zeros(rows))
    units = np.arange(rows) // per_unit
    return case.draw(random, units, random.normal(0, 0.5, units[-1] + 1)[units])


def coverage(case: Case, rows: int, per_unit: int) -> dict[str, float]:
    """Count how often the truth lies in its interval."""
    random, whole = np.random.default_rng(1), drawn(case, np.random.default_rng(0), LARGE, per_unit)
    measured = {name: metric.measure(whole) for name, metric in case.known.items()}
    truth = {name: one.estimate for name, one in measured.items() if one is not None}
    held: dict[str, list[bool]] = {name: [] for name in case.known}
    for _ in range(DRAWS):
        here = drawn(case, random, rows, per_unit)
        for name, metric in case.known.items():
            found = interval(here, metric)
            if found is not None:
                held[name].append(found.low <= truth[name] <= found.high)
    return {name: float(np.mean(one)) for name, one in held.items() if len(one) > DRAWS / 2}


def noisy(rows: Rows, random: np.random.Generator) -> Rows:
    """Make one of two models that are equally good: the same predictions, with as much noise."""
    if not rows.classes:
        return replace(rows, predictions=rows.predictions + random.normal(0, 0.3, len(rows)))
    odds = np.log(rows.predictions) + random.normal(0, 0.3, rows.predictions.shape)
    if rows.predictions.ndim > 1:
        return replace(rows, predictions=np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True))
    return replace(rows, predictions=1 / (1 + np.exp(-odds + np.log(1 - rows.predictions))))


def alarms(case: Case, metric: Metric, per_unit: int) -> float:
    """Count how often a difference is claimed on any of the slices after Holm's correction."""
    random, claimed = np.random.default_rng(2), 0
    for _ in range(DRAWS):
        p_values = []
        for _ in range(SLICES):
            rows = drawn(case, random, ROWS * per_unit if per_unit > 1 else ROWS, per_unit)
            found = difference(noisy(rows, random), noisy(rows, random), metric)
            if found is not None:
                p_values.append(found.p)
        claimed += bool(p_values) and min(holm(p_values)) < 0.05  # noqa: PLR2004  the level
    return claimed / DRAWS


def coverage_tables() -> list[str]:
    """Write a table for each case."""
    lines = [f"Share of {DRAWS:,} intervals that held the truth, in percent."]
    for case in CASES:
        found = {name: coverage(case, *cell) for name, cell in CELLS.items()}
        lines += ["", f"| {case.words} | " + " | ".join(CELLS) + " |"]
        lines += ["|---|" + "--:|" * len(CELLS)]
        for name in case.known:
            cells = [f"{100 * one[name]:.0f}" if name in one else "-" for one in found.values()]
            if set(cells) != {"-"}:
                lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def alarm_table() -> list[str]:
    """Write how often a difference is claimed where there is none."""
    lines = [f"| false alarms on any of {SLICES} slices, percent | {ROWS} rows each | {ROWS} units of 5 rows each |"]
    lines.append("|---|--:|--:|")
    for case, names in zip(CASES[::2], (("mae", "median_ae"), ("auc", "log_loss"), ("f1[macro]", "auc")), strict=True):
        for name in names:
            found = [alarms(case, case.known[name], per_unit) for per_unit in (1, 5)]
            lines.append(f"| {case.words}: `{name}` | {' | '.join(f'{100 * one:.1f}' for one in found)} |")
    return lines


def write(name: str, lines: list[str], page: Path = PAGE) -> None:
    """Put lines between a page's two marks of this name."""
    text, block = page.read_text(encoding="utf-8"), "\n".join(lines)
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, after = text.split(marks[0])[0], text.split(marks[1])[1]
    page.write_text(f"{before}{marks[0]}\n\n{block}\n\n{marks[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    write("coverage", coverage_tables())
    write("alarms", alarm_table())
