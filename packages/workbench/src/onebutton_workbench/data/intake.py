"""Take a table into a pipeline: held to its hash, described, tracked. The work of `make data-add`.

What comes in is a stranger's, so nothing is kept until all of it is known, and a refusal leaves no trace.
"""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from onebutton_contracts.contract import contract_of, load_contract
from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.intake.drafting import Origin, draft
from onebutton_contracts.intake.parsing import Parsed, parse
from onebutton_contracts.sources import sha256 as hash_of
from onebutton_contracts.tables import write_parquet
from onebutton_contracts.terms import Contract
from onebutton_workbench.data.database import snapshot
from onebutton_workbench.data.storage import call_dvc
from onebutton_workbench.workspace import ROOT, pipelines, the_pipeline

QUERY = "query.sql"  # in a pipeline whose table is of a database
NO_FILE = "FILE= names the table, a file here: download it first, and unpack it where it is in an archive"
NO_HASH = (
    "SHA256= must be the 64 digits that the publisher of the data names for it; of a file of your own "
    "`sha256sum` prints them. They tell a changed file from the one that you looked at"
)


def data_add(  # noqa: PLR0913  a table has as many facts
    root: Path = ROOT,
    *,
    pipeline: str = "",
    file: str = "",
    sha256: str = "",
    license_: str = "",
    name: str = "",
    again: bool = False,
) -> None:
    """Take a table in, whole or not at all, and say what a person should know of it; or ask the query of a pipeline anew."""
    if again:
        fetch_again(pipeline, root)
        return
    which = f"PIPELINE= says which pipeline takes the table in: {', '.join(pipelines(root)) or '(none yet)'}"
    require(pipeline, f"{which}. `make new-pipeline FROM=` writes one around it")
    require(file, NO_FILE)
    require(re.fullmatch(r"[0-9a-fA-F]{64}", sha256), NO_HASH)
    require(re.fullmatch("[a-z][a-z0-9_]*", name), f"NAME= must be a name in small letters, it is {name!r}")
    paths = written(root / "pipelines" / the_pipeline(pipeline, root), name)
    text, data, tracked = (path.relative_to(root).as_posix() for path in paths)
    there = ", ".join(path for path in (text, data, tracked) if (root / path).exists())
    require(not there, f"{there} is there already; choose another NAME, or remove it first")
    table, origin = read(Path(file), name, pipeline, license_of(license_), sha256.lower())
    try:
        contract = keep(table, origin, root)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    for note in table.notes:
        print(f"data-add: {note}")
    if personal := ", ".join(column.name for column in contract.columns if column.classification == "personal"):
        print(f"data-add: personal data in {personal}: may this pipeline have it? Other columns may hold names, too")
    print(f"data-add: key, as guessed: {', '.join(contract.primary_key) or 'none'}")
    print(f"data-add: {data} is tracked. Read {text}: each guess in it is yours to decide")
    print(f"data-add: Next: git add {text} {tracked} {Path(data).parent.as_posix()}/.gitignore")


def license_of(text: str) -> str:
    """Read a licence as SPDX names it."""
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        raise InputError(
            "LICENSE= must say under which licence the data may be used, as SPDX names it, such as CC-BY-4.0 "
            f"(https://spdx.org/licenses), or LicenseRef-internal for data of your own; it is {text!r}"
        ) from None


def written(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Name the files of a table in the folder of its pipeline: its contract, the table, and what DVC says of it."""
    table = folder / "data" / f"{name}.parquet"
    return folder / "contracts" / f"{name}.odcs.yaml", table, table.with_name(f"{table.name}.dvc")


def read(path: Path, name: str, pipeline: str, license_: str, digest: str = "") -> tuple[Parsed, Origin]:
    """Hold a file to its hash, where one is known, and parse its table; of a query in SQL the answer of the database."""
    with tempfile.TemporaryDirectory(prefix="onebutton-") as scratch:
        path = path.expanduser()
        if path.suffix == ".sql":
            path = snapshot(path, Path(scratch))
        missing = f"{path.name} cannot be read: No such file or directory; nothing was taken in. {NO_FILE}"
        require(path.is_file(), missing)
        found = hash_of(path)
        another = f"{path.name} has the SHA-256 {found}, not {digest[:12]}… as you said: it is another file, so it was"
        require(digest in {"", found}, f"{another} not taken in. Ask the publisher of the data which is right")
        parsed = parse(path)
    size = f"{parsed.frame.height:,} rows and {parsed.frame.width} columns of {path.name}"
    origin = Origin(name, pipeline, path.name, path.name, found, license_)
    return replace(parsed, notes=(size, *parsed.notes)), origin


def keep(table: Parsed, origin: Origin, root: Path) -> Contract:
    """Write the drafted contract and the table, and let DVC track it; the caller takes back what a failure leaves."""
    contract_file, data, _ = written(root / "pipelines" / origin.pipeline, origin.name)
    text = draft(table.frame, origin, table.guesses)
    contract = contract_of(text, contract_file.relative_to(root))
    write_parquet(table.frame, data, contract)
    contract_file.parent.mkdir(exist_ok=True)
    contract_file.write_text(text, encoding="utf-8")
    track(data, root)
    return contract


def track(table: Path, root: Path) -> None:
    """Let DVC track a file, or refuse in its words."""
    name = table.relative_to(root).as_posix()
    done = call_dvc("add", "--quiet", name, root=root)
    require(not done.returncode, f"DVC does not track {name}: {' '.join(done.stderr.split())}")


def fetch_again(pipeline: str, root: Path) -> None:
    """Ask the query of a pipeline anew, and keep the answer in place of its table."""
    folder = root / "pipelines" / the_pipeline(pipeline, root)
    no_query = f"{pipeline} has no {QUERY}: AGAIN=1 is for a pipeline that `make new-pipeline FROM=query.sql` wrote"
    require((folder / QUERY).is_file(), no_query)
    contract_file, data, _ = written(folder, "table")
    contract = load_contract(contract_file)
    table, origin = read(folder / QUERY, "table", pipeline, "")
    there, wanted = ", ".join(table.frame.columns), ", ".join(contract.column_names)
    require(there == wanted, f"{QUERY} answers {there}, {contract.path} has {wanted}")
    write_parquet(table.frame.cast(pl.Schema(polars_schema(contract.columns))), data, contract)
    track(data, root)
    for file in (contract_file, folder / "contracts/rows.odcs.yaml"):
        text = file.read_text(encoding="utf-8")
        now = re.sub(r"(property: sourceSha256\n\s+value: )\S+", rf"\g<1>{origin.sha256}", text)
        file.write_text(now, encoding="utf-8")
    rows = f"{table.frame.height:,} rows of {QUERY} are the table of {pipeline} now"
    print(f"data-add: {rows}. Next: make run PIPELINE={pipeline}")
