"""Draw charts as HTML and inline SVG: dots with their intervals in a table or side by side, and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from onebutton_evaluation.pages import table

SIZE, EDGE = 320, 40  # of a curve, in its own units
LONGEST = 10  # letters of a name below a column


@dataclass(frozen=True)
class Dot:
    """One row of a dot plot.

    Attributes:
        name: of the slice.
        estimate: where the dot stands.
        low: end of its interval.
        high: end of its interval.
        rows: how many it stands on.
        second: a second mark, and what it is, such as `predicted`.
        word: beside the numbers, such as `better`.
    """

    name: str
    estimate: float
    low: float
    high: float
    rows: int
    second: float | None = None
    second_word: str = ""
    word: str = ""


def dots(
    caption: str,
    what: str,
    rows: Sequence[Dot],
    write: Callable[[float], str],
    *,
    reference: float | None = None,
) -> str:
    """Draw dots with intervals on one scale, the numbers beside them.

    Args:
        caption: of the table.
        what: the head of the numbers.
        rows: in the order to show.
        write: lays out a number.
        reference: where a dotted line stands through all rows.
    """
    ends = [value for row in rows for value in (row.low, row.high, row.second) if value is not None]
    ends += [] if reference is None else [reference]
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.04 or 0.01
    low, high = low - margin, high + margin

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.1f}%"

    def width(row: Dot) -> str:
        return f"{100 * (row.high - row.low) / (high - low):.1f}%"

    def track(row: Dot) -> str:
        marks = "" if reference is None else f'<i class="ref" style="left:{place(reference)}"></i>'
        marks += f'<i class="reach" style="left:{place(row.low)};width:{width(row)}"></i>'
        marks += f'<i class="dot" style="left:{place(row.estimate)}"></i>'
        marks += "" if row.second is None else f'<i class="second" style="left:{place(row.second)}"></i>'
        return f'<td class="track" aria-hidden="true"><div>{marks}</div></td>'

    def numbers(row: Dot) -> str:
        kind = {"better": "better", "worse": "worse"}.get(row.word, "soft")
        word = f' <span class="{kind}">{escape(row.word)}</span>' if row.word else ""
        second = (
            "" if row.second is None else f' <span class="soft">{escape(row.second_word)} {write(row.second)}</span>'
        )
        reach = f'<span class="soft">{write(row.low)} to {write(row.high)}</span>'
        return f"<strong>{write(row.estimate)}</strong> {reach}{second}{word}"

    cells = [[escape(row.name), track(row), numbers(row), f"{row.rows:,}"] for row in rows]
    return table(caption, ["slice", "", f"#{what}", "~rows"], cells, kind="dots")


def columns(title: str, rows: Sequence[Dot], write: Callable[[float], str]) -> str:
    """Draw dots with intervals side by side as a small picture, for a summary.

    Args:
        title: what it shows, for readers who cannot see it too.
        rows: in the order to show; a second mark is drawn as a diamond.
        write: lays out a number of the scale.
    """
    width, height, left, bottom, top = max(240, 40 + 68 * len(rows)), 190, 52, 160, 12
    ends = [value for row in rows for value in (row.low, row.high, row.second) if value is not None]
    low, high = min(ends), max(ends)
    low, high = low - (high - low) * 0.1, high + (high - low) * 0.05 or 1.0

    def up(value: float) -> float:
        return round(bottom - (value - low) / (high - low) * (bottom - top), 1)

    parts = [
        f'<line class="axis" x1="{left}" x2="{width}" y1="{up(mark)}" y2="{up(mark)}"/>'
        f'<text x="{left - 6}" y="{up(mark) + 4}" text-anchor="end">{escape(write(mark))}</text>'
        for mark in (min(ends), (min(ends) + max(ends)) / 2, max(ends))
    ]
    step = (width - left) / len(rows)
    for number, row in enumerate(rows):
        x = round(left + step * (number + 0.5), 1)
        parts.append(f'<line class="reach" x1="{x}" x2="{x}" y1="{up(row.low)}" y2="{up(row.high)}"/>')
        parts.append(f'<circle class="point" cx="{x}" cy="{up(row.estimate)}" r="5"/>')
        if row.second is not None:
            y = up(row.second)
            parts.append(f'<path class="second" d="M{x} {y - 6}l6 6l-6 6l-6 -6z"/>')
        name = row.name if len(row.name) <= LONGEST else f"{row.name[: LONGEST - 1]}…"
        parts.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle">{escape(name)}</text>')
    label = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"'
    return f'<figure><svg {label}>{"".join(parts)}</svg><figcaption class="soft">{escape(title)}</figcaption></figure>'


def curve(title: str, words: str, x: tuple[str, Sequence[float]], y: tuple[str, Sequence[float]], *, dots: bool) -> str:
    """Draw a curve in the unit square with its diagonal.

    Args:
        title: above it.
        words: what it shows, for readers who cannot see it.
        x: name and values, 0 to 1.
        y: name and values, 0 to 1.
        dots: whether to mark each point.
    """
    inner = SIZE - 2 * EDGE

    def at(across: float, up: float) -> tuple[float, float]:
        return round(EDGE + across * inner, 1), round(SIZE - EDGE - up * inner, 1)

    points = [at(across, up) for across, up in zip(x[1], y[1], strict=True)]
    kept = [points[0], *(here for before, here in pairwise(points) if here != before)]
    line = " ".join(f"{across},{up}" for across, up in kept)
    (left, bottom), (right, top) = at(0, 0), at(1, 1)
    marks = "".join(f'<circle class="point" cx="{across}" cy="{up}" r="4"/>' for across, up in kept) if dots else ""
    ticks = "".join(
        f'<line class="axis" x1="{left}" x2="{right}" y1="{at(0, step)[1]}" y2="{at(0, step)[1]}"/>'
        f'<text x="{left - 6}" y="{at(0, step)[1] + 4}" text-anchor="end">{step:g}</text>'
        f'<text x="{at(step, 0)[0]}" y="{bottom + 16}" text-anchor="middle">{step:g}</text>'
        for step in (0, 0.5, 1)
    )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {SIZE} {SIZE}" role="img" '
        f'aria-label="{escape(f"{title}. {words}")}">{ticks}'
        f'<line class="chance" x1="{left}" y1="{bottom}" x2="{right}" y2="{top}"/><polyline class="line" points="{line}"/>{marks}'
        f'<text x="{SIZE / 2}" y="{SIZE - 6}" text-anchor="middle">{escape(x[0])}</text>'
        f'<text x="12" y="{SIZE / 2}" text-anchor="middle" transform="rotate(-90 12 {SIZE / 2})">{escape(y[0])}</text></svg>'
        f'<p class="soft">{escape(words)}</p></figure>'
    )
