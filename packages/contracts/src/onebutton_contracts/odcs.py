"""What the file of a contract may say: of the Open Data Contract Standard (v3), what is checked here, and facts for people.

https://bitol-io.github.io/open-data-contract-standard/; docs/contracts.md says what each key holds. A rule that would not be
checked reads as if it were, so any other key is refused.
"""
# ruff: noqa: D101  the keys of a part say what it is

from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.alias_generators import to_camel

from onebutton_contracts.parameters import STRICT

# What tells people something and promises nothing of a row; it may stand anywhere.
FOR_PEOPLE = {"id", "name", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "examples"}
FOR_PEOPLE |= {"physicalName", "physicalType", "transformDescription", "dataGranularityDescription", "deprecated"}
FOR_PEOPLE |= {"criticalDataElement", "dimension", "businessImpact", "driver", "vendor", "members", "roles", "support"}
FOR_PEOPLE |= {"status", "tenant", "domain", "dataProduct", "servers", "price", "contractCreatedTs"}


def _instant(said: Any) -> datetime:
    """Read a date or an instant in ISO 8601; without a zone it is UTC."""
    try:
        instant = datetime.fromisoformat(str(said))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a date or time in ISO 8601, such as 2013-12-31, it is {said!r}") from None


KIND = TypeVar("KIND")
OPTIONS = TypeVar("OPTIONS")
VALUE = TypeVar("VALUE")
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Day = Annotated[date, BeforeValidator(lambda said: _instant(said).date())]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Part(BaseModel):
    """A mapping in the file: its keys and no other, but those for people."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, **STRICT)

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, said: Any) -> Any:
        if not isinstance(said, dict):
            return said
        known = {field.alias for field in cls.model_fields.values()}
        return {key: value for key, value in said.items() if key in known or key not in FOR_PEOPLE}


class AllowedValues(Part):
    type: Literal["library"] = "library"
    metric: Literal["invalidValues"]
    must_be: Literal[0]
    arguments: dict[Literal["validValues"], list[Whole] | list[str]]


class MissingShare(Part):
    type: Literal["library"] = "library"
    metric: Literal["nullValues"]
    must_be_less_or_equal_to: Annotated[float, Field(ge=0, le=100)]
    unit: Literal["percent"]


class RowCount(Part):
    type: Literal["library"] = "library"
    metric: Literal["rowCount"]
    must_be_greater_or_equal_to: NonNegativeInt


class NoRow(Part):
    type: Literal["sql"]
    name: Words
    description: Words
    query: str
    must_be: Literal[0]


class CustomProperty(Part):
    property: str
    value: Any


class Range(Part, Generic[VALUE]):
    minimum: VALUE | None = None
    maximum: VALUE | None = None


class Text(Part):
    pattern: str = ""
    min_length: NonNegativeInt | None = None
    max_length: NonNegativeInt | None = None


class Column(Part, Generic[KIND, OPTIONS]):
    name: str
    logical_type: KIND
    logical_type_options: OPTIONS | None = None
    description: str = ""
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    primary_key_position: int = -1
    classification: Literal["public", "internal", "personal"] | None = None
    quality: list[Annotated[AllowedValues | MissingShare, Field(discriminator="metric")]] = []
    custom_properties: list[CustomProperty] = []


AnyColumn = (
    Column[Literal["boolean"], Part]
    | Column[Literal["date"], Range[Day]]
    | Column[Literal["integer"], Range[Whole]]
    | Column[Literal["number"], Range[Whole | float]]
    | Column[Literal["string"], Text]
    | Column[Literal["timestamp"], Range[Instant]]
)
AnyRule = Annotated[
    Annotated[NoRow, Tag("sql")] | Annotated[RowCount, Tag("library")],
    Discriminator(lambda rule: "sql" if isinstance(rule, dict) and rule.get("type") == "sql" else "library"),
]


class Table(Part):
    name: str
    logical_type: Literal["object"] = "object"
    quality: list[AnyRule] = []
    custom_properties: list[CustomProperty] = []
    properties: Annotated[list[Annotated[AnyColumn, Field(discriminator="logical_type")]], Field(min_length=1)]


class Freshness(Part):
    property: Literal["freshness"]
    value: Instant
    element: str


class Team(Part):
    name: Words  # else nobody would know whom to ask


class Document(Part):
    """The whole file: one table, who answers for it, and how new it must be."""

    api_version: Annotated[str, Field(pattern=r"^v3\.")]
    kind: Literal["DataContract"]
    id: str
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    team: Team
    tables: Annotated[list[Table], Field(alias="schema", min_length=1, max_length=1)]
    sla_properties: Annotated[list[Freshness], Field(max_length=1)] = []
    custom_properties: list[CustomProperty] = []
