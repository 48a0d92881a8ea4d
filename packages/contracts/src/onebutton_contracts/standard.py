"""Hold a document to the JSON schema of the Open Data Contract Standard.

The schema is the one that the distribution `open-data-contract-standard` carries. The pydantic model beside it is not used: it
accepts keys that the standard does not know, text in place of numbers, and a contract without id and version.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "open-data-contract-standard"
SCHEMA = "open_data_contract_standard/schema.json"


def faults(document: Any) -> list[str]:
    """Say what in a document breaks the standard, each fault with its place, such as `schema.flights.properties.dest`.

    Args:
        document: what YAML or JSON holds: mappings, lists, texts, numbers, booleans and nulls.
    """
    found: dict[str, None] = {}  # in order, each once: the standard says some things in two places
    for error in _validator().iter_errors(document):
        found[f"{_place(document, error.instance_path)}: {_words(error)}"] = None
    return list(found)


@cache
def _validator() -> Any:
    from jsonschema_rs import validator_for

    file = Path(str(metadata.distribution(DISTRIBUTION).locate_file(SCHEMA)))
    return validator_for(json.loads(file.read_text(encoding="utf-8")))


def _place(document: Any, path: list[str | int]) -> str:
    """Name elements of a list by their names: `properties.distance` says more than `properties.4`."""
    parts = []
    for key in path:
        document = document[key]
        name = document.get("name", document.get("property")) if isinstance(document, dict) else None
        parts.append(str(name) if isinstance(key, int) and isinstance(name, str) else str(key))
    return ".".join(parts) or "the contract"


def _words(error: Any) -> str:
    """Say it shortly: the standard's own words list every alternative."""
    kind = error.kind
    if kind.name in {"additionalProperties", "unevaluatedProperties"}:
        return f"unknown key {', '.join(map(repr, kind.unexpected))}"
    if kind.name == "required":
        return f"{kind.property} is missing"
    words: str = error.message
    return words if len(words) < 160 else f"{words[:160]}…"  # noqa: PLR2004  about a line of a terminal
