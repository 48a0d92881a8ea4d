"""Write the model card: the text of `card.toml`, and every number as the stages wrote it. A stage of its own in DVC.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Nothing is typed twice, so the card cannot differ from the results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.sources import sha256
from onebutton_evaluation.card_text import CardText, read_card_text
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.declarations import Declarations, Gate, ServiceGate, load_declarations
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import COMPARISON, SLICES, read_json, write_text
from onebutton_evaluation.pages import badge, document, marked, paragraph, section, table
from onebutton_evaluation.verdicts import Verdict, standing, verdicts
from onebutton_evaluation.wording import metric_label, number_words

WORST = 3
HEADINGS = {
    "predicts": "What it predicts",
    "owner": "Owner",
    "data": "Data and period",
    "intended": "Made for",
    "forbidden": "Not to be used for",
    "limits": "Limits",
    "people": "Who is affected by its errors",
}
VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class Card:
    """All that a card holds.

    Attributes:
        text: written by people.
        slices: content of slices.json.
        compared: one sentence per comparison.
        verdicts: of every gate; the server is measured after the card is written, so its gates are NOT RUN.
        facts: environment and provenance by name.
        metric: by which slices are ranked.
        known: the metrics of its task, by name.
    """

    text: CardText
    slices: Mapping[str, Any]
    compared: Mapping[str, str]
    verdicts: Sequence[Verdict]
    facts: Mapping[str, str]
    metric: str
    known: Mapping[str, Metric]


def read_card(folder: Path, said: Declarations) -> Card:
    """Read what the card is made of.

    Raises:
        InputError: a file is missing or malformed.
    """
    text = read_card_text(folder / "card.toml")
    against = read_json(folder / COMPARISON)
    return Card(
        text,
        read_json(folder / SLICES),
        {name: one["in_words"] for name, one in against.items()},
        _verdicts(folder, said.gates),
        _facts(folder, text, read_json(folder / SLICES)),
        said.judging.champion,
        said.judging.known(),
    )


def _verdicts(folder: Path, gates: Sequence[Gate]) -> list[Verdict]:
    """Hold the results to the gates, whatever was measured of a server before: the same results always make the same card."""
    settled = {one.id: one for one in verdicts(folder, [gate for gate in gates if not isinstance(gate, ServiceGate)])}
    later = "measured on a running server: `make deploy` does it"
    return [settled.get(gate.id) or Verdict(gate.id, "NOT RUN", later, gate.why, gate.check) for gate in gates]


def _facts(folder: Path, text: CardText, slices: Mapping[str, Any]) -> dict[str, str]:
    model = folder / text.model
    if not model.is_file():
        message = f"{model} is not here, so the card cannot name it. `make run` writes it"
        raise InputError(message)
    lock = hashlib.sha256(json.dumps(slices, sort_keys=True).encode()).hexdigest()
    return {
        "model": f"{text.model}, SHA-256 {sha256(model)}",
        "holdout": f"{slices['holdout']['rows']:,} rows, SHA-256 {slices['holdout']['digest']}",
        "results": f"{SLICES}, SHA-256 {lock} of its content",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in text.packages) or "none named",
    }


def worst_slices(card: Card) -> list[str]:
    """Name the slices on which the model is worst, by the metric that decides; all rows together are no slice."""
    better = card.known[card.metric].better
    judged = {
        name: one["metrics"][card.metric]["estimate"]
        for name, one in card.slices["slices"].items()
        if name != "all" and card.metric in one["metrics"]
    }
    return sorted(judged, key=lambda name: judged[name], reverse=better == "lower")[:WORST]


def _rows(card: Card) -> list[list[str]]:
    names = ["all", *worst_slices(card)]
    rows = []
    for name in names:
        one = card.slices["slices"][name]
        cells = [number_words(metric, one["metrics"].get(metric.name)) for metric in _metrics(card)]
        rows.append(["all rows" if name == "all" else name, f"{one['rows']:,}", *cells])
    return rows


def _metrics(card: Card) -> list[Metric]:
    return [named(card.known, name) for name in card.slices["slices"]["all"]["metrics"]]


def _labels(card: Card) -> list[str]:
    return [metric_label(metric, card.slices["answer_label"]) for metric in _metrics(card)]


def compared_heading(name: str) -> str:
    """Head a comparison with the champion or with the column of a simpler model."""
    return f"Compared with {'the champion' if name == 'champion' else name.replace('_', ' ')}"


def markdown(card: Card) -> str:
    """Write the card as Markdown."""
    lines = [
        f"# {card.text.title}",
        "",
        "Written by `make run` from `card.toml` and the results; edit neither by hand.",
        "",
    ]
    for name, heading in HEADINGS.items():
        lines += [f"## {heading}", "", getattr(card.text, name).strip() or "**nobody has written this yet**", ""]
    head = ["", "rows", *_labels(card)]
    lines += [
        "## How good it is",
        "",
        f"With 95 % intervals; on all rows, and on the {WORST} slices where it is worst.",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(card)]
    lines += ["", *(f"- {compared_heading(name)}: {words}." for name, words in card.compared.items()), ""]
    lines += ["## Gates", "", standing(card.verdicts)[1], "", "| verdict | gate | found |", "|---|---|---|"]
    lines += [f"| {one.result} | {one.id} | {one.words.replace('|', '/')} |" for one in card.verdicts]
    lines += ["", "## Environment and provenance", "", *(f"- {name}: {fact}" for name, fact in card.facts.items())]
    return "\n".join(lines) + "\n"


def html(card: Card) -> str:
    """Write the card as a page."""
    missing = "<strong>nobody has written this yet</strong>"
    said = {heading: escape(getattr(card.text, name).strip()) or missing for name, heading in HEADINGS.items()}
    numbers = table(
        f"With 95 % intervals; on all rows, and on the {WORST} slices where it is worst",
        ["slice", "#rows", *(f"#{label}" for label in _labels(card))],
        [[escape(cell) for cell in row] for row in _rows(card)],
    )
    compared = [paragraph(f"{compared_heading(name)}: {words}.") for name, words in card.compared.items()]
    facts = {name: f"<code>{escape(fact)}</code>" for name, fact in card.facts.items()}
    body = [
        section("Description", _listed(said)),
        section("How good it is", numbers, *compared),
        section("Gates", paragraph(standing(card.verdicts)[1]), gate_table(card.verdicts)),
        section("Environment and provenance", _listed(facts)),
    ]
    note = "Written by make run from card.toml and the results; edit neither by hand."
    return document(card.text.title, body, note=note)


def _listed(items: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{words}</dd>" for name, words in items.items()) + "</dl>"


def gate_table(found: Sequence[Verdict]) -> str:
    """Lay out verdicts as HTML, those that are not passed first."""
    order = {"failed": 0, "NOT RUN": 1, "passed": 2}
    rows = [
        [
            f"<code>{escape(one.id)}</code>",
            badge(one.result),
            f'{marked(one.words)}<span class="why">{marked(one.why)}</span>',
        ]
        for one in sorted(found, key=lambda one: order[one.result])
    ]
    return table("Every gate with its verdict, what was found, and why it is there", ["gate", "verdict", "found"], rows)


def main() -> None:
    """Write `card.md`, `card.html` and `verdicts.json` of the pipeline in the current folder."""
    card = read_card(Path(), load_declarations())
    write_text(Path("card.md"), markdown(card))
    write_text(Path("card.html"), html(card))
    settled = [one for one in card.verdicts if one.check != "service"]  # the rest is not known yet
    found = {one.id: {name: value for name, value in asdict(one).items() if name != "id"} for one in settled}
    write_text(Path(VERDICTS), json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_stage(main)
