"""Read a data contract: what a data set must be, in the Open Data Contract Standard (ODCS v3, YAML).

https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_contracts.quality import ContractError
from onebutton_contracts.reading import read_contract
from onebutton_contracts.standard import faults
from onebutton_contracts.terms import Column, Contract

__all__ = ["Column", "Contract", "contract_of", "load_contract"]


def load_contract(path: Path) -> Contract:
    """Read a contract of one table.

    Raises:
        InputError: the file is missing, is not YAML, breaks the standard, or says what would not be checked here.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path}: no such contract"
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"{path}: not UTF-8 text: {error}"
    else:
        return contract_of(text, path)
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
        broken = faults(document)
        if not broken:
            return read_contract(document, path)
        message = f"{path}: breaks the Open Data Contract Standard: {'; '.join(broken)}"
    except yaml.YAMLError as error:
        message = f"{path}: not YAML: {' '.join(str(error).split())}"
    except ContractError as error:
        message = f"{path}: {error}"
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"{path}: not a contract: {' '.join(str(error).split())}"
    raise InputError(message)


def _plain(text: str) -> Any:
    """Read YAML as what JSON can hold: a date becomes its text.

    Raises:
        yaml.YAMLError: it is not YAML.
        ContractError: a key stands twice; the later one would silently win.
        ValueError: a list that holds itself, a key that is no text, or a number that is none.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the same in C, ten times as fast
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  PyYAML's own
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice = [key for key in dict.fromkeys(keys) if keys.count(key) > 1]
            if twice:
                message = f"line {node.start_mark.line + 1}: the key {twice[0]!r} stands twice"
                raise ContractError(message)
            return super().construct_mapping(node, deep)

    return json.loads(json.dumps(yaml.load(text, Loader=Loader), default=str, allow_nan=False))  # noqa: S506  a safe loader
