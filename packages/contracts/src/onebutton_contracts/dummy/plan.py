"""Read `dummy.yaml`: which tables of a pipeline have dummy data, and what of them is worth resembling."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
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
        parent: the table that it is joined to by that table's primary key; its values shape those of this one.
        parent_hours_before: how many hours before a row the parent's values are those that shape it.
        categories: columns of text that are drawn together, as often as they occur together.
        target: what the rows are for, in SQL, true or false; categories and times are ranked by how often it is true.
        lookups: numbers that the categories decide, such as the distance of a route.
        modelled: numbers to resemble -> how they are read off the real table, in SQL.
        derived: columns of the table -> how they follow from what is above and from `local`, the time in the zone; in SQL, in
            this order.
    """

    file: str
    contract: str
    instant: str
    zone: str
    modelled: dict[str, str]
    series: bool = False
    parent: str = ""
    parent_hours_before: int = 0
    categories: list[str] = Field(default_factory=list)
    target: str = ""
    lookups: list[str] = Field(default_factory=list)
    derived: dict[str, str] = Field(default_factory=dict)


class FidelityPlan(Parameters):
    """How the dummy data is judged: on a table that the pipeline makes of it.

    Attributes:
        stage: which makes the table.
        files: the table, in one file or in several, relative to the pipeline.
        contract: of the table.
        target: the column to predict, 0 or 1.
        inputs: the columns to predict it from.
        split: the column that says where a row belongs.
        train: its values in training.
        test: its values in the test.
    """

    stage: str
    files: list[str]
    contract: str
    target: str
    inputs: list[str]
    split: str
    train: list[int]
    test: list[int]


class Plan(Parameters):
    """The whole file.

    Attributes:
        replaces: the stage that takes the real tables in.
        tables: in an order in which parents come first.
        seed: the same seed, the same rows.
    """

    replaces: str
    seed: int
    tables: dict[str, TablePlan]
    fidelity: FidelityPlan


def load_plan(folder: Path) -> Plan:
    """Read the plan of a pipeline.

    Raises:
        InputError: there is none, or it says what cannot be.
    """
    file = folder / "dummy.yaml"
    if not file.is_file():
        message = f"{file} is not here: it says which tables have dummy data; docs/dummy-data.md shows how to write it"
        raise InputError(message)
    plan = Plan.load(file)
    names = list(plan.tables)
    for at, (name, table) in enumerate(plan.tables.items()):
        if table.parent and table.parent not in names[:at]:
            message = f"{file}: tables.{name}: its parent {table.parent!r} must stand above it"
            raise InputError(message)
    return plan


def contracts_of(plan: Plan, folder: Path) -> dict[str, Contract]:
    """Read the contract of every table."""
    return {name: load_contract(folder / table.contract) for name, table in plan.tables.items()}
