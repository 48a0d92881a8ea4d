"""Write the page of a monitor: alarms and what to do, the cost of each week, slices, what was told of log and labels."""

from __future__ import annotations

from onebutton_evaluation.charts import Axis, Plot, Series, axis
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.seen import Seen
from onebutton_monitoring.watch import Watch
from onebutton_monitoring.weeks import headline


def page(one: Watch, seen: Seen, name: str, **told: object) -> str:
    """Write it.

    Args:
        one: what is watched.
        seen: what was seen.
        name: of the pipeline and its environment.
        told: `details`, what explains an alarm by its name; `todo`, whom to call and what to press.
    """
    return render(
        "monitor.html",
        heading=f"Monitor: {name}",
        standing=("failed" if seen.standing else "passed", seen.standing_in_words),
        seen=seen,
        plot=_costs(one, seen),
        usual=one.usual,
        metric=one.judging.known()[one.judging.champion],
        headline=headline(seen.joined.watched, one.judging),
        harm=one.said.harm,
        **told,
    )


def _costs(one: Watch, seen: Seen) -> Plot | None:
    """Draw what a row cost in each week, with intervals, and from when on that is harm."""
    weeks = [(at, week.start, week.cost) for at, week in enumerate(seen.weeks.get(ALL, [])) if week.cost]
    if not weeks:
        return None
    points = [(float(at), cost.estimate) for at, _, cost in weeks]
    reaches = [(float(at), *cost.ends) for at, _, cost in weeks if cost.days > 1]
    limit, last = one.said.harm.limit, max(weeks[-1][0], 1)
    marks = tuple((float(at), f"{start:%d %b}") for at, start, _ in weeks[:: max(1, len(weeks) // 6)])
    y = axis(
        "cost of a row", [0.0, limit, *(end for reach in reaches for end in reach[1:]), *(one for _, one in points)]
    )
    words = f"The dashed line is the limit of harm, {limit:g}"
    x, line = Axis("week", -0.5, last + 0.5, marks), ((-0.5, limit), (last + 0.5, limit))
    return Plot("Cost of a row by week", words, x, y, (Series(points, "dot", reaches),), line, 720, 300)
