"""Lay out pages of HTML that need nothing but a browser: one file each, no network, no script; light or dark, any width."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --page: #ffffff; --panel: #f3f5f7; --line: #d0d7de;
  --main: #0b57d0; --other: #a2480b; --good: #116329; --bad: #b3141d; --wait: #7a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #a0aab4; --page: #0d1117; --panel: #161b22;
  --line: #363d46; --main: #7ab7ff; --other: #ffab70; --good: #56d364; --bad: #ff8983; --wait: #e3b341; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p { max-width: 46rem; margin: .4rem 0; }
a { color: var(--main); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--page); padding: .5rem; }
.soft { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; } thead th.n { white-space: normal; }
tbody th { font-weight: 600; overflow-wrap: break-word; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
.badge { display: inline-block; white-space: nowrap; font-weight: 700; }
.passed, .better { color: var(--good); } .failed, .worse { color: var(--bad); } .waiting, .few { color: var(--wait); }
.big { font-size: 1.15rem; padding: .7rem 1rem; background: var(--panel); border-left: .35rem solid; max-width: none; }
.why { color: var(--soft); font-size: .88rem; display: block; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .2rem 1.2rem .8rem; margin: 1.2rem 0; }
.card h2 { margin: .8rem 0 .3rem; } .card .big { font-size: 1rem; padding: .5rem .8rem; } .card p { max-width: none; }
.split { display: grid; grid-template-columns: minmax(16rem, 2fr) minmax(0, 3fr); gap: 1.5rem; align-items: center; }
.split figure { margin: 0; } .split figcaption { font-weight: 400; }
.headline { font-size: 1.1rem; } .headline strong { font-size: 2.6rem; line-height: 1.1; } .headline span { display: block; }
.facts dt { font-weight: 400; color: var(--soft); font-size: .9rem; margin-top: .5rem; }
.dots td.track { width: 45%; min-width: 7rem; padding-right: 1rem; }
.track div { position: relative; height: 1.4rem; }
.track i { position: absolute; display: block; }
.track .ref { top: -.35rem; bottom: -.35rem; border-left: 2px dotted var(--soft); }
.track .reach { top: .6rem; height: .2rem; background: var(--main); opacity: .55; }
.track .dot { top: .35rem; width: .7rem; height: .7rem; margin-left: -.35rem; border-radius: 50%;
  background: var(--main); }
.track .second { top: .3rem; width: .8rem; height: .8rem; margin-left: -.4rem;
  border: 2px solid var(--other); transform: rotate(45deg); }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; background: var(--main); margin-right: .3rem; }
.key.second { border-radius: 0; background: none; border: 2px solid var(--other); transform: rotate(45deg); }
.key.ref { border-radius: 0; background: none; border-left: 2px dotted var(--soft); height: 1rem;
  width: .3rem; vertical-align: -.15rem; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1.5rem; }
.curves figure { margin: 0; max-width: 26rem; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .chance { stroke: var(--soft); stroke-dasharray: 4 4; }
svg .reach { stroke: var(--main); stroke-width: 3; opacity: .55; }
svg .second { fill: none; stroke: var(--other); stroke-width: 2; }
svg .line { fill: none; stroke: var(--main); stroke-width: 2.5; } svg .point { fill: var(--main); }
dl { margin: .5rem 0; } dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; max-width: 46rem; }
code { font-size: .9em; } dd code { overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: .88rem; padding-bottom: 2rem; margin-top: 2.5rem; }
@media (max-width: 40rem) { body { font-size: 15px; } .split { grid-template-columns: 1fr; } .card { padding: .1rem .8rem .6rem; }
  table { font-size: .85rem; } .wide { display: none; }
  th, td { padding-right: .4rem; } .dots td.track { min-width: 5.5rem; width: 34%; padding-right: .6rem;
  } .dots td.n { white-space: normal; }
  .dots .soft { display: block; white-space: nowrap; } }
@media print { .skip { display: none; } }
"""
CLASSES = {"passed": "passed", "failed": "failed", "NOT RUN": "waiting"}
MARKS = {"passed": "✓", "failed": "✗", "NOT RUN": "○"}  # so that colour is never the only sign


def document(title: str, body: Iterable[str], *, back: str = "", note: str = "") -> str:
    """Write one page.

    Args:
        title: its heading, and the tab's.
        body: HTML of its sections.
        back: address of the page above it.
        note: one line for the foot.
    """
    link = f'<p class="soft"><a href="{escape(back)}">All pipelines</a></p>' if back else ""
    foot = f"<footer><p>{escape(note)}</p></footer>" if note else ""
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body>',
        f'<a class="skip" href="#content">Skip to the content</a><header>{link}<h1>{escape(title)}</h1></header>',
        '<main id="content" tabindex="-1">',
        *body,
        f"</main>{foot}</body></html>",
    ]
    return "\n".join(lines) + "\n"


def section(heading: str, *parts: str) -> str:
    """Write a section with its heading, which a screen reader can jump to."""
    return f"<section><h2>{escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def marked(text: str) -> str:
    """Write plain text as HTML; what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def paragraph(text: str, kind: str = "") -> str:
    """Write a paragraph of plain text."""
    return f'<p class="{kind}">{marked(text)}</p>' if kind else f"<p>{marked(text)}</p>"


def badge(result: str) -> str:
    """Write a verdict with a mark, so that it reads without colour."""
    return f'<span class="badge {CLASSES[result]}"><span aria-hidden="true">{MARKS[result]} </span>{result}</span>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """Write a table whose first column names its rows; it scrolls by itself, with the keyboard too, where it is too wide.

    Args:
        caption: what it shows, one sentence.
        head: names of the columns; one that begins with `#` holds numbers, one with `~` is left out on a phone.
        rows: HTML of the cells.
        kind: a class of its own.
    """
    marks = [name[:1] if name[:1] in "#~" else "" for name in head]
    kinds = ['class="n"' if mark == "#" else 'class="n wide"' if mark == "~" else "" for mark in marks]
    heads = "".join(
        f'<th scope="col" {kind}>{escape(name.lstrip("#~"))}</th>' for name, kind in zip(head, kinds, strict=True)
    )
    label = f'aria-label="{escape(caption)}"'
    lines = [
        f'<p class="soft" aria-hidden="true">{escape(caption)}</p>',  # outside: a caption would scroll away with the table
        f'<div class="scroll" tabindex="0" role="region" {label}><table class="{kind}" {label}>',
        f"<thead><tr>{heads}</tr></thead><tbody>",
    ]
    for first, *cells in rows:
        rest = "".join(
            cell if cell.startswith("<td") else f"<td {kind}>{cell}</td>"
            for cell, kind in zip(cells, kinds[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row">{first}</th>{rest}</tr>')
    lines.append("</tbody></table></div>")
    return "\n".join(lines)
