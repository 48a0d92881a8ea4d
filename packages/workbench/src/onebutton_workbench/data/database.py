"""Take a table out of a database: the query is in git, its address in the environment, the answer a snapshot."""

import importlib.util
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import add_groups
from onebutton_workbench.workspace import ROOT

ADDRESS = "DATABASE_URL"  # the variable that many programs read


def snapshot(query: Path, folder: Path) -> Path:
    """Ask a database what a file of SQL asks, and write its answer into a folder as Parquet."""
    address = os.environ.get(ADDRESS, "")
    example = f"such as postgresql://user@host/name: `export {ADDRESS}=...`. It is written nowhere"
    require(address, f"{query.name} asks a database, whose address must be in the variable {ADDRESS}, {example}")
    if not importlib.util.find_spec("connectorx"):
        print("new-pipeline: installing the group database (60 MB)", flush=True)
        add_groups("database", folder=ROOT)
        importlib.invalidate_caches()
    file = folder / f"{query.stem}.parquet"
    os.environ.setdefault("RUST_LOG", "off")  # it would log each try
    try:
        pl.read_database_uri(query.read_text(encoding="utf-8"), address, engine="connectorx").write_parquet(file)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  a driver's panic is no Exception
        why = f"the database that {ADDRESS} names does not answer it: {without_address(str(error), address)}"
        raise InputError(f"{query.name}: {why}") from None
    return file


def without_address(words: str, address: str) -> str:
    """Take an address, and the password in it, out of what a driver says, and make one line of it."""
    password = urlsplit(address).password or ""
    for secret in filter(None, (address, password, unquote(password))):
        words = words.replace(secret, "***")
    return " ".join(words.split())[:300]
