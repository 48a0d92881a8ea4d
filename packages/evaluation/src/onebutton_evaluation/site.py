"""Write the report as a site: a page per pipeline and an index, plain files that open without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.pages import badge, document, paragraph, table
from onebutton_evaluation.report_data import INDEX, Around, Results, read_results, standing
from onebutton_evaluation.report_page import page


def index(pages: Sequence[Results], refused: Mapping[str, str]) -> str:
    """Write the page over all pipelines.

    Args:
        pages: pipelines with a page.
        refused: for a pipeline whose results cannot be read, why.
    """
    rows = []
    for one in pages:
        result, words = standing(one.verdicts)
        whole = one.slices["slices"]["all"]["metrics"].get(one.metric)
        number = "" if whole is None else f"{whole['estimate']:.3f} ({whole['low']:.3f} to {whole['high']:.3f})"
        link = f'<a href="{escape(one.name)}.html">{escape(one.name)}</a>'
        rows.append([link, badge(result), f"{escape(words)}", f"{escape(one.metric)} {number}"])
    rows += [[escape(name), badge("NOT RUN"), escape(why), ""] for name, why in refused.items()]
    body = [
        paragraph("Every pipeline, and whether its model is what it was declared to be."),
        table("Pipelines with the sum of their verdicts", ["pipeline", "verdict", "found", "~how good, 95 %"], rows),
    ]
    return document("Report", body, note="Written by make report from the results in this checkout.")


def write_site(folders: Mapping[Path, Around], target: Path) -> list[str]:
    """Write every page, the index last.

    Args:
        folders: of the pipelines, with what is around them.
        target: folder to write to.

    Returns:
        For each pipeline without a page one line that says why.
    """
    target.mkdir(parents=True, exist_ok=True)
    pages, refused = [], {}
    for folder, around in folders.items():
        try:
            results = read_results(folder, around)
        except InputError as error:
            refused[folder.name] = str(error)
            continue
        write_text(target / f"{folder.name}.html", page(results))
        if results.has_card:
            write_text(target / f"{folder.name}.card.html", (folder / "card.html").read_text(encoding="utf-8"))
        pages.append(results)
    write_text(target / INDEX, index(pages, refused))
    return [f"{name}: {why}" for name, why in refused.items()]
