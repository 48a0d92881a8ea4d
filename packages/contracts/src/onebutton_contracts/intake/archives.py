"""Take the one table out of an archive, after a look at everything in it: nothing is unpacked by the archive's own paths."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.intake.sniffing import is_pickle, sniff

TABLE_SUFFIXES = {".csv", ".jsonl", ".ndjson", ".parquet", ".tsv", ".xlsx"}
CHUNK = 1 << 20
DAMAGED = (EOFError, NotImplementedError, OSError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class Member(NamedTuple):
    """Something in an archive; what is neither a file nor a folder is a link or a device."""

    name: str
    size: int  # bytes when unpacked, as the archive says
    is_file: bool
    is_folder: bool
    open: Callable[[], Any]


def unpack(path: Path, called: str, folder: Path, limit: int) -> tuple[Path, str]:
    """Return the table that a file is or holds, a zip, tar or gz of one, and what it is called.

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
            with ExitStack() as opened:
                match kind.name:
                    case "gz":
                        name, content = called.removesuffix(".gz"), gzip.open(path)  # noqa: SIM115  closed below
                    case "zip":
                        members = _of_zip(opened.enter_context(zipfile.ZipFile(path)))
                        name, content = _the_table(members, called, limit, too_large)
                    case _:
                        members = _of_tar(opened.enter_context(tarfile.open(path)))
                        name, content = _the_table(members, called, limit, too_large)
                written = 0  # sizes that archives name may be wrong, so what comes out is counted
                with content as stream, table.open("wb") as out:
                    while chunk := stream.read(CHUNK):
                        written += len(chunk)
                        require(written <= limit, too_large)
                        out.write(chunk)
        except DAMAGED as error:
            message = f"{called} cannot be unpacked: {' '.join(str(error).split()) or type(error).__name__}"
            raise InputError(message) from None
        kind = sniff(table, name)
        require(kind.is_table, f"{called} holds the archive {name}: take in what is inside it")
    if kind.name == "xlsx":  # its reader unpacks it in memory
        with zipfile.ZipFile(table) as book:
            require(sum(info.file_size for info in book.infolist()) <= limit, too_large)
    return table, name


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where a program wrote no mode
        ordinary = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        is_folder = ordinary and info.is_dir()
        yield Member(info.filename, info.file_size, ordinary and not is_folder, is_folder, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        yield Member(info.name, info.size, info.isfile(), info.isdir(), partial(archive.extractfile, info))


def _the_table(members: Iterable[Member], called: str, limit: int, too_large: str) -> tuple[str, Any]:
    """Hold every member to the rules, and return the name and the content of the one that is a table."""
    tables, total = [], 0
    for member in members:
        total += member.size
        require(total <= limit, too_large)
        office = member.name == "[Content_Types].xml"
        require(not office, f"{called} is an Office document, and no Excel workbook: save its table as CSV")
        fault = _fault(member)
        words = "nothing was unpacked. Ask for an archive of the table alone"
        require(not fault, f"{called} holds {member.name!r}, {fault}; {words}")
        if member.is_file and _is_table(member.name):
            tables.append(member)
    names = ", ".join(member.name for member in tables[:5]) or "none"
    one = f"one table ({', '.join(sorted(TABLE_SUFFIXES))})"
    require(len(tables) == 1, f"{called} must hold {one}, it holds {len(tables)}: {names}")
    return tables[0].name, tables[0].open()


def _fault(member: Member) -> str:
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if ".." in parts or member.name.startswith(("/", "\\")) or member.name[1:2] == ":":
        return "a path that leads out of the archive"
    if member.is_folder:
        return ""
    if not member.is_file:
        return "a link or a device"
    with member.open() as stream:
        return "a pickle, and reading a pickle runs the code in it" if is_pickle(member.name, stream.read(2)) else ""


def _is_table(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = path.parts[0] == "__MACOSX" or path.name.startswith(".")  # what macOS adds to a zip
    return path.suffix.lower() in TABLE_SUFFIXES and not hidden
