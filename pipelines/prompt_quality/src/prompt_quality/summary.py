"""Say what prompts do, for those who edit them: `summary.md`, which a pull request shows as well, and `data/prompts.html`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_evaluation.pages import render_text

CELL = str.maketrans({"|": "\\|", "\n": " ", "<": "&lt;"})


def summary(than: str, told: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, Any], judged: str) -> str:
    """Write the page.

    Args:
        than: the prompt in use.
        told: of each other prompt what `prompts.json` has: a verdict in words, and examples.
        numbers: what `metrics.json` has.
        judged: the prompt that is called `model` there.
    """
    return "\n".join(_lines(than, told, numbers, judged)) + "\n"


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
    template = Path(__file__).with_name("prompts.html.jinja").read_text(encoding="utf-8")
    return render_text(template, heading="Prompts side by side", names=names, prompts=prompts, told=told, rows=differ)


def _lines(than: str, told: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, Any], judged: str) -> Iterator[str]:
    yield from (
        f'Each prompt beside `{than}`, the one in use. "Cannot tell" means that chance alone could do this.',
        "",
    )
    yield from (f"- **{one['in_words']}**" for one in told.values())
    yield from (
        "",
        "| prompt | right, of 100 | no label, of 100 | dollars for 1,000 | seconds (95 of 100 are quicker) |",
    )
    yield "|---|--:|--:|--:|--:|"
    for name in (than, *told):
        key = "model" if name == judged else name
        one = numbers["answers"][key]
        cost = f"{100 * one['malformed']:.1f} | {one['dollars_per_1000']:.2f} | {one['seconds_p95']:.1f}"
        yield f"| {name} | {100 * numbers[key]['accuracy']:.1f} | {cost} |"
    yield f"| the list of words, no model | {100 * numbers['lexicon']['accuracy']:.1f} | 0.0 | 0.00 | 0.0 |"
    for name, one in told.items():
        for side, words in (
            ("better", "right where the one in use is wrong"),
            ("worse", "wrong where the one in use is right"),
        ):
            if one[side]:
                yield from (
                    "",
                    f"`{name}` is {words}, for example:",
                    "",
                    f"| sentence | people | {name} | {than} |",
                    "|---|---|---|---|",
                )
                for row in one[side]:
                    yield f"| {' | '.join(str(row[key] or '(none)').translate(CELL) for key in ('text', 'sentiment', name, than))} |"
    yield from (
        "",
        "What to do: a prompt that is better, and worse nowhere that matters to you, can replace the one in use: write its name into",
    )
    yield "`champion/champion.txt`. Where nobody can tell, keep the one in use, or ask for more sentences."
