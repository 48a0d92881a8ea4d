"""Write the model card: the text of `card.toml`, and every number as the stages wrote it. A stage of its own in DVC.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Nothing is typed twice, so the card cannot differ from the results.
"""

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import require, run_stage
from onebutton_contracts.sources import sha256
from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.checks import SERVICE, standing, verdicts
from onebutton_evaluation.declarations import Declarations, load_declarations
from onebutton_evaluation.judgement import COMPARISON, SLICES, read_json, write_judgement, write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ranked

WORST = 3
VERDICTS = "verdicts.json"


def read_card(folder: Path, said: Declarations) -> dict[str, Any]:
    """Read all that the templates of a card show.

    The server is measured after the card is written, so its gates are NOT RUN.

    Raises:
        InputError: a file is missing or malformed.
    """
    text, results = CardText.load(folder / "card.toml"), read_json(folder / SLICES)
    model, slices, known = folder / text.model, results["slices"], said.judging.known()
    require(model.is_file(), f"{model} is not here, so the card cannot name it. `make run` writes it")
    digest = hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()
    found = verdicts(folder, said, {SERVICE: {}})  # as if nothing was measured: the same results make the same card
    return {
        "heading": text.title,
        "questions": QUESTIONS,
        "text": text,
        "label": results["answer_label"],
        "metrics": [named(known, name) for name in slices["all"]["metrics"]],
        "slices": {name: slices[name] for name in ("all", *ranked(slices, known[said.judging.champion])[:WORST])},
        "worst": WORST,
        "compared": read_json(folder / COMPARISON),
        "verdicts": found,
        "standing": standing(found),
        "facts": {
            "model": f"{text.model}, SHA-256 {sha256(model)}",
            "holdout": f"{results['holdout']['rows']:,} rows, SHA-256 {results['holdout']['digest']}",
            "results": f"{SLICES}, SHA-256 {digest} of its content",
            "packages": ", ".join(f"{name} {metadata.version(name)}" for name in text.packages) or "none named",
        },
    }


def main() -> None:
    """Write `card.md` and `verdicts.json` of the pipeline in the current folder."""
    card = read_card(Path(), load_declarations())
    write_text(Path("card.md"), render("card.md", **card))
    settled = [one._asdict() for one in card["verdicts"] if one.check != "service"]  # the rest is not known yet
    write_judgement({VERDICTS: {one.pop("id"): one for one in settled}})


if __name__ == "__main__":
    run_stage(main)
