"""The flights' own contracts, compiled for the server."""

import json
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_models.scoring import Limits
from onebutton_release.candidate import version_of
from onebutton_release.declared import Declared, compile_schema, declared
from onebutton_serving.schema import read_schema, schema_text

TESTS = Path(__file__).resolve().parent
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: Flights
version: 2.1.0
status: active
team: {{name: the team}}
schema:
  - name: {name}
    logicalType: object
    properties:
{columns}
"""
COLUMNS = {
    "origin": (
        "logicalType: string\n        required: true\n        quality:\n"
        "          - {metric: invalidValues, mustBe: 0, arguments: {validValues: [EWR, JFK, LGA]}}"
    ),
    "distance": "logicalType: number\n        logicalTypeOptions: {minimum: 0, maximum: 6000}",
    "seats": "logicalType: integer\n        required: true\n        classification: personal",
    "paid": "logicalType: boolean\n        required: true",
    "day": "logicalType: date\n        required: true",
    "probability": "logicalType: number\n        required: true\n        logicalTypeOptions: {minimum: 0, maximum: 1}",
}
GATES = """
[judging]
owner = "o"
answer = "late"
prediction = "probability"
metrics = ["auc"]
champion = "auc"
tolerance = 0.01
minimum_rows = 50

[[gates]]
id = "quick"
check = "service"
why = "w"
number = "p95_ms"
at_most = 5
"""
CARD = "\n".join(
    f'{name} = "words"' for name in ("title", "predicts", "owner", "data", "intended", "forbidden", "limits", "people")
)


@pytest.fixture
def one(repo: Path) -> Declared:
    folder = repo / "pipelines/flights"
    columns = "\n".join(f"      - name: {name}\n        {rest}" for name, rest in COLUMNS.items())
    for name in ("features", "predictions"):
        (folder / f"{name}.yaml").write_text(CONTRACT.format(name=name, columns=columns), encoding="utf-8")
    for name, text in (
        ("release.toml", 'inputs = "features.yaml"\noutputs = "predictions.yaml"\n'),
        ("gates.toml", GATES),
        ("card.toml", CARD),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    return declared(folder)


def test_what_a_contract_says_of_a_column_is_what_the_server_checks(one: Declared, tmp_path: Path) -> None:
    takes = {"origin": "string", "distance": "float", "seats": "float", "paid": "float"}
    schema = compile_schema(one, takes)
    (tmp_path / "schema.json").write_text(schema_text(schema), encoding="utf-8")
    assert read_schema(tmp_path) == schema
    origin, distance, seats, paid = schema.inputs
    assert paid.type == "boolean"
    assert (origin.type, origin.allowed, origin.required) == ("string", ("EWR", "JFK", "LGA"), True)
    assert (distance.minimum, distance.maximum, distance.required) == (0, 6000, False)
    assert (seats.type, seats.classification) == ("integer", "personal")
    assert schema.callers_contract == ("features", "2")
    assert "pattern" not in json.loads(schema_text(schema))["inputs"][0]  # what is not said is not written


def test_a_release_of_a_draft_says_so_and_is_another_than_that_of_the_same_results_later(one: Declared) -> None:
    file, folder = one.folder / "pyproject.toml", one.folder
    (folder / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    file.write_text("[tool.onebutton]\ndraft = true\n", encoding="utf-8")
    draft = version_of(folder)
    assert compile_schema(declared(folder), {"distance": "float"}).draft
    file.write_text("[tool.onebutton]\n", encoding="utf-8")
    assert version_of(folder) != draft
    assert not compile_schema(declared(folder), {"distance": "float"}).draft


@pytest.mark.parametrize(
    ("takes", "words"),
    [
        ({"tail": "string"}, "the model has 'tail', of which this contract says nothing"),
        ({"origin": "float"}, "origin is string, the model takes float"),
        ({"day": "float"}, "day is date, the model takes float: it cannot be asked over HTTP"),
    ],
)
def test_a_model_that_its_contract_does_not_describe_is_refused(
    one: Declared, takes: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        compile_schema(one, takes)
    assert words in str(refused.value)


def test_a_pipeline_without_a_release_toml_is_told_where_to_read(one: Declared) -> None:
    (one.folder / "release.toml").unlink()
    with pytest.raises(InputError, match=r"has no release.toml, so nobody knows what to release. docs/deploy.md"):
        declared(one.folder)


def test_of_several_classes_each_has_a_probability_that_its_contract_describes(one: Declared) -> None:
    classes = '[judging]\ntask = "multiclass"\nclasses = ["a", "b", "c"]\n'
    (one.folder / "gates.toml").write_text(GATES.replace("[judging]\n", classes), encoding="utf-8")
    with pytest.raises(InputError, match=r"the model has 'probability\[a\]', of which this contract says nothing"):
        compile_schema(declared(one.folder), {"distance": "float"})
    columns = "".join(f"      - name: probability[{name}]\n        logicalType: number\n" for name in "abc")
    with (one.folder / "predictions.yaml").open("a", encoding="utf-8") as file:
        file.write(columns)
    schema = compile_schema(declared(one.folder), {"distance": "float"})
    assert (schema.prediction, schema.classes, schema.by_class) == ("probability", ("a", "b", "c"), True)


def test_quantiles_are_answered_beside_the_number(one: Declared) -> None:
    regression = '[judging]\ntask = "regression"\nquantiles = { "0.1" = "p10", "0.9" = "p90" }\n'
    text = GATES.replace("[judging]\n", regression).replace('"auc"', '"mae"')
    (one.folder / "gates.toml").write_text(text, encoding="utf-8")
    columns = "".join(f"      - name: {name}\n        logicalType: number\n" for name in ("p10", "p90"))
    with (one.folder / "predictions.yaml").open("a", encoding="utf-8") as file:
        file.write(columns)
    schema = compile_schema(declared(one.folder), {"distance": "float"})
    assert [field.name for field in schema.outputs] == ["probability", "p10", "p90"]
    assert schema.quantiles == ("p10", "p90")


def test_an_unknown_key_in_release_toml_is_named(one: Declared) -> None:
    with (one.folder / "release.toml").open("a", encoding="utf-8") as stream:
        stream.write('input_table = "x"\n')
    with pytest.raises(InputError, match="input_table: unknown key"):
        declared(one.folder)


def test_what_the_model_was_not_proven_to_answer_the_server_refuses_and_says_so(one: Declared) -> None:
    takes = {"origin": "string", "distance": "float", "seats": "float", "paid": "float"}
    allowed: dict[str, list[str | float]] = {"origin": ["EWR", "JFK", "SFO"], "seats": [1.0, 2.0], "paid": [1.0]}
    limits = Limits(required=["distance"], allowed=allowed)
    origin, distance, seats, paid = compile_schema(one, takes, limits).inputs
    assert distance.required
    assert distance.description == "the model takes no missing value here"
    assert origin.allowed == ("EWR", "JFK")  # what the contract lets in, and training had
    assert seats.allowed == (1, 2)
    assert paid.allowed == (True,)
    assert seats.description == "the model takes only the values that it was trained on"
