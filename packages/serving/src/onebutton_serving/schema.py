"""What a release takes and gives, as its `schema.json` says: compiled from the pipeline's contracts when the release is built.

The server knows no pipeline: its API, checks and pages are all made from this file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from onebutton_serving.sealed import ReleaseError

FORMAT = 1  # of the files of a release; a server refuses one that is newer than itself
SCHEMA = "schema.json"


@dataclass(frozen=True)
class Field:
    """One input or output of a model.

    Attributes:
        name: of the column.
        type: `string`, `number` (any float), or `integer` (a whole number).
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
    type: Literal["string", "number", "integer"]
    required: bool = True
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str | int | float, ...] = ()
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None
    classification: Literal["public", "internal", "personal"] = "internal"


@dataclass(frozen=True)
class Schema:
    """The whole of `schema.json`.

    Attributes:
        pipeline: which made the release.
        title: what it predicts, in a line.
        input_contract: name and version of the contract of the inputs, such as `features 1.0.0`.
        output_contract: the same of the outputs.
        inputs: in the order of the model.
        outputs: one for each number that the model answers per row.
    """

    pipeline: str
    title: str
    input_contract: str
    output_contract: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

    @property
    def callers_contract(self) -> tuple[str, str]:
        """Name and major version of the input contract: callers were written for these."""
        name, _, version = self.input_contract.partition(" ")
        return name, version.split(".")[0]


def read_schema(folder: Path) -> Schema:
    """Read the schema of a release.

    Raises:
        ReleaseError: it is missing, damaged, or of a newer format than this server reads.
    """
    try:
        content: dict[str, Any] = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
        newer = content.pop("format") > FORMAT
        fields = {
            side: tuple(Field(**{**one, "allowed": tuple(one.get("allowed", ()))}) for one in content.pop(side))
            for side in ("inputs", "outputs")
        }
        schema = Schema(**content, inputs=fields["inputs"], outputs=fields["outputs"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"release {folder.name}: {SCHEMA} cannot be read: {error}"
        raise ReleaseError(message) from None
    if newer or not schema.inputs or not schema.outputs:
        message = f"release {folder.name}: {SCHEMA} has a newer format than this server reads: upgrade the server first"
        raise ReleaseError(message)
    return schema
