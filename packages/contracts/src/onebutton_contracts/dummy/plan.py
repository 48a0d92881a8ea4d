"""What `dummy.yaml` says: which tables of a pipeline have dummy data, and what of them is worth resembling."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from onebutton_contracts.contract import load_contract
from onebutton_contracts.parameters import Parameters
from onebutton_contracts.terms import Contract


class TablePlan(Parameters):
    """One table.

    Attributes:
        file: the real table, relative to the pipeline.
        contract: of the table, relative to the pipeline.
        instant: the timestamp of a row, on the hour.
        zone: where the hours, weekdays and months are those of people.
        series: whether it has one row for each category and hour.
        parent: the table, above this one, that it is joined to by that table's primary key; its values shape those of this one.
        parent_hours_before: how many hours before a row the parent's values are those that shape it.
        categories: columns that are drawn together, as often as they occur together; numbers among them become text.
        target: what the rows are for, in SQL, true or false; categories and times are ranked by how often it is true.
        modelled: numbers to resemble -> how they are read off the real table, in SQL.
        derived: columns of the table -> how they follow from what is above and from `local`, the time in the zone; in SQL, in
            this order.
    """

    file: str
    contract: str
    instant: str
    zone: str
    categories: list[str]
    modelled: dict[str, str]
    series: bool = False
    parent: str = ""
    parent_hours_before: int = 0
    target: str = ""
    derived: dict[str, str] = Field(default_factory=dict)


class Plan(Parameters):
    """The whole file.

    Attributes:
        replaces: the stage that takes the real tables in.
        seed: the same seed, the same rows.
    """

    replaces: str
    seed: int
    tables: dict[str, TablePlan]

    def contracts(self, folder: Path) -> dict[str, Contract]:
        """Read the contract of every table of a pipeline."""
        return {name: load_contract(folder / table.contract) for name, table in self.tables.items()}
