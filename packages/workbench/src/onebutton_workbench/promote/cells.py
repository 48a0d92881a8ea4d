"""Read the cells of a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError


@dataclass(frozen=True)
class Cell:
    """A cell of code."""

    number: int  # among the cells of code, from 1 on, in the order of the page
    source: str
    heading: str = ""  # the last one above it
    said: str = ""  # all that its outputs show as text
    ran: int | None = None  # its place in the order in which cells ran; nothing where outputs were taken out

    def __str__(self) -> str:
        """Name it so that a person finds it: by its number and how it begins."""
        lines = [line.strip() for line in self.source.splitlines()]
        first = next((line for line in lines if line and not line.startswith("#")), "")
        return f"cell {self.number} (`{first[:60]}`)"


def read(path: Path) -> list[Cell]:
    """Read the cells of code.

    Raises:
        InputError: it is no notebook, or one of another language.
    """
    import nbformat

    try:
        page: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises what its JSON and schema libraries do
        message = f"NOTEBOOK={path} is no notebook that can be read: {str(error).splitlines()[0]}"
        raise InputError(message) from error
    language = page.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        message = f"NOTEBOOK={path} is written in {language}, and stages are Python"
        raise InputError(message)
    cells, heading = list[Cell](), ""
    for cell in page.cells:
        if cell.cell_type == "markdown":
            titles = [line.lstrip("# ").strip() for line in cell.source.splitlines() if line.startswith("#")]
            heading = titles[-1] if titles else heading
        elif cell.cell_type == "code" and cell.source.strip():
            said = "\n".join(_texts(cell.get("outputs", [])))
            cells.append(Cell(len(cells) + 1, cell.source, heading, said, cell.get("execution_count")))
    return cells


def _texts(outputs: Any) -> Iterator[str]:
    for one in outputs:
        yield from (one.get("text", ""), "\n".join(one.get("traceback", [])))
        yield from (str(text) for kind, text in one.get("data", {}).items() if not kind.startswith("image/"))
