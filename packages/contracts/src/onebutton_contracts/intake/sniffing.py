"""Say what a file is by its first bytes; its name promises nothing."""

from __future__ import annotations

import zipfile
from pathlib import Path

from onebutton_contracts.errors import InputError

HEAD = 65_536  # bytes that are looked at
SUPPORTED = "CSV, Excel (.xlsx) or Parquet"
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
    if head.startswith(b"PK\x03\x04") and _is_book(path):
        return "xlsx"
    if head[257:262] == b"ustar":
        found = ARCHIVE
    elif mark := next((mark for mark in FOREIGN if first.startswith(mark)), b""):
        found = FOREIGN[mark]
    elif not first:
        found = "empty"
    elif b"\0" in head and not head.startswith(UTF_16):
        found = "binary, of no known format"
    else:
        return "csv"
    message = f"{path.name} is {found}. Taken in are {SUPPORTED}"
    raise InputError(message)


def _is_book(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return BOOK in archive.namelist()
    except zipfile.BadZipFile:
        return False
