"""Take the one table out of an archive, after a look at everything in it: nothing is unpacked by the archive's own paths."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from onebutton_contracts.errors import InputError
from onebutton_contracts.intake.sniffing import is_pickle, sniff

TABLE_SUFFIXES = {".csv", ".jsonl", ".ndjson", ".parquet", ".tsv"}
MOST_MEMBERS = 10_000
CHUNK = 1 << 20
DAMAGED = (EOFError, NotImplementedError, OSError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Member:
    """Something in an archive.

    Attributes:
        name: its path inside.
        size: bytes when unpacked.
        is_file: whether it is an ordinary file; a folder is none.
        fault: what it is that may not be taken in, such as `a link`; empty when nothing.
        open: gives its content.
    """

    name: str
    size: int
    is_file: bool
    fault: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def unpack(path: Path, called: str, folder: Path, limit: int) -> tuple[Path, str]:
    """Return the table that a file is or holds.

    Args:
        path: a table, or a zip, tar or gz of one.
        called: what messages call it.
        folder: where an unpacked table goes.
        limit: most bytes that everything in the archive may have.

    Returns:
        The table's file, and what it is called.

    Raises:
        InputError: the archive is damaged or too large, or holds a pickle, a link, a path that leads out, or not one table.
    """
    kind = sniff(path, called)
    if kind.is_table:
        return path, called
    target = folder / "table"
    try:
        match kind.name:
            case "zip":
                with zipfile.ZipFile(path) as archive:
                    member = _the_table(_of_zip(archive), called, limit)
                    _copy(member, target, called, limit)
            case "tar":
                with tarfile.open(path) as archive:
                    member = _the_table(_of_tar(archive, called, limit), called, limit)
                    _copy(member, target, called, limit)
            case _:
                name = called.removesuffix(".gz")
                member = Member(name, 0, is_file=True, fault="", open=partial(_gunzip, path))
                _copy(member, target, called, limit)
    except DAMAGED as error:
        message = f"{called} cannot be unpacked: {' '.join(str(error).split()) or type(error).__name__}"
        raise InputError(message) from None
    if not sniff(target, member.name).is_table:
        message = f"{called} holds the archive {member.name}: take in what is inside it"
        raise InputError(message)
    return target, member.name


def _of_zip(archive: zipfile.ZipFile) -> list[Member]:
    def member(info: zipfile.ZipInfo) -> Member:
        mode = info.external_attr >> 16
        special = bool(stat.S_IFMT(mode)) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
        fault = "a link" if stat.S_ISLNK(mode) else "a device" if special else ""
        if info.flag_bits & 1:
            fault = "locked by a password"
        return Member(info.filename, info.file_size, not info.is_dir(), fault, lambda: archive.open(info))

    return [member(info) for info in archive.infolist()]


def _of_tar(archive: tarfile.TarFile, called: str, limit: int) -> list[Member]:
    """List the members; each is read past, so their sizes are held to the limit on the way."""
    members: list[Member] = []
    total = 0
    for info in archive:
        total += info.size
        if total > limit or len(members) > MOST_MEMBERS:
            raise InputError(_too_large(called, limit))
        fault = "a link" if info.issym() or info.islnk() else "" if info.isfile() or info.isdir() else "a device"
        members.append(Member(info.name, info.size, info.isfile(), fault, partial(_stream, archive, info)))
    return members


def _gunzip(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path))


def _stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        message = f"{info.name} has no content"
        raise tarfile.TarError(message)
    return stream


def _the_table(members: list[Member], called: str, limit: int) -> Member:
    """Hold every member to the rules, and return the one that is a table."""
    if len(members) > MOST_MEMBERS or sum(member.size for member in members) > limit:
        raise InputError(_too_large(called, limit))
    if any(member.name == "[Content_Types].xml" for member in members):
        message = f"{called} is an Office document: save its sheet as CSV"
        raise InputError(message)
    for member in members:
        if fault := _fault(member):
            message = (
                f"{called} holds {member.name!r}, {fault}; nothing was unpacked. "
                "Ask its owner for an archive of the table alone"
            )
            raise InputError(message)
    tables = [member for member in members if member.is_file and _is_table(member.name)]
    if len(tables) != 1:
        names = ", ".join(member.name for member in tables[:5]) or "none"
        message = f"{called} must hold one table ({', '.join(sorted(TABLE_SUFFIXES))}), it holds {len(tables)}: {names}"
        raise InputError(message)
    return tables[0]


def _fault(member: Member) -> str:
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if ".." in parts or member.name.startswith(("/", "\\")) or member.name[1:2] == ":":
        return "a path that leads out of the archive"
    if member.fault or not member.is_file:
        return member.fault
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


def _too_large(called: str, limit: int) -> str:
    return f"{called} unpacks to more than {limit / 1e6:,.0f} MB; LIMIT=<MB> allows more when that is what it should be"
