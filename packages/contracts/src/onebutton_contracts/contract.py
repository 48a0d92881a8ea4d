"""Read a data contract: what a data set must be, in the Open Data Contract Standard (ODCS v3, YAML).

https://bitol-io.github.io/open-data-contract-standard/. A document is held to the JSON schema that the distribution
`open-data-contract-standard` carries. The pydantic model beside it is not used: it accepts keys that the standard does not know,
text in place of numbers, and a contract without id and version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.reading import read_contract
from onebutton_contracts.terms import Column, Contract

__all__ = ["Column", "Contract", "contract_of", "load_contract"]

SCHEMA = "open_data_contract_standard/schema.json"


def load_contract(path: Path) -> Contract:
    """Read a contract of one table.

    Raises:
        InputError: the file is missing, is not YAML, breaks the standard, or says what would not be checked here.
    """
    try:
        return contract_of(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        message = f"{path}: no such contract"
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"{path}: not UTF-8 text: {error}"
    raise InputError(message)


def contract_of(text: str, path: Path) -> Contract:
    """Read a contract out of the text of its file.

    Args:
        text: YAML.
        path: what messages call it.

    Raises:
        InputError: as `load_contract`.
    """
    import yaml

    try:
        document = _plain(text)
        faults = dict.fromkeys(_faults(document))  # each once: the standard says some things in two places
        require(not faults, f"breaks the Open Data Contract Standard: {'; '.join(faults)}")
        return read_contract(document, path)
    except InputError as error:
        message = f"{path}: {error}"
    except yaml.YAMLError as error:
        message = f"{path}: not YAML: {' '.join(str(error).split())}"
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"{path}: not a contract: {' '.join(str(error).split())}"
    raise InputError(message)


def _plain(text: str) -> Any:
    """Read YAML as what JSON can hold: a date becomes its text.

    Raises:
        yaml.YAMLError: it is not YAML.
        InputError: a key stands twice; the later one would silently win.
        ValueError: a list that holds itself, a key that is no text, or a number that is none.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the same in C, ten times as fast
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  PyYAML's own
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            require(twice is None, f"line {node.start_mark.line + 1}: the key {twice!r} stands twice")
            return super().construct_mapping(node, deep)

    return json.loads(json.dumps(yaml.load(text, Loader=Loader), default=str, allow_nan=False))  # noqa: S506  a safe loader


@cache
def _standard() -> Any:
    from jsonschema_rs import validator_for

    file = Path(str(metadata.distribution("open-data-contract-standard").locate_file(SCHEMA)))
    return validator_for(json.loads(file.read_text(encoding="utf-8")))


def _faults(document: Any) -> Iterator[str]:
    """Say what breaks the standard, each fault with its place, such as `schema.flights.properties.dest`."""
    for error in _standard().iter_errors(document):
        node, parts = document, []
        for key in error.instance_path:
            node = node[key]
            name = node.get("name", node.get("property")) if isinstance(node, dict) else None
            parts.append(str(name) if isinstance(key, int) and isinstance(name, str) else str(key))
        yield f"{'.'.join(parts) or 'the contract'}: {_words(error)}"


def _words(error: Any) -> str:
    """Say it shortly: the standard's own words list every alternative."""
    kind = error.kind
    if kind.name in {"additionalProperties", "unevaluatedProperties"}:
        return f"unknown key {', '.join(map(repr, kind.unexpected))}"
    if kind.name == "required":
        return f"{kind.property} is missing"
    words: str = error.message
    return words if len(words) < 160 else f"{words[:160]}…"  # noqa: PLR2004  about a line of a terminal
