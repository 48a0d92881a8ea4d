from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from onebutton_contracts.contract import Column, Contract, load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Freshness
from onebutton_contracts.validation import validate

if TYPE_CHECKING:
    import polars as pl


def refusal(folder: Path, text: str) -> str:
    """Write a contract and return why it is refused."""
    file = folder / "broken.odcs.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_contract(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message


def test_a_contract_says_what_its_file_says(contract: Contract) -> None:
    assert (contract.name, contract.version, contract.major) == ("flights", "1.2.0", 1)
    assert contract.owner == "the flight team"
    assert contract.properties["sourceLicense"] == "CC0-1.0"
    assert contract.column_names == ["carrier", "flight", "origin", "distance", "time_hour", "pilot"]
    assert contract.minimum_rows == 2
    assert contract.properties["sourceFile"] == "oldflights/data/flights.csv"
    assert contract.columns[2] == Column("origin", "string", allowed=("EWR", "JFK", "LGA"), classification="public")
    distance = Column("distance", "number", True, "miles", "from airport to airport", 1, 12000, classification="public")
    assert contract.columns[3] == distance
    assert contract.column("pilot").classification == "personal"
    assert contract.column("pilot").null_percent == 70
    assert contract.row_rules[0].condition == "origin = 'JFK' AND distance < 100"
    assert contract.freshness == Freshness("time_hour", datetime(2013, 1, 1, 10, tzinfo=UTC))


def test_the_primary_key_comes_in_the_order_of_its_positions(contract: Contract) -> None:
    assert contract.primary_key == ("flight", "carrier")


def test_a_missing_contract_and_a_folder_in_place_of_one_are_refused_by_the_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.odcs\.yaml cannot be read .*No such file"):
        load_contract(tmp_path / "nowhere.odcs.yaml")
    with pytest.raises(InputError, match=r"cannot be read .*Is a directory"):
        load_contract(tmp_path)


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    assert "not YAML: " in refusal(tmp_path, "schema: [")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.odcs.yaml"
    file.write_bytes("team: {name: Köln}".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.odcs.yaml cannot be read .*utf-8"):
        load_contract(file)


def test_two_tables_in_one_contract_are_refused(tmp_path: Path, contract_file: Path) -> None:
    content = yaml.safe_load(contract_file.read_text(encoding="utf-8"))
    content["schema"] *= 2
    assert "schema: list should have at most 1 item" in refusal(tmp_path, yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("said", "instead", "refused_with"),
    [
        (
            "required: true}",
            "mandatory: true}",
            "schema.flights.properties.time_hour.mandatory: would not be checked, so it may not be said",
        ),
        ("team: {name", "teem: {name", "team: missing; teem: would not be checked"),
        ("maximum: 12000", "largest: 12000", "distance.logicalTypeOptions.largest: would not be checked"),
        (
            "{metric: rowCount",
            "{metrik: rowCount",
            "schema.flights.quality.0.metric: missing; schema.flights.quality.0.metrik: ",
        ),
        (
            "logicalType: timestamp",
            "logicalType: datetime",
            "schema.flights.properties.time_hour: input tag 'datetime' found using",
        ),
        ("version: 1.2.0", "", "version: missing"),
        ("id: flights\n", "", "id: missing"),
        ("required: true}", 'required: "no"}', "time_hour.required: "),
        ("minimum: 1,", "minimum: one,", "distance.logicalTypeOptions.minimum: "),
        ("primaryKeyPosition: 1", 'primaryKeyPosition: "1"', "properties.flight.primaryKeyPosition: "),
        (
            "mustBeGreaterOrEqualTo: 2",
            "mustBeGreaterOrEqualTo: many",
            "quality.0.mustBeGreaterOrEqualTo: input should be ",
        ),
        ("logicalType: number", "logicalType: string", "distance.logicalTypeOptions.minimum: would not be checked"),
    ],
)
def test_what_breaks_the_standard_is_named_with_its_place(
    tmp_path: Path, contract_file: Path, said: str, instead: str, refused_with: str
) -> None:
    text = contract_file.read_text(encoding="utf-8")
    assert said in text
    assert refused_with in refusal(tmp_path, text.replace(said, instead))


@pytest.mark.parametrize(
    ("said", "instead", "refused_with"),
    [
        ("logicalType: timestamp", "logicalType: time", "time_hour: input tag 'time' found using"),
        ("team: {name: the flight team}", "team: {}", "team.name: missing"),
        ("version: 1.2.0", "version: 1.2", "version: input should be a valid string"),
        ("version: 1.2.0", "version: spring", "version: string should match pattern"),
        ("name: flight,", "name: carrier,", "column 'carrier' is there twice"),
        ("name: flight,", "name: ^f.*$,", "column '^f.*$': its name would be taken for a pattern"),
        ("minimum: 1,", "minimum: .nan,", "distance.logicalTypeOptions.minimum: input should be a finite number"),
        ("[EWR, JFK, LGA]", "[EWR, true]", "origin.quality.0.arguments.validValues.1: input should be a valid string"),
        ("[EWR, JFK, LGA]", "[EWR, 1]", "validValues.1: input should be a valid string"),
        ("[EWR, JFK, LGA]", "[]", "column 'origin': validValues must be a list of what a string may hold"),
        ("[EWR, JFK, LGA]", "EWR", "origin.quality.0.arguments.validValues: input should be a valid list"),
        ("mustBe: 0, arguments", "mustBe: 5, arguments", "origin.quality.0.mustBe: input should be 0"),
        ('"^[A-Z]"', '"[A-Z"', "column 'pilot': pattern '[A-Z' is no regular expression"),
        (
            "classification: personal",
            "classification: secret",
            "pilot.classification: input should be 'public', 'internal' or 'personal'",
        ),
        ("value: 2013-01-01T10:00", "value: soon", "slaProperties.freshness.value: must be a date or time in ISO 8601"),
        (
            "element: flights.time_hour",
            "element: flights.distance",
            "freshness: element must be one of flights.time_hour",
        ),
        (
            "distance < 100",
            "distanze < 100",
            "the rule 'no flight to where it is': \"origin = 'JFK' AND distanze < 100\"",
        ),
        ("distance < 100", "distance <", "the rule 'no flight to where it is': "),
        ("distance < 100", "distance + 100", "the rule 'no flight to where it is': "),
        (
            "FROM flights WHERE",
            "FROM planes WHERE",
            "the rule 'no flight to where it is': write SELECT COUNT(*) FROM flights",
        ),
        ("COUNT(*)", "AVG(distance)", "the rule 'no flight to where it is': write SELECT COUNT(*) FROM flights WHERE"),
    ],
)
def test_a_mistake_in_a_contract_is_named(
    tmp_path: Path, contract_file: Path, said: str, instead: str, refused_with: str
) -> None:
    text = contract_file.read_text(encoding="utf-8")
    assert said in text
    assert refused_with in refusal(tmp_path, text.replace(said, instead, 1))


@pytest.mark.parametrize(
    ("said", "instead", "refused_with"),
    [
        ("metric: rowCount", "metric: duplicateValues", "flights.quality.0.metric: input should be 'rowCount'"),
        (
            "metric: invalidValues",
            "metric: missingValues",
            "origin.quality.0: input tag 'missingValues' found using 'metric'",
        ),
        ("minimum: 1,", "exclusiveMinimum: 1,", "distance.logicalTypeOptions.exclusiveMinimum: would not be checked"),
        (
            "required: true}",
            "required: true, encryptedName: x}",
            "time_hour.encryptedName: would not be checked",
        ),
        ("property: freshness", "property: retention", "property: input should be 'freshness'"),
        ("value: 2013-01-01T10:00", "value: 3, unit: d", "slaProperties.freshness.unit: would not be checked"),
        (
            "mustBeGreaterOrEqualTo: 2",
            "mustBeGreaterOrEqualTo: 2, severity: info",
            "flights.quality.0.severity: would not be checked",
        ),
    ],
)
def test_a_rule_that_would_not_be_checked_may_not_be_said(
    tmp_path: Path, contract_file: Path, said: str, instead: str, refused_with: str
) -> None:
    text = contract_file.read_text(encoding="utf-8")
    assert said in text
    assert refused_with in refusal(tmp_path, text.replace(said, instead))


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Walk through a tree of mappings and lists: the path of every node below the root."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*above, key)
        yield from places(child, (*above, key))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


# The changes that were drawn are few and named already: to shrink them takes minutes and tells no more.
@settings(max_examples=200, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_whatever_is_changed_in_a_contract_it_is_refused_by_name_or_holds_frames_to_it(
    contract_file: Path, flights: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = yaml.safe_load(contract_file.read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        found = sorted(places(content), key=str)
        if not found:
            break
        *way, last = data.draw(st.sampled_from(found), label="place")
        parent = content
        for key in way:
            parent = parent[key]
        match data.draw(st.sampled_from(["drop", "replace", "swap"]), label="change"):
            case "drop":
                del parent[last]
            case "replace":
                parent[last] = data.draw(ANYTHING, label="value")
            case "swap":  # a value that is right elsewhere
                node = content
                for key in data.draw(st.sampled_from(found), label="source"):
                    node = node[key]
                parent[last] = copy.deepcopy(node)
    file = tmp_path_factory.getbasetemp() / "changed.odcs.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    outcome: pl.DataFrame | str
    try:
        outcome = validate(flights, load_contract(file))
    except InputError as refused:
        outcome = str(refused)
    assert str(file) in outcome if isinstance(outcome, str) else outcome.equals(flights)
