from pathlib import Path

import pytest

from onebutton_contracts.compatibility import needs_major
from onebutton_contracts.contract import Contract, contract_of


def changed(contract_file: Path, *replacements: tuple[str, str]) -> Contract:
    """The contract of the flights, edited."""
    text = contract_file.read_text(encoding="utf-8")
    for said, instead in replacements:
        assert said in text
        text = text.replace(said, instead, 1)
    return contract_of(text, contract_file)


BREAKING = [
    ("name: pilot", "name: captain", "column pilot is gone"),
    (
        "name: time_hour, logicalType: timestamp",
        "name: time_hour, logicalType: date",
        "time_hour was timestamp, it is date",
    ),
    ("value: miles", "value: km", "column distance was in miles, it is in km"),
    ("logicalType: timestamp, required: true", "logicalType: timestamp", "column time_hour may now be missing"),
    ("maximum: 12000", "maximum: 13000", "column distance may now lie outside its old range"),
    ("minimum: 1, ", "", "column distance may now lie outside its old range"),
    ("[EWR, JFK, LGA]", "[EWR, JFK, LGA, SWF]", "column origin may now hold SWF"),
    ("^[A-Z]", "^[A-z]", "column pilot has another pattern"),
    ("maxLength: 20", "maxLength: 30", "column pilot may now be longer or shorter than before"),
    ("mustBeLessOrEqualTo: 70", "mustBeLessOrEqualTo: 80", "column pilot may now be missing more often"),
    ("distance < 100", "distance < 10", "the rule 'no flight to where it is' no longer holds"),
    (
        "primaryKeyPosition: 2",
        "primaryKeyPosition: 1",
        "the primary key was (flight, carrier), it is (carrier, flight)",
    ),
    (
        "time_hour, logicalType",
        "time_hour, classification: personal, logicalType",
        "column time_hour is now personal data",
    ),
]


@pytest.mark.parametrize(("said", "instead", "words"), BREAKING)
def test_what_takes_a_promise_from_readers_is_named(
    contract: Contract, contract_file: Path, said: str, instead: str, words: str
) -> None:
    edits = [(said, instead)]
    if said == "primaryKeyPosition: 2":
        edits = [("primaryKeyPosition: 1", "primaryKeyPosition: 9"), (said, instead), ("Position: 9", "Position: 2")]
    if "logicalType: date" in instead:
        edits.append(("value: 2013-01-01T10:00", "value: 2013-01-01"))
    (found,) = needs_major(contract, changed(contract_file, *edits))
    assert words in found


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("maximum: 12000", "maximum: 6000"),
        ("[EWR, JFK, LGA]", "[EWR, JFK]"),
        ("name: origin\n", "name: origin\n        required: true\n"),
        ("    properties:\n", "    properties:\n      - {name: gate, logicalType: string}\n"),
        ("description: from airport to airport", "description: as the crow flies"),
        ("mustBeLessOrEqualTo: 70", "mustBeLessOrEqualTo: 50"),
        ("team: {name: the flight team}", "team: {name: another team}"),
    ],
)
def test_a_promise_that_became_stronger_breaks_no_reader(
    contract: Contract, contract_file: Path, said: str, instead: str
) -> None:
    assert needs_major(contract, changed(contract_file, (said, instead))) == []


def test_a_new_major_version_may_break_readers_and_a_minor_one_may_not(contract: Contract, contract_file: Path) -> None:
    edit = ("value: miles", "value: km")
    assert needs_major(contract, changed(contract_file, edit, ("version: 1.2.0", "version: 2.0.0"))) == []
    assert needs_major(contract, changed(contract_file, edit, ("version: 1.2.0", "version: 1.3.0"))) != []
