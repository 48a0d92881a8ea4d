"""Read the table of a file as it stands there: Parquet, Excel or CSV, which its first bytes say; its name promises nothing."""

import csv
import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl
from fastexcel import FastExcelError, read_excel

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import is_pattern

SUPPORTED = "CSV, Excel (.xlsx) or Parquet"
HEAD = 65_536  # bytes by which a file is known
BOOK = "xl/workbook.xml"  # in each Excel workbook, which is a zip
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ARCHIVE = "an archive: take the table out, and take that in with its own SHA256"
JSON = "JSON: write its table as CSV or Parquet"
PICKLE = "a pickle, and reading a pickle runs the code in it"
FOREIGN = {
    b"PK\x03\x04": ARCHIVE,
    b"\x1f\x8b": ARCHIVE,
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as .xlsx",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"%PDF": "a PDF",
    b"{": JSON,
    b"[": JSON,
    **{bytes([0x80, protocol]): PICKLE for protocol in range(2, 6)},  # protocols 0 and 1 are text and have no mark
    b"<": "a web page or XML, and not the data that it is about",
}
DELIMITERS = ",;\t|"
LARGEST_CELL = 10_000_000  # characters; more is a quote that was never closed


def sniff(path: Path) -> str:
    """Say what a file is: `parquet`, `xlsx`, or `csv` for any text that has no mark of something else.

    Raises:
        InputError: nothing that can be taken in; the message says what it is instead, where that shows.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if zipfile.is_zipfile(path) and zipfile.Path(path, BOOK).exists():
        return "xlsx"
    found = next((words for mark, words in FOREIGN.items() if first.startswith(mark)), "" if first else "empty")
    if head[257:262] == b"ustar":
        found = ARCHIVE
    elif not found and b"\0" in head and not head.startswith(UTF_16):
        found = "binary, of no known format"
    require(not found, f"{path.name} is {found}. Taken in are {SUPPORTED}")
    return "csv"


def read_table(path: Path, kind: str) -> tuple[pl.DataFrame, list[str]]:
    """Read a file of a kind that `sniff` knows, every cell of a CSV as text, and say what a person should know of it.

    Raises:
        InputError: it is damaged, no table or not UTF-8, has no rows or names of columns that will not do; or a line of a CSV
            is not as the others.
    """
    notes: list[str] = []
    try:
        if kind == "parquet":
            frame = pl.read_parquet(path)
        elif kind == "xlsx":
            first, *others = read_excel(path).sheet_names
            frame = pl.read_excel(
                path, sheet_name=first, engine="calamine", infer_schema_length=None, raise_if_empty=False
            )
            more = f"; not taken in: {', '.join(others)}. Another is taken once it stands first, or is saved as CSV"
            notes.append(f"the sheet {first} was read{more if others else ''}")
        else:
            lines = _read_csv(path)
            frame = lines.filter(~pl.all_horizontal(pl.all().is_null()))
            if blank := lines.height - frame.height:
                notes.append(f"{blank:,} blank lines were left out")
    except (pl.exceptions.PolarsError, FastExcelError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path.name} cannot be read: {reason}") from None
    _check_names(frame.columns, path)
    require(frame.height, f"{path.name} has no rows")
    return frame, notes


def _read_csv(path: Path) -> pl.DataFrame:
    """Read every cell as text, after a look at each line: polars alone would fill or drop cells silently."""
    csv.field_size_limit(LARGEST_CELL)
    marked = re.fullmatch("sep=(.)\r?\n", next(_lines(path)))  # what Excel writes first: sep=;
    delimiter = marked[1] if marked else max(DELIMITERS, key=lambda one: _cuts(path, one))
    words = "is text, but no table: no line of names with commas, semicolons, tabs or bars between"
    require(marked or _cuts(path, delimiter), f"{path.name} {words}")
    skipped = 1 if marked else 0
    lines = csv.reader(islice(_lines(path), skipped, None), delimiter=delimiter, strict=True)
    try:
        names = next(lines, [])
        _check_names(names, path)
        for cells in lines:
            if cells and len(cells) != len(names):
                where = f"line {lines.line_num + skipped}, and {len(names)} in its first line"
                mend = f"Mend that line: a {delimiter!r} inside a text needs quotes around the text"
                raise InputError(f"{path.name} has {len(cells)} cells in {where}. {mend}")
    except csv.Error as error:
        where = f"{path.name}, line {lines.line_num + skipped}"
        mend = 'Mend that line: a quote inside a text is written twice, as in "5"" wide"'
        raise InputError(f"{where}: {error}. {mend}") from None
    return pl.read_csv(path, separator=delimiter, infer_schema=False, skip_lines=skipped)


def _lines(path: Path) -> Iterator[str]:
    """Read a file line by line, and say where it stops being UTF-8, with the command that makes it so."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                encoding = "UTF-16" if line.startswith(UTF_16) else "LATIN1"
                anew = f"`iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}` writes it anew"
                where = f"{path.name} is not UTF-8, from line {number:,} on; it looks like {encoding}"
                raise InputError(f"{where}. {anew}; take in that file, with its own SHA256") from None


def _cuts(path: Path, delimiter: str) -> int:
    """Count the cuts that a delimiter makes in the first line; none where it does not cut the next one alike."""
    lines = csv.reader(filter(str.strip, _lines(path)), delimiter=delimiter)
    try:
        first, second = next(lines, []), next(lines, None)
    except csv.Error:
        return 0
    return len(first) - 1 if second is None or len(second) == len(first) else 0


def _check_names(columns: list[str], path: Path) -> None:
    """Refuse names of columns that no contract could hold."""
    must = "its first line must name each column"
    require(columns and all(name.strip() for name in columns), f"{path.name} has a column without a name; {must}")
    for at, name in enumerate(columns):
        require(name not in columns[:at], f"{path.name} has two columns {name!r}; {must}")
        pattern = f"{path.name} has a column {name!r}, which would be taken for a pattern of names; rename it"
        require(not is_pattern(name), pattern)
