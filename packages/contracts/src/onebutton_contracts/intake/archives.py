"""Take the one table out of an archive, after a look at everything in it: nothing is unpacked by the archive's own paths."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.intake.sniffing import is_pickle, sniff

TABLE_SUFFIXES = {".csv", ".parquet", ".tsv", ".xlsx"}
CHUNK = 1 << 20
DAMAGED = (EOFError, NotImplementedError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)


def unpack(path: Path, called: str, folder: Path, limit: int) -> tuple[Path, str]:
    """Return the table that a file is or holds, a zip or gz of one, and what it is called.

    Args:
        path: the file.
        called: what messages call it.
        folder: where an unpacked table goes.
        limit: most bytes that everything in the archive may have.

    Raises:
        InputError: the archive is damaged or too large, or holds a pickle, a link, a path that leads out, or not one table.
    """
    kind, table, name = sniff(path, called), path, called
    too_large = (
        f"{called} unpacks to more than {limit / 1e6:,.0f} MB; LIMIT=<MB> allows more when that is what it should be"
    )
    if not kind.is_table:
        table = folder / "table"
        try:
            if kind.name == "gz":
                name = called.removesuffix(".gz")
                with gzip.open(path) as stream:
                    _copy(stream, table, limit, too_large)
            else:
                with zipfile.ZipFile(path) as archive:
                    require(sum(info.file_size for info in archive.infolist()) <= limit, too_large)
                    name = _the_table(archive, called)
                    with archive.open(name) as stream:
                        _copy(stream, table, limit, too_large)
        except DAMAGED as error:
            message = f"{called} cannot be unpacked: {' '.join(str(error).split()) or type(error).__name__}"
            raise InputError(message) from None
        kind = sniff(table, name)
        require(kind.is_table, f"{called} holds the archive {name}: take in what is inside it")
    if kind.name == "xlsx":  # its reader unpacks it in memory
        with zipfile.ZipFile(table) as book:
            require(sum(info.file_size for info in book.infolist()) <= limit, too_large)
    return table, name


def _copy(stream: IO[bytes] | gzip.GzipFile, table: Path, limit: int, too_large: str) -> None:
    """Write what comes out and count it: sizes that archives name may be wrong."""
    written = 0
    with table.open("wb") as out:
        while chunk := stream.read(CHUNK):
            written += len(chunk)
            require(written <= limit, too_large)
            out.write(chunk)


def _the_table(archive: zipfile.ZipFile, called: str) -> str:
    """Hold every member to the rules, and name the one that is a table."""
    tables = []
    for info in archive.infolist():
        office = info.filename == "[Content_Types].xml"
        require(not office, f"{called} is an Office document, and no Excel workbook: save its table as CSV")
        fault = _fault(archive, info)
        words = "nothing was unpacked. Ask for an archive of the table alone"
        require(not fault, f"{called} holds {info.filename!r}, {fault}; {words}")
        path = PurePosixPath(info.filename)
        hidden = path.parts[0] == "__MACOSX" or path.name.startswith(".")  # what macOS adds to a zip
        if path.suffix.lower() in TABLE_SUFFIXES and not hidden and not info.is_dir():
            tables.append(info.filename)
    one, names = f"one table ({', '.join(sorted(TABLE_SUFFIXES))})", ", ".join(tables[:5]) or "none"
    require(len(tables) == 1, f"{called} must hold {one}, it holds {len(tables)}: {names}")
    return tables[0]


def _fault(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    name = info.filename
    if ".." in PurePosixPath(name.replace("\\", "/")).parts or name.startswith(("/", "\\")) or name[1:2] == ":":
        return "a path that leads out of the archive"
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:  # 0 where a program wrote no mode
        return "a link or a device"
    with archive.open(info) as stream:
        return "a pickle, and reading a pickle runs the code in it" if is_pickle(name, stream.read(2)) else ""
