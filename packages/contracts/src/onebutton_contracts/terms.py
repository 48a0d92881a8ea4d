"""The terms of a contract: what one table must be, who answers for it, and where it comes from."""

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

Limit = int | float | date | datetime


@dataclass(frozen=True)
class Column:
    """One column: its type, unit and the values that it may hold."""

    name: str
    logical_type: str  # boolean, date, integer, number, string or timestamp, which is an instant in UTC
    required: bool = False
    unit: str = ""  # for people, such as `miles`; of the limits, too
    description: str = ""
    minimum: Limit | None = None
    maximum: Limit | None = None
    allowed: tuple[str | int, ...] = ()  # the values allowed; empty when any is
    classification: str = "internal"  # public, internal or personal; values of a personal column are never shown
    unique: bool = False
    pattern: str = ""  # regular expression that a text must match; empty when any will do
    min_length: int | None = None  # fewest characters of a text
    max_length: int | None = None
    null_percent: float | None = None  # largest share of nulls, in percent; None when any share will do


@dataclass(frozen=True)
class RowRule:
    """A rule over several columns of a row."""

    name: str
    condition: str  # in SQL, true for a row that breaks the rule
    words: str  # what must hold, for people


@dataclass(frozen=True)
class Freshness:
    """The instant that the newest value of a date or timestamp must reach: an age in days would not hold tomorrow."""

    column: str
    until: datetime


@dataclass(frozen=True)
class Contract:
    """What one table must be, who answers for it, and where it comes from."""

    path: Path
    name: str
    version: str  # `major.minor.patch`; a new major version is one that readers must look at
    owner: str  # whom to ask
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()  # the columns that together name a row; empty when nothing does
    minimum_rows: int = 0  # fewer rows than this are refused
    row_rules: tuple[RowRule, ...] = ()
    freshness: Freshness | None = None
    # Further facts by name, such as `sourceFile`, `sourceSha256` and `sourceLicense`.
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def column_names(self) -> list[str]:
        """The columns in the order of the file."""
        return [column.name for column in self.columns]

    @property
    def major(self) -> int:
        """The first number of the version: readers are written for one."""
        return int(self.version.split(".")[0])

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return next(column for column in self.columns if column.name == name)
