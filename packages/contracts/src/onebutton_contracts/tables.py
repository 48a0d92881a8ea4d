"""Write a table that keeps its contract to parquet, and read it back as what it says it is.

The file's own metadata carry the contract's name and version, so a reader knows what it holds without the contract beside it.
"""

import os
from dataclasses import replace
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.terms import Column, Contract
from onebutton_contracts.validation import validate

NAME_KEY, VERSION_KEY = "onebutton.contract", "onebutton.contract.version"
SPLIT, HOLDOUT = "split", "holdout"  # the column that says where a row belongs, and the rows that training never sees


def write_parquet(frame: pl.DataFrame, path: Path, contract: Contract) -> None:
    """Write a table whole or not at all, its columns in the contract's order.

    The bytes depend on the rows alone: not on the day, nor on the number of threads that made the frame.

    Raises:
        InputError: the rows break the contract; nothing was written.
    """
    _write(validate(frame, contract).select(contract.column_names), path, contract)


def write_split(frame: pl.DataFrame, contract: Contract, folder: Path = Path("data")) -> None:
    """Write `train.parquet`, whose column `split` says fit or tune, and `holdout.parquet`, which training never sees.

    The contract, which says nothing of `split`, is held on all rows together, so that a key stands once in both files.

    Raises:
        InputError: the rows break the contract, or one of the files would be empty; nothing was written.
    """
    where = Column(SPLIT, "string", required=True, allowed=("fit", "tune", HOLDOUT))
    with_split = replace(contract, columns=(*contract.columns, where))
    good = validate(frame, with_split).select(with_split.column_names)
    held_out = good.filter(pl.col(SPLIT) == HOLDOUT).drop(SPLIT)
    known = good.filter(pl.col(SPLIT) != HOLDOUT)
    sizes = f"{known.height:,} rows to train on and {held_out.height:,} in the holdout"
    require(known.height and held_out.height, f"{contract.name}: {sizes}; each needs some")
    _write(known, folder / "train.parquet", with_split)
    _write(held_out, folder / f"{HOLDOUT}.parquet", contract)


def _write(frame: pl.DataFrame, path: Path, contract: Contract) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # As one piece: else the bytes depend on the threads.
        frame.rechunk().write_parquet(draft, metadata={NAME_KEY: contract.name, VERSION_KEY: contract.version})
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def scan_parquet(path: Path, name: str = "", major: int = 0) -> pl.LazyFrame:
    """Read a table lazily, after a look at the contract that it says it keeps: any where no name is given.

    Raises:
        InputError: the file is missing or damaged, or holds another table or another major version of it.
    """
    try:
        facts = pl.read_parquet_metadata(path)
    except FileNotFoundError:
        raise InputError(f"{path} is not here. `make run` makes it") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}. `make run` makes it again") from None
    found, version = facts.get(NAME_KEY, "of no contract"), facts.get(VERSION_KEY, "")
    words = "When the contract has a new major version, look at what changed, then mend the reader"
    message = f"{path} is {f'{found} {version}'.strip()}, this reader was written for {name} {major}.x. {words}"
    require(not name or (found, version.split(".")[0]) == (name, str(major)), message)
    return pl.scan_parquet(path)


def read_parquet(path: Path, name: str = "", major: int = 0) -> pl.DataFrame:
    """Read a table whole; see `scan_parquet`."""
    return scan_parquet(path, name, major).collect()
