"""Write the report as a site: a page per pipeline and an index, plain files that open without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card import read_card
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.report_data import INDEX, Around, Results, read_results
from onebutton_evaluation.report_page import page, summary
from onebutton_evaluation.verdicts import standing


def _card(folder: Path, results: Results) -> str:
    """Write the card with the verdicts of the page beside it, as the server may have been measured since its stage ran."""
    try:
        card = read_card(folder, results.said)
    except InputError:  # the model is not here, and nothing was measured with it
        return (folder / "card.html").read_text(encoding="utf-8")
    now = {"verdicts": results.verdicts, "standing": standing(results.verdicts, draft=results.draft)}
    return render("card.html", **card | now)


def write_site(folders: Mapping[Path, Around], target: Path) -> list[str]:
    """Write every page, the index last.

    Args:
        folders: of the pipelines, with what is around them.
        target: folder to write to.

    Returns:
        For each pipeline without a page one line that says why.
    """
    target.mkdir(parents=True, exist_ok=True)
    summaries, refused = [], {}
    for folder, around in folders.items():
        try:
            results = read_results(folder, around)
        except InputError as error:
            refused[folder.name] = str(error)
            continue
        write_text(target / f"{folder.name}.html", page(results))
        if results.has_card:
            write_text(target / f"{folder.name}.card.html", _card(folder, results))
        summaries.append(summary(results))
    write_text(target / INDEX, render("index.html", heading="Report", summaries=summaries, refused=refused))
    return [f"{name}: {why}" for name, why in refused.items()]
