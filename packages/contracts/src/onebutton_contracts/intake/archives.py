"""Take the one table out of an archive, after a look at everything in it: nothing is unpacked by the archive's own paths."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_contracts.intake.sniffing import Kind, is_pickle, sniff

TABLE_SUFFIXES = {".csv", ".jsonl", ".ndjson", ".parquet", ".tsv", ".xlsx"}
CHUNK = 1 << 20
DAMAGED = (EOFError, NotImplementedError, OSError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Member:
    """Something in an archive.

    Attributes:
        name: its path inside.
        size: bytes when unpacked, as the archive says.
        is_file: whether it is an ordinary file.
        is_folder: whether it is a folder; what is neither is a link or a device.
        open: gives the content of a file.
    """

    name: str
    size: int
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
    kind = sniff(path, called)
    if kind.is_table:
        return _within(limit, path, kind, called), called
    target = folder / "table"
    try:
        match kind.name:
            case "zip":
                with zipfile.ZipFile(path) as archive:
                    member = _the_table(_of_zip(archive), called, limit)
                    _copy(member, target, called, limit)
            case "tar":
                with tarfile.open(path) as archive:
                    member = _the_table(_of_tar(archive), called, limit)
                    _copy(member, target, called, limit)
            case _:
                member = Member(
                    called.removesuffix(".gz"), 0, is_file=True, is_folder=False, open=partial(gzip.open, path)
                )
                _copy(member, target, called, limit)
    except DAMAGED as error:
        message = f"{called} cannot be unpacked: {' '.join(str(error).split()) or type(error).__name__}"
        raise InputError(message) from None
    inner = sniff(target, member.name)
    if not inner.is_table:
        message = f"{called} holds the archive {member.name}: take in what is inside it"
        raise InputError(message)
    return _within(limit, target, inner, member.name), member.name


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where a program wrote no mode
        ordinary = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        is_folder = ordinary and info.is_dir()
        yield Member(info.filename, info.file_size, ordinary and not is_folder, is_folder, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        yield Member(info.name, info.size, info.isfile(), info.isdir(), partial(archive.extractfile, info))


def _the_table(members: Iterable[Member], called: str, limit: int) -> Member:
    """Hold every member to the rules, and return the one that is a table."""
    tables, total = [], 0
    for member in members:
        total += member.size
        if total > limit:
            raise InputError(_too_large(called, limit))
        if member.name == "[Content_Types].xml":
            message = f"{called} is an Office document, and no Excel workbook: save its table as CSV"
            raise InputError(message)
        if fault := _fault(member):
            message = (
                f"{called} holds {member.name!r}, {fault}; nothing was unpacked. Ask for an archive of the table alone"
            )
            raise InputError(message)
        if member.is_file and _is_table(member.name):
            tables.append(member)
    if len(tables) != 1:
        names = ", ".join(member.name for member in tables[:5]) or "none"
        message = f"{called} must hold one table ({', '.join(sorted(TABLE_SUFFIXES))}), it holds {len(tables)}: {names}"
        raise InputError(message)
    return tables[0]


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


def _copy(member: Member, target: Path, called: str, limit: int) -> None:
    """Write a member's content; sizes that archives name may be wrong, so what comes out is counted."""
    written = 0
    with member.open() as stream, target.open("wb") as out:
        while chunk := stream.read(CHUNK):
            written += len(chunk)
            if written > limit:
                raise InputError(_too_large(called, limit))
            out.write(chunk)


def _within(limit: int, table: Path, kind: Kind, called: str) -> Path:
    """Hold what a workbook unpacks to, which its reader does in memory, to the limit."""
    if kind.name == "xlsx":
        with zipfile.ZipFile(table) as book:
            if sum(info.file_size for info in book.infolist()) > limit:
                raise InputError(_too_large(called, limit))
    return table


def _too_large(called: str, limit: int) -> str:
    return f"{called} unpacks to more than {limit / 1e6:,.0f} MB; LIMIT=<MB> allows more when that is what it should be"
