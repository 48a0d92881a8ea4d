"""What a pipeline declares of its releases, and its contracts compiled to `schema.json`, which the server checks and shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic
from pydantic.dataclasses import dataclass

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import require
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_contracts.terms import Contract
from onebutton_evaluation.card_text import CardText
from onebutton_evaluation.declarations import Declarations, load_declarations
from onebutton_evaluation.gatekeeping import is_draft
from onebutton_models.scoring import Limits
from onebutton_serving.schema import Field, Schema

# Of a column, what a field says as well.
_SAID = ("unit", "minimum", "maximum", "pattern", "min_length", "max_length", "classification")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class _File:
    """The whole of `release.toml`."""

    inputs: str  # the contract that describes what the model reads
    outputs: str  # the contract that describes what it answers; its primary key names a row of the test period
    port: Annotated[int, pydantic.Field(ge=0, le=65_535)] = 0  # of its server on a laptop; 0 makes one from the name


class Declared(NamedTuple):
    """All that a pipeline says of its releases."""

    folder: Path  # of the pipeline, whose name is the pipeline's
    title: str  # of the model card
    said: Declarations
    inputs: Contract
    outputs: Contract
    draft: bool = False  # whether it is still being tried out: its releases stay on a laptop


def declared(folder: Path) -> Declared:
    """Read what a pipeline declares; refuse it where one of the files is missing or wrong."""
    none = f"{folder.name} has no release.toml, so nobody knows what to release. docs/deploy.md has its lines"
    require((folder / "release.toml").is_file(), none)
    file = load_parameters(_File, folder / "release.toml")
    said, title = load_declarations(folder / "gates.toml"), CardText.load(folder / "card.toml").title
    inputs, outputs = load_contract(folder / file.inputs), load_contract(folder / file.outputs)
    return Declared(folder, title, said, inputs, outputs, is_draft(folder))


def compile_schema(one: Declared, takes: Mapping[str, str], limits: Limits | None = None) -> Schema:
    """Describe a model's inputs and outputs by their contracts, narrowed to what the model was proven to answer.

    Args:
        one: what the pipeline declares.
        takes: each input of the model and its kind, `string` or `float`, as the file says.
        limits: what the model does not take although the contract does.

    Raises:
        InputError: a contract has no such column, or one of another type than the model's.
    """
    judging = one.said.judging
    quantiles = tuple(judging.quantiles.values())
    return Schema(
        pipeline=one.folder.name,
        title=one.title,
        input_contract=f"{one.inputs.name} {one.inputs.version}",
        output_contract=f"{one.outputs.name} {one.outputs.version}",
        inputs=tuple(_field(one.inputs, name, kind, limits or Limits()) for name, kind in takes.items()),
        outputs=tuple(_field(one.outputs, name, "float", Limits()) for name in (*judging.predicted(), *quantiles)),
        classes=judging.classes,
        threshold=judging.threshold,
        quantiles=quantiles,
        draft=one.draft,
    )


def _field(contract: Contract, name: str, kind: str, limits: Limits) -> Field:
    """Describe an input or output, and say where it is narrowed."""
    unknown = f"{contract.path}: the model has {name!r}, of which this contract says nothing. Describe it there"
    require(name in contract.column_names, unknown)
    column = contract.column(name)
    field_type: Any = column.logical_type
    fits = field_type not in {"date", "timestamp"} and (field_type == "string") == (kind == "string")
    require(fits, f"{contract.path}: {name} is {field_type}, the model takes {kind}: it cannot be asked over HTTP")
    said = [column.description] if column.description else []
    required, allowed = column.required or field_type == "string", column.allowed  # a tensor has no missing text
    if name in limits.required and not required:
        required = True
        said.append("the model takes no missing value here")
    if name in limits.allowed:
        kind_of = {"integer": int, "boolean": bool}.get(field_type)  # the model itself knows numbers alone
        known: list[Any] = [kind_of(value) if kind_of else value for value in limits.allowed[name]]
        allowed = tuple(value for value in known if not allowed or value in allowed)
        said.append("the model takes only the values that it was trained on")
    terms: dict[str, Any] = {term: getattr(column, term) for term in _SAID}
    return Field(name, field_type, required, description="; ".join(said), allowed=allowed, **terms)
