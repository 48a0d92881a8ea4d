"""What a release takes and gives, as its `schema.json` says: compiled from the pipeline's contracts when the release is built.

The server knows no pipeline: its API, checks and pages are all made from this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from onebutton_serving.sealed import ReleaseError

FORMAT = 2  # of the files of a release; a server refuses one that is newer than itself
SCHEMA = "schema.json"
LABEL = "label"  # what the class that a row is called stands under in an answer


class Field(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input or output of a model.

    Attributes:
        name: of the column.
        type: `string`, `number` (any float), `integer` (a whole number), or `boolean`.
        required: whether null, or leaving it out, is refused.
        unit: for people, such as `miles`.
        minimum: smallest number allowed, in `unit`.
        maximum: largest number allowed, in `unit`.
        allowed: the values allowed; empty when any is.
        pattern: regular expression that a text must match; empty when any will do.
        min_length: fewest characters of a text.
        max_length: most characters of a text.
        classification: `public`, `internal` or `personal`; a personal value is never logged as it is.
    """

    name: str
    type: Literal["string", "number", "integer", "boolean"]
    required: bool = True
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str | bool | int | float, ...] = ()
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None
    classification: Literal["public", "internal", "personal"] = "internal"


class Schema(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The whole of `schema.json`.

    Attributes:
        pipeline: which made the release.
        title: what it predicts, in a line.
        input_contract: name and version of the contract of the inputs, such as `features 1.0.0`.
        output_contract: the same of the outputs.
        inputs: in the order of the model.
        outputs: one for each number that the model answers per row; of several classes the probability of each.
        classes: their names, in the order of the probabilities; of two, the second is the one whose probability is answered.
        threshold: the probability from which the second of two classes is called.
        quantiles: the last outputs, each of which a file of its own answers.
        draft: whether the pipeline was still being tried out.
    """

    pipeline: str
    title: str
    input_contract: str
    output_contract: str
    inputs: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)]
    outputs: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)]
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    quantiles: tuple[str, ...] = ()
    draft: bool = False

    @property
    def callers_contract(self) -> tuple[str, str]:
        """Name and major version of the input contract: callers were written for these."""
        name, _, version = self.input_contract.partition(" ")
        return name, version.split(".")[0]

    @property
    def by_class(self) -> bool:
        """Whether each of the classes has a probability of its own."""
        return len(self.classes) > 2  # noqa: PLR2004  of two, one number says both

    @property
    def prediction(self) -> str:
        """What the answer is called, such as `probability`."""
        first = self.outputs[0].name
        return first.removesuffix(f"[{self.classes[0]}]") if self.by_class else first


def read_schema(folder: Path) -> Schema:
    """Read the schema of a release.

    Raises:
        ReleaseError: it is missing, damaged, or of a newer format than this server reads.
    """
    try:
        content = msgspec.json.decode((folder / SCHEMA).read_bytes(), type=dict[str, Any])
        if content.pop("format") <= FORMAT:
            return msgspec.convert(content, Schema)
    except (OSError, KeyError, TypeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"release {folder.name}: {SCHEMA} cannot be read: {error}"
        raise ReleaseError(message) from None
    message = f"release {folder.name}: {SCHEMA} has a newer format than this server reads: upgrade the server first"
    raise ReleaseError(message)


def is_draft(folder: Path) -> bool:
    """Say whether a release is of a draft; one that cannot be read is refused elsewhere."""
    try:
        return read_schema(folder).draft
    except ReleaseError:
        return False


def schema_text(schema: Schema) -> str:
    """Write `schema.json`, without what is left at its default."""
    return json.dumps({"format": FORMAT, **msgspec.to_builtins(schema)}, indent=1, ensure_ascii=False) + "\n"
