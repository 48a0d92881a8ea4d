"""What a pipeline declares of its releases: `release.toml`, beside `gates.toml` and `card.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as strict_dataclass

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_contracts.terms import Contract
from onebutton_evaluation.card_text import read_card_text
from onebutton_evaluation.declarations import Declarations, load_declarations
from onebutton_evaluation.gatekeeping import is_draft


@strict_dataclass(frozen=True, config=STRICT, kw_only=True)
class _File:
    """The whole of `release.toml`.

    Attributes:
        inputs: the contract that describes what the model reads.
        outputs: the contract that describes what it answers; its primary key names a row of the test period.
        port: of this pipeline's server on a laptop; 0 makes one from the name. It is no part of a release.
    """

    inputs: str
    outputs: str
    port: Annotated[int, Field(ge=0, le=65_535)] = 0


@dataclass(frozen=True)
class Declared:
    """All that a pipeline says of its releases.

    Attributes:
        folder: of the pipeline, whose name is the pipeline's.
        title: of the model card.
        draft: whether it is still being tried out: its releases stay on a laptop.
    """

    folder: Path
    title: str
    said: Declarations
    inputs: Contract
    outputs: Contract
    draft: bool = False

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.folder.name


def declared(folder: Path) -> Declared:
    """Read what a pipeline declares.

    Raises:
        InputError: one of the files is missing or wrong.
    """
    if not (folder / "release.toml").is_file():
        message = (
            f"{folder.name} has no release.toml, so nobody knows what to release. docs/deploy.md has its two lines"
        )
        raise InputError(message)
    parts = load_parameters(_File, folder / "release.toml")
    said = load_declarations(folder / "gates.toml")
    return Declared(
        folder,
        read_card_text(folder / "card.toml").title,
        said,
        load_contract(folder / parts.inputs),
        load_contract(folder / parts.outputs),
        is_draft(folder),
    )
