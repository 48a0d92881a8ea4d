"""Take a table into a pipeline: fetched, held to its hash, unpacked, described, tracked. The work of `make data-add`.

What comes in is a stranger's, so nothing is kept until all of it is known, and a refusal leaves no trace.
"""

from __future__ import annotations

import http.client
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_workbench.data.storage import call_dvc
from onebutton_workbench.workspace import ROOT, pipelines, the_pipeline

if TYPE_CHECKING:
    import polars as pl

    from onebutton_contracts.intake.drafting import Origin
    from onebutton_contracts.terms import Contract

CHUNK = 1 << 20
SECONDS = 60  # without an answer
MOST = 1 << 40  # bytes of a snapshot that a person's own query answers
NAME = re.compile(r"[a-z][a-z0-9_]*")
QUERY = "query.sql"  # in a pipeline whose table is of a database
NO_URL = "URL must begin with https:// or http://; of a file here FILE= names the path"
NO_HASH = (
    "SHA256= must be the 64 digits that the publisher of the data names for it; of a file of your own "
    "`sha256sum` prints them. They tell a changed file from the one that you looked at"
)


@dataclass(frozen=True)
class Request:
    """What is to be taken in."""

    source: str  # an address, or the path of a file
    sha256: str  # that the source must have, as hexadecimal text; empty where what is found is written down
    license: str  # as SPDX names it
    name: str
    pipeline: str
    limit: int  # most bytes, of what is fetched and of what is unpacked

    @property
    def is_url(self) -> bool:
        """Whether it must be fetched."""
        return "://" in self.source

    @property
    def public_source(self) -> str:
        """The source as it may stand in git: without password, signature or folders of this machine."""
        parts = urlsplit(self.source)
        address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        return address if self.is_url else self.called

    @property
    def called(self) -> str:
        """The file's own name."""
        return Path(urlsplit(self.source).path if self.is_url else self.source).name or "the file"


def read_request(  # noqa: PLR0913  a table has as many facts
    *, pipeline: str, url: str, file: str, sha256: str, license_: str, name: str, limit: int, root: Path = ROOT
) -> Request:
    """Refuse what could not be taken in, before anything is fetched; the values are those of the button, `limit` in MB.

    Raises:
        InputError: a value is missing or wrong, or the pipeline has a table of that name.
    """
    known = ", ".join(pipelines(root)) or "(none yet)"
    for good, message in (
        (
            pipeline,
            f"PIPELINE= says which pipeline takes the table in: {known}. `make new-pipeline FROM=` writes one around it",
        ),
        (bool(url) != bool(file), "say where the table is: URL=https://... or FILE=path, one of them"),
        (not url or url.startswith(("https://", "http://")), NO_URL),
        (limit >= 1, f"LIMIT must be a whole number of MB from 1 on, it is {limit}"),
        (re.fullmatch(r"[0-9a-fA-F]{64}", sha256), NO_HASH),
        (NAME.fullmatch(name), f"NAME= must be a name in small letters, such as weather, it is {name!r}"),
    ):
        if not good:
            raise InputError(message)
    the_pipeline(pipeline, root)
    request = Request(url or file, sha256.lower(), license_of(license_), name, pipeline, limit * 10**6)
    for path in written(request, root):
        if path.exists():
            message = f"{path.relative_to(root)} is there already; choose another NAME, or remove it first"
            raise InputError(message)
    return request


def license_of(text: str) -> str:
    """Read a licence as SPDX names it.

    Raises:
        InputError: it is missing, or SPDX knows none of that name.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        message = (
            "LICENSE= must say under which licence the data may be used, as SPDX names it, such as CC-BY-4.0 "
            f"(https://spdx.org/licenses), or LicenseRef-internal for data of your own; it is {text!r}"
        )
        raise InputError(message) from None


def written(request: Request, root: Path) -> tuple[Path, Path, Path]:
    """Name the files that taking a table in writes: its contract, the table, and what DVC says of it."""
    folder = root / "pipelines" / request.pipeline
    table = folder / "data" / f"{request.name}.parquet"
    return folder / "contracts" / f"{request.name}.odcs.yaml", table, table.with_name(f"{table.name}.dvc")


def fetch(request: Request, target: Path) -> str:
    """Copy the source to a file, hold it to its limit and its hash, and return the hash."""
    source, size = request.public_source, 0
    try:
        with _opened(request) as stream, target.open("wb") as out:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                if size > request.limit:
                    message = (
                        f"{source} has more than {request.limit / 1e6:,.0f} MB, so it was not taken in; "
                        "LIMIT=<MB> allows more when that is what it should be"
                    )
                    raise InputError(message)
                out.write(chunk)
            if left := getattr(stream, "length", 0):
                message = f"the connection was cut {left:,} bytes early"
                raise ConnectionError(message)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        message = f"{source} answers {error.code} {error.reason}; nothing was taken in"
        raise InputError(message) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        message = f"{source} cannot be read: {reason}; nothing was taken in"
        raise InputError(message) from None
    found = sha256(target)
    if request.sha256 and found != request.sha256:
        message = (
            f"{source} has the SHA-256 {found}, not {request.sha256[:12]}… as you said: "
            "it is another file, so it was not taken in. Ask the publisher of the data which is right"
        )
        raise InputError(message)
    return found


def _opened(request: Request) -> Any:
    if not request.is_url:
        return Path(request.source).expanduser().open("rb")
    return urllib.request.urlopen(request.source, timeout=SECONDS)  # noqa: S310  the scheme is known


def data_add(request: Request, root: Path = ROOT) -> None:
    """Take a table in, whole or not at all, and say what a person should know of it and do next.

    Raises:
        InputError: the file cannot be had, it or its table is not what can be taken in, or DVC refuses.
    """
    taken = read(request)
    try:
        contract = keep(taken, request, root)
    except BaseException:
        for path in written(request, root):
            path.unlink(missing_ok=True)
        raise
    for note in (taken.words, *taken.notes):
        print(f"data-add: {note}")
    if personal := ", ".join(column.name for column in contract.columns if column.classification == "personal"):
        print(f"data-add: personal data in {personal}: may this pipeline have it? Other columns may hold names, too")
    print(f"data-add: key, as guessed: {', '.join(contract.primary_key) or 'none'}")
    file, table, tracked = (path.relative_to(root).as_posix() for path in written(request, root))
    print(f"data-add: {table} is tracked. Read {file}: each guess in it is yours to decide")
    print(f"data-add: Next: git add {file} {tracked} {Path(table).parent.as_posix()}/.gitignore")


def fetch_again(pipeline: str, root: Path = ROOT) -> None:
    """Ask the query of a pipeline anew, and keep the answer in place of its table.

    Raises:
        InputError: the pipeline has no query, the database refuses, or the answer breaks the contract of the table.
    """
    import polars as pl

    from onebutton_contracts.contract import load_contract
    from onebutton_contracts.frames import polars_schema
    from onebutton_contracts.tables import write_parquet
    from onebutton_workbench.data.database import snapshot

    folder = root / "pipelines" / the_pipeline(pipeline, root)
    query, contract = folder / QUERY, load_contract(folder / "contracts/table.odcs.yaml")
    if not query.is_file():
        message = f"{pipeline} has no {QUERY}: AGAIN=1 is for a pipeline that `make new-pipeline FROM=query.sql` wrote"
        raise InputError(message)
    with tempfile.TemporaryDirectory(prefix="onebutton-") as scratch:
        file = Path(scratch) / "table.parquet"
        snapshot(query, file)
        taken = read(Request(str(file), "", "", "table", pipeline, MOST))
    if list(taken.frame.columns) != list(contract.column_names):
        message = (
            f"{QUERY} answers {', '.join(taken.frame.columns)}, {contract.path} has {', '.join(contract.column_names)}"
        )
        raise InputError(message)
    write_parquet(taken.frame.cast(pl.Schema(polars_schema(contract.columns))), folder / "data/table.parquet", contract)
    _track(folder / "data/table.parquet", root)
    for name in ("table", "rows"):
        text = (folder / f"contracts/{name}.odcs.yaml").read_text(encoding="utf-8")
        now = re.sub(r"(property: sourceSha256\n\s+value: )\S+", rf"\g<1>{taken.origin.sha256}", text)
        (folder / f"contracts/{name}.odcs.yaml").write_text(now, encoding="utf-8")
    print(
        f"data-add: {taken.frame.height:,} rows of {QUERY} are the table of {pipeline} now. Next: make run PIPELINE={pipeline}"
    )


@dataclass(frozen=True)
class Taken:
    """A table that was read and is not kept yet."""

    frame: pl.DataFrame
    guesses: Mapping[str, str]  # by column, what had to be assumed
    notes: tuple[str, ...]
    origin: Origin

    @property
    def words(self) -> str:
        """Its size and its name."""
        return f"{self.frame.height:,} rows and {self.frame.width} columns of {self.origin.file}"


def read(request: Request) -> Taken:
    """Fetch a table, hold it to its hash, unpack and parse it.

    Raises:
        InputError: the file cannot be had, or it or its table is not what can be taken in.
    """
    from onebutton_contracts.intake.archives import unpack
    from onebutton_contracts.intake.drafting import Origin
    from onebutton_contracts.intake.parsing import parse
    from onebutton_contracts.intake.sniffing import sniff

    with tempfile.TemporaryDirectory(prefix="onebutton-") as folder:
        fetched = Path(folder) / "fetched"
        digest = fetch(request, fetched)
        file, inside = unpack(fetched, request.called, Path(folder), request.limit)
        parsed = parse(file, sniff(file, inside), inside)
    origin = Origin(request.name, request.pipeline, request.public_source, inside, digest, request.license)
    return Taken(parsed.frame, parsed.guesses, parsed.notes, origin)


def keep(taken: Taken, request: Request, root: Path) -> Contract:
    """Write the drafted contract and the table, and let DVC track it; the caller takes back what a failure leaves.

    Raises:
        InputError: DVC refuses.
    """
    from onebutton_contracts.contract import contract_of
    from onebutton_contracts.intake.drafting import draft
    from onebutton_contracts.tables import write_parquet

    contract_file, table, _ = written(request, root)
    text = draft(taken.frame, taken.origin, taken.guesses)
    contract = contract_of(text, contract_file.relative_to(root))
    write_parquet(taken.frame, table, contract)
    contract_file.parent.mkdir(exist_ok=True)
    contract_file.write_text(text, encoding="utf-8")
    _track(table, root)
    return contract


def _track(table: Path, root: Path) -> None:
    name = table.relative_to(root).as_posix()
    done = call_dvc("add", "--quiet", name, root=root)
    if done.returncode:
        message = f"DVC does not track {name}: {' '.join(done.stderr.split())}"
        raise InputError(message)
