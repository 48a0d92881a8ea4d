"""Fill the templates beside this file: Markdown, and HTML that needs nothing but a browser, without network and script."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from onebutton_evaluation import wording
from onebutton_evaluation.catalogue import named


def render(template: str, **values: object) -> str:
    """Fill a template, such as `card.html`; in HTML every value is escaped."""
    return _environment().get_template(f"{template}.jinja").render(values)


def render_file(template: Path, **values: object) -> str:
    """Fill an HTML template that stands elsewhere; it may extend those beside this file."""
    return _environment().from_string(template.read_text(encoding="utf-8")).render(values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("onebutton_evaluation", "pages"),
        autoescape=select_autoescape(["html.jinja"], default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (wording.capital, wording.compared_heading, wording.figure, wording.metric_label, wording.number_words)
    made.filters |= {one.__name__: one for one in (*words, wording.percent)} | {"number": "{:,}".format}
    made.globals |= {one.__name__: one for one in (ticks, numbers, wording.alike, wording.percent, named)}
    return made


def ticks(values: Sequence[float]) -> list[float]:
    """Choose the round ticks of a scale that holds some values (Heckbert 1990, "Nice Numbers for Graph Labels")."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def numbers(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[float]:
    """List what stands in some columns, where there is something."""
    return [row[name] for row in rows for name in columns if row.get(name) is not None]
