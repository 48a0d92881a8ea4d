"""Say what prompts do, for those who edit them: `summary.md`, which a pull request shows as well, and `data/prompts.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_evaluation.pages import render_text


def summary(than: str, told: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, Any], judged: str) -> str:
    """Write the page.

    Args:
        than: the prompt in use.
        told: of each other prompt what `prompts.json` has: a verdict in words, and examples.
        numbers: what `metrics.json` has.
        judged: the prompt that is called `model` there.
    """
    return _filled("summary.md", than=than, told=told, numbers=numbers, judged=judged)


def page(
    than: str, prompts: Mapping[str, str], told: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> str:
    """Write the page that shows prompts side by side: their texts, what differs on which slice, every sentence.

    Args:
        than: the prompt in use.
        prompts: the text of each.
        told: as in `summary`.
        rows: of each sentence `source`, `text`, `sentiment`, and what each prompt called it.
    """
    names = [than, *told]
    differ = sorted(rows, key=lambda row: len({row[name] for name in names}) == 1)  # where they differ first
    return _filled("prompts.html", heading="Prompts side by side", names=names, prompts=prompts, told=told, rows=differ)


def _filled(template: str, **values: object) -> str:
    return render_text(Path(__file__).with_name(f"{template}.jinja").read_text(encoding="utf-8"), **values)
