"""Read a CSV file as text, and name the line that is not as the others: polars alone would fill or drop cells silently."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import is_pattern

LARGEST_CELL = 10_000_000  # characters; more is a quote that was never closed


def read_csv(path: Path, delimiter: str, called: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read every cell as text, and say how many blank lines were left out.

    Raises:
        InputError: a line has more or fewer cells than the first, a quote stands alone, or the names of columns will not do.
    """
    skipped = 1 if separator_line(path) else 0  # what Excel writes first: sep=;
    blank = _check_lines(path, delimiter, called, skipped)
    frame = pl.read_csv(path, separator=delimiter, infer_schema=False, skip_lines=skipped)
    kept = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    return kept, (f"{blank:,} blank lines were left out",) if blank else ()


def separator_line(path: Path) -> str:
    """Return the delimiter that a first line such as `sep=;` names; empty where there is no such line."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(10).strip()
    return first[4] if first.startswith("sep=") and len(first) == len("sep=;") else ""


def not_utf8(path: Path, called: str) -> str:
    """Say where a file of text stops being UTF-8, and the command that makes it so."""
    data = path.read_bytes()
    line, encoding = 1, "UTF-16"
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "LATIN1"
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
    name = Path(called).name
    return (
        f"{called} is not UTF-8, from line {line:,} on; it looks like {encoding}. "
        f"`iconv -f {encoding} -t UTF-8 {name} > utf8-{name}` writes it anew; take in that file, with its own SHA256"
    )


def _check_lines(path: Path, delimiter: str, called: str, skipped: int) -> int:
    """Hold every line to the first, and count the blank ones."""
    csv.field_size_limit(LARGEST_CELL)
    blank = 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for _ in range(skipped):
            next(stream)
        lines = csv.reader(stream, delimiter=delimiter, strict=True)
        mend = f"Mend that line: a {delimiter!r} inside a text needs quotes around the text"
        try:
            names = next(lines, [])
            check_names(names, called)
            for cells in lines:
                blank += not any(cells)
                if cells and len(cells) != len(names):
                    where = f"line {lines.line_num + skipped}, and {len(names)} in its first line"
                    message = f"{called} has {len(cells)} cells in {where}. {mend}"
                    raise InputError(message)
        except UnicodeDecodeError:
            raise InputError(not_utf8(path, called)) from None
        except csv.Error as error:
            where = f"{called}, line {lines.line_num + skipped}"
            message = f'{where}: {error}. Mend that line: a quote inside a text is written twice, as in "5"" wide"'
            raise InputError(message) from None
    return blank


def check_names(columns: list[str], called: str) -> None:
    """Refuse names of columns that no contract could hold.

    Raises:
        InputError: one is missing, stands twice, or would be taken for a pattern.
    """
    must = "its first line must name each column"
    require(columns and all(name.strip() for name in columns), f"{called} has a column without a name; {must}")
    for at, name in enumerate(columns):
        require(name not in columns[:at], f"{called} has two columns {name!r}; {must}")
        pattern = f"{called} has a column {name!r}, which would be taken for a pattern of names; rename it"
        require(not is_pattern(name), pattern)
