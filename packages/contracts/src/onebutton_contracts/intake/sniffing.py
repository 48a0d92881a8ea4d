"""Say what a file is by its first bytes; its name promises nothing."""

from __future__ import annotations

import csv
import io
import zipfile
from codecs import getincrementaldecoder
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.intake.csv_files import not_utf8, separator_line

HEAD = 65_536  # bytes that are looked at
DELIMITERS = ",;\t|"
SUPPORTED = "CSV, Excel (.xlsx) or Parquet"
BOOK = "xl/workbook.xml"  # in each Excel workbook, which is a zip
PICKLE_SUFFIXES = {".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
PICKLE_PROTOCOLS = range(2, 6)  # protocols 0 and 1 are text and have no mark
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ARCHIVE = "an archive: take the table out, and take that in with its own SHA256"
FOREIGN = {
    b"PK\x03\x04": ARCHIVE,
    b"\x1f\x8b": ARCHIVE,
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as .xlsx",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class Kind:
    """What a file is.

    Attributes:
        name: `csv`, `xlsx` or `parquet`.
        delimiter: between the columns of a CSV file.
    """

    name: str
    delimiter: str = ""


def is_pickle(name: str, head: bytes) -> bool:
    """Whether a file is a pickle, by its name or its first bytes: reading one runs the code in it."""
    marked = len(head) > 1 and head[0] == 0x80 and head[1] in PICKLE_PROTOCOLS  # noqa: PLR2004  the opcode PROTO
    return marked or Path(name.lower()).suffix in PICKLE_SUFFIXES


def sniff(path: Path, called: str) -> Kind:
    """Say what a file is; messages call it `called`.

    Raises:
        InputError: nothing that can be taken in; the message says what it is instead, where that shows.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    pickle = f"{called} is a pickle, and reading a pickle runs the code in it. Ask for {SUPPORTED}"
    require(not is_pickle(called, head), pickle)
    if head.startswith(b"PK\x03\x04") and _is_book(path):
        return Kind("xlsx")
    if head.startswith(b"PAR1"):
        return Kind("parquet")
    found = next((words for mark, words in FOREIGN.items() if head.startswith(mark)), "")
    if head[257:262] == b"ustar":
        found = ARCHIVE
    kind = found or _text(path, head, called)
    if isinstance(kind, Kind):
        return kind
    message = f"{called} is {kind}. Taken in are {SUPPORTED}"
    raise InputError(message)


def _is_book(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return BOOK in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _text(path: Path, head: bytes, called: str) -> Kind | str:
    """Say which table a text is, or what it is instead."""
    try:
        text = getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD)  # the last character may be cut
    except UnicodeDecodeError:
        require(b"\0" in head and not head.startswith(UTF_16), not_utf8(path, called))
        text = "\0"
    first = text.lstrip("\ufeff").lstrip()
    if not first:
        found: Kind | str = "empty"
    elif "\0" in first:
        found = "binary, of no known format"
    elif first.startswith(("{", "[")):
        found = "JSON: write its table as CSV or Parquet"
    elif first.startswith("<"):
        found = "a web page or XML, and not the data that it is about"
    elif delimiter := separator_line(path) or _delimiter(first):
        found = Kind("csv", delimiter)
    else:
        found = "text, but no table: no line of names with commas, semicolons, tabs or bars between"
    return found


def _delimiter(text: str) -> str:
    """Return what stands between the names of the first line: that which cuts it and the next one alike, and most often."""

    def cuts(delimiter: str) -> int:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
        try:
            first, second = next(lines, []), next(lines, None)
        except csv.Error:
            return 0
        return len(first) - 1 if second is None or len(second) == len(first) else 0

    best = max(DELIMITERS, key=cuts)
    return best if cuts(best) else ""
