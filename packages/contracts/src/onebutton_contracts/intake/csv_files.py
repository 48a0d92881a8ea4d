"""Read a CSV file as text, and name the line that is not as the others: polars alone would fill or drop cells silently."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import is_pattern

DELIMITERS = ",;\t|"
HEAD = 65_536  # characters by which the delimiter is found
LARGEST_CELL = 10_000_000  # characters; more is a quote that was never closed


def read_csv(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read every cell as text, and say how many blank lines were left out.

    Raises:
        InputError: it is not UTF-8 or no table, a line has more or fewer cells than the first, a quote stands alone, or the
            names of columns will not do.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            start = stream.read(HEAD)
        marked = start.startswith("sep=") and start[5:6] in {"\r", "\n"}  # what Excel writes first: sep=;
        delimiter = start[4] if marked else max(DELIMITERS, key=lambda one: _cuts(start, one))
        words = "is text, but no table: no line of names with commas, semicolons, tabs or bars between"
        require(marked or _cuts(start, delimiter), f"{path.name} {words}")
        blank = _check_lines(path, delimiter, int(marked))
    except UnicodeDecodeError:
        raise InputError(_not_utf8(path)) from None
    frame = pl.read_csv(path, separator=delimiter, infer_schema=False, skip_lines=int(marked))
    kept = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    return kept, (f"{blank:,} blank lines were left out",) if blank else ()


def _cuts(text: str, delimiter: str) -> int:
    """Count the cuts that a delimiter makes in the first line; none where it does not cut the next one alike."""
    lines = csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter)
    try:
        first, second = next(lines, []), next(lines, None)
    except csv.Error:
        return 0
    return len(first) - 1 if second is None or len(second) == len(first) else 0


def _not_utf8(path: Path) -> str:
    """Say where a file of text stops being UTF-8, and the command that makes it so."""
    data, line, encoding = path.read_bytes(), 1, "UTF-16"
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "LATIN1"
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
    return (
        f"{path.name} is not UTF-8, from line {line:,} on; it looks like {encoding}. `iconv -f {encoding} -t UTF-8 {path.name} "
        f"> utf8-{path.name}` writes it anew; take in that file, with its own SHA256"
    )


def _check_lines(path: Path, delimiter: str, skipped: int) -> int:
    """Hold every line to the first, and count the blank ones."""
    csv.field_size_limit(LARGEST_CELL)
    blank = 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for _ in range(skipped):
            next(stream)
        lines = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            names = next(lines, [])
            check_names(names, path)
            for cells in lines:
                blank += not any(cells)
                if cells and len(cells) != len(names):
                    where = f"line {lines.line_num + skipped}, and {len(names)} in its first line"
                    mend = f"Mend that line: a {delimiter!r} inside a text needs quotes around the text"
                    message = f"{path.name} has {len(cells)} cells in {where}. {mend}"
                    raise InputError(message)
        except csv.Error as error:
            where = f"{path.name}, line {lines.line_num + skipped}"
            message = f'{where}: {error}. Mend that line: a quote inside a text is written twice, as in "5"" wide"'
            raise InputError(message) from None
    return blank


def check_names(columns: list[str], path: Path) -> None:
    """Refuse names of columns that no contract could hold.

    Raises:
        InputError: one is missing, stands twice, or would be taken for a pattern.
    """
    must = "its first line must name each column"
    require(columns and all(name.strip() for name in columns), f"{path.name} has a column without a name; {must}")
    for at, name in enumerate(columns):
        require(name not in columns[:at], f"{path.name} has two columns {name!r}; {must}")
        pattern = f"{path.name} has a column {name!r}, which would be taken for a pattern of names; rename it"
        require(not is_pattern(name), pattern)
