"""What a release takes and gives, as its `schema.json` says: compiled from the pipeline's contracts when the release is built.

The server knows no pipeline: its API, checks and pages are all made from this file.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from onebutton_serving.sealed import ReleaseError

FORMAT = 2  # of the files of a release; a server refuses one that is newer than itself
SCHEMA = "schema.json"
LABEL = "label"  # what the class that a row is called stands under in an answer


class Field(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input or output of a model."""

    name: str  # of the column
    type: Literal["string", "number", "integer", "boolean"]  # an integer is a whole number, 3.0 too
    required: bool = True  # whether null, or leaving it out, is refused
    unit: str = ""  # for people, such as `miles`; of `minimum` and `maximum`, too
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str | bool | int | float, ...] = ()  # empty when any value is
    pattern: str = ""  # regular expression that a text must match
    min_length: int | None = None  # characters of a text
    max_length: int | None = None
    classification: Literal["public", "internal", "personal"] = "internal"  # a personal value is never logged


class Schema(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The whole of `schema.json`."""

    pipeline: str  # which made the release
    title: str  # what it predicts, in a line
    input_contract: str  # name and version, such as `features 1.0.0`
    output_contract: str
    inputs: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)]  # in the order of the model
    outputs: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)]  # one for each number that it answers per row
    classes: tuple[str, ...] = ()  # in the order of the probabilities; of two, that of the second is answered
    threshold: float = 0.5  # the probability from which the second of two classes is called
    quantiles: tuple[str, ...] = ()  # the last outputs, each of which a file of its own answers
    draft: bool = False  # whether the pipeline was still being tried out
    format: Annotated[int, msgspec.Meta(le=FORMAT)] = FORMAT

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
        return msgspec.json.decode((folder / SCHEMA).read_bytes(), type=Schema)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        words = f"release {folder.name}: {SCHEMA} cannot be read: {error}; a newer `format` needs a newer server"
        raise ReleaseError(words) from None


def is_draft(folder: Path) -> bool:
    """Say whether a release is of a draft; one that cannot be read is refused elsewhere."""
    try:
        return read_schema(folder).draft
    except ReleaseError:
        return False


def schema_text(schema: Schema) -> str:
    """Write `schema.json`, without what is left at its default."""
    return json.dumps({"format": FORMAT, **msgspec.to_builtins(schema)}, indent=1, ensure_ascii=False) + "\n"
