"""Write the report as a site: a page per pipeline and an index, plain files that open without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.headline import headline
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.pages import document, marked, paragraph
from onebutton_evaluation.report_data import INDEX, Around, Results, read_results
from onebutton_evaluation.report_page import banner, page, picture

NONE_YET = "There is no pipeline yet. `make new-pipeline NAME=churn` writes one, and `make run report` shows it here."


def index(pages: Sequence[Results], refused: Mapping[str, str]) -> str:
    """Write the page over all pipelines.

    Args:
        pages: pipelines with a page.
        refused: for a pipeline whose results cannot be read, why.
    """
    intro = "Each model judged on rows that it never saw, with 95 % intervals." if pages or refused else NONE_YET
    body = [paragraph(intro, "soft"), *map(_summary, pages)]
    body += [
        f'<article class="card"><h2>{escape(name)}</h2><p class="big waiting">{marked(why)}</p></article>'
        for name, why in refused.items()
    ]
    return document("Report", body, note="Written by make report from the results in this checkout.")


def _summary(one: Results) -> str:
    """Write one pipeline's part of the index."""
    (metric, number), *facts = headline(one).items()
    estimate, _, interval = number.partition(" ")
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts)
    links = {"Gates, slices and curves": f"{one.name}.html"}
    links |= {"Model card": f"{one.name}.card.html"} if one.has_card else {}
    listed_links = " · ".join(
        f'<a href="{escape(address)}">{escape(name)}</a>' for name, address in {**links, **one.around.links}.items()
    )
    return "\n".join(
        [
            f'<article class="card"><h2><a href="{escape(one.name)}.html">{escape(one.name)}</a></h2>',
            f'<p><strong>{escape(one.title)}.</strong> <span class="soft">{escape(one.predicts)}</span></p>',
            '<div class="split"><div>',
            f'<p class="headline"><strong>{escape(estimate)}</strong> {escape(metric)}',
            f'<span class="soft">{escape(interval.strip("()"))}</span></p><dl class="facts">{listed}</dl></div>',
            f"{picture(one)}</div>",
            f"{banner(one)}<p>{listed_links}</p></article>",
        ]
    )


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
