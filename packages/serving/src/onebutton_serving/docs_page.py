"""The page /docs: one self-contained page to read what a model takes, and to try it."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from onebutton_serving.loading import Loaded
from onebutton_serving.openapi import limits
from onebutton_serving.rows import MAX_ROWS, needed
from onebutton_serving.schema import LABEL, Field, Schema


@cache
def part(name: str) -> str:
    """Return the page's style or program."""
    return resources.files("onebutton_serving").joinpath(name).read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Return the page's content security policy: nothing but its own style and program, nowhere to go but this server."""
    style, program = (
        base64.b64encode(hashlib.sha256(part(name).encode()).digest()).decode() for name in ("page.css", "page.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{program}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(loaded: Loaded) -> str:
    """Write the page of a release."""
    schema, golden = loaded.schema, loaded.golden["input"]
    fields = "".join(_field(field, number, golden.get(field.name)) for number, field in enumerate(schema.inputs))
    label = (
        f"<tr><th scope=row>{LABEL}</th><td>one of {escape(', '.join(schema.classes))}</td></tr>"
        if schema.classes
        else ""
    )
    outputs = label + "".join(
        f"<tr><th scope=row>{escape(field.name)}</th><td>{escape(_about(field))}</td></tr>" for field in schema.outputs
    )
    content = {
        "fields": [
            {"id": f"f{number}", "name": field.name, "type": field.type, "needed": needed(field)}
            for number, field in enumerate(schema.inputs)
        ],
        "outputs": [
            {name: getattr(field, name) for name in ("name", "description", "unit", "minimum", "maximum")}
            | {"path": path}
            for field, path in zip(schema.outputs, _paths(schema), strict=True)
        ],
    }
    body = f"""<a class=skip href="#form">To the form</a>
<header><h1>{escape(schema.title)}</h1>
<p class=soft>Release {escape(loaded.version)} of {escape(schema.pipeline)}. Inputs as {escape(schema.input_contract)},
answers as {escape(schema.output_contract)}.</p>
<nav aria-label="Pages"><a href="card">Model card</a><a href="openapi.json">OpenAPI</a><a href="v1/model">In service</a>
<a href="metrics">Metrics</a></nav></header>
<main><div class=two>
<form id=form novalidate autocomplete=off><h2>Ask for a prediction</h2><div class=fields>{fields}</div></form>
<section class=answer aria-label="Answer"><h2>Answer</h2>
<button id=predict class=main type=submit form=form>Predict</button>
<div id=said class=panel aria-live=polite><p class=soft>The form holds an example from the test period. Change what you like.
</p></div>
<button type=reset form=form>The example again</button></section></div>
<h2>The same from a terminal</h2><pre id=curl tabindex=0 aria-label="curl command"></pre><button id=copy type=button>Copy</button>
<h2>What comes back</h2><div class=scroll><table><thead><tr><th scope=col>prediction<th scope=col>is</tr></thead>
<tbody>{outputs}</tbody></table></div>
<p>One prediction per row, in their order, at most {MAX_ROWS:,} rows in a request. A row that breaks a rule is answered with 422
and a list that names row, field and rule. The header <code>x-model-version</code> names the release.</p></main>
<footer class=soft><p>This page is made from the release's schema, and loads nothing from elsewhere.</p></footer>
<script type="application/json" id=release>{json.dumps(content).replace("<", chr(92) + "u003c")}</script>
<script>{part("page.js")}</script>"""
    return _whole(schema.title, body)


def _paths(schema: Schema) -> list[list[str]]:
    """Say where each output stands in an answer."""
    if schema.by_class:
        return [[schema.prediction, name] for name in schema.classes]
    return [[field.name] for field in schema.outputs]


def waiting_page(reason: str) -> str:
    """Write the page of a server that has no release yet."""
    return _whole("Not ready", f"<main><h1>Not ready</h1><p>{escape(reason)}</p></main>")


def _whole(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{escape(title)}</title><link rel=icon href="data:,">'
        f'<meta name=viewport content="width=device-width, initial-scale=1"><style>{part("page.css")}</style></head>\n'
        f"<body>{body}</body></html>\n"
    )


def _field(field: Field, number: int, value: Any) -> str:
    name, hint = f"f{number}", f"f{number}-hint f{number}-wrong"
    said: dict[str, Any] = {"id": name, "name": name, "aria-describedby": hint, "required": needed(field) or None}
    shown = "" if value is None else str(value if isinstance(value, str) else float(f"{value:.7g}"))
    if field.allowed:
        options = "".join(_option(str(one), chosen=str(one) == shown.removesuffix(".0")) for one in field.allowed)
        empty = "" if needed(field) else _option("", chosen=not shown)
        box = f"<select {_attributes(said)}>{empty}{options}</select>"
    else:
        if field.type == "string":
            said |= {"type": "text", "maxlength": field.max_length, "spellcheck": "false"}
        else:
            said |= {"type": "number", "step": "1" if field.type == "integer" else "any", "inputmode": "decimal"}
            said |= {"min": field.minimum, "max": field.maximum}
        box = f"<input {_attributes(said | {'value': shown.removesuffix('.0')})}>"
    unit = f"<span class=unit>{escape(field.unit)}</span>" if field.unit else ""
    words = limits(field) + ("" if needed(field) else "; may be left empty")
    about = f"{escape(field.description)}<br>" if field.description else ""
    return (
        f"<div class=field><label for={name}>{escape(field.name)}</label><div class=box>{box}{unit}</div>"
        f"<div class=hint id={name}-hint>{about}{escape(words)}</div><div class=wrong id={name}-wrong></div></div>"
    )


def _option(value: str, *, chosen: bool) -> str:
    return f'<option value="{escape(value)}"{" selected" if chosen else ""}>{escape(value)}</option>'


def _attributes(said: dict[str, Any]) -> str:
    return " ".join(
        name if value is True else f'{name}="{escape(str(value))}"'
        for name, value in said.items()
        if value not in (None, False)
    )


def _about(field: Field) -> str:
    unit = f"in {field.unit}" if field.unit else ""
    return ", ".join(words for words in (field.description, limits(field), unit) if words)
