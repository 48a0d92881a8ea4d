"""Fill the templates beside this file: Markdown, and HTML that needs nothing but a browser, without network and script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from onebutton_evaluation import charts, wording
from onebutton_evaluation.catalogue import named


def render(template: str, **values: object) -> str:
    """Fill a template, such as `card.html`; in HTML every value is escaped."""
    return _environment().get_template(f"{template}.jinja").render(values)


def render_text(template: str, **values: object) -> str:
    """Fill the text of an HTML template that stands elsewhere; it may extend those beside this file."""
    return _environment().from_string(template).render(values)


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
    made.globals |= {one.__name__: one for one in (charts.axis, charts.numbers, wording.alike, wording.percent, named)}
    return made
