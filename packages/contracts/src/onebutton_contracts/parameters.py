"""Read `params.yaml` and other settings into frozen classes: an unknown or missing key or a wrong type is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt

from onebutton_contracts.errors import InputError

T = TypeVar("T")

# Give this to `pydantic.dataclasses.dataclass(frozen=True, config=STRICT)`: 0.1 is a number, "0.1" is not.
STRICT: ConfigDict = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


class Parameters(BaseModel):
    """A section of `params.yaml`, or with one field for each of them the whole file."""

    model_config = ConfigDict(frozen=True, **STRICT)

    @classmethod
    def load(cls, path: Path = Path("params.yaml")) -> Self:
        """Read the whole file; see `load_parameters`."""
        return load_parameters(cls, path)


class ReproduceParams(Parameters):
    """How near results must be that are made again.

    Attributes:
        tolerance: largest difference of a number, as a share of its size where that is above 1.
    """

    tolerance: NonNegativeFloat = 0.0


class ButtonParams(Parameters):
    """The sections of any pipeline that no stage reads, but `make reproduce`, `make gates` and `make retrain`.

    Attributes:
        retrain: by dotted key the months from and to, counted back from UNTIL; `first` is the first month that stands there now.
    """

    reproduce: ReproduceParams = ReproduceParams()
    retrain: dict[str, tuple[NonNegativeInt | Literal["first"], NonNegativeInt]] = {}


def load_parameters(schema: type[T], path: Path = Path("params.yaml")) -> T:
    """Read the whole file as one object, so that a typing mistake anywhere in it is found by every stage.

    Args:
        schema: `Parameters`, or a frozen pydantic dataclass, with one field per top-level key of the file, but `reproduce` and
            `retrain`, which buttons read.
        path: the file, YAML or TOML by its name.

    Raises:
        InputError: the file is missing, is neither YAML nor TOML, or does not match; every fault is named.
    """
    import json

    from pydantic import TypeAdapter, ValidationError
    from ruamel.yaml.error import YAMLError

    try:
        content = _parse(path.read_text(encoding="utf-8"), toml=path.suffix == ".toml")
        if faults := list(_dates(content)):
            message = f"{path}: {'; '.join(faults)}. Then press `make run`"
            raise InputError(message)
        # As JSON, because there a strict dataclass may be written as a mapping.
        if path.name == "params.yaml" and isinstance(content, dict):
            ours = {name: content.pop(name) for name in ButtonParams.model_fields if name in content}
            TypeAdapter(ButtonParams).validate_json(json.dumps(ours))
        return TypeAdapter(schema).validate_json(json.dumps(content))
    except FileNotFoundError:
        message = f"{path}: no such file: bring it back with `git checkout {path}`"
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
    except YAMLError as error:
        message = f"{path}: not YAML: {' '.join(str(error).split())}"
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {_plain(fault['type'], fault['msg'])}"
            for fault in error.errors()
        ]
        message = f"{path}: " + "; ".join(faults) + ". Mend the file, then press `make run`"
    except (TypeError, ValueError) as error:  # not UTF-8, a date that is none, a date as a key
        message = f"{path}: not a file of parameters: {error}. Mend the file, then press `make run`"
    raise InputError(message)


def _dates(value: Any, place: str = "") -> Iterator[str]:
    """Name every date or time that YAML or TOML read as one: DVC, MLflow and JSON each write it in their own way."""
    if isinstance(value, date | time):
        yield f"{place.removesuffix('.')}: {value} is read as a {type(value).__name__}; write it in quotes: '{value}'"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _dates(item, f"{place}{key}.")


def _parse(text: str, *, toml: bool) -> Any:
    if toml:
        import tomllib

        return tomllib.loads(text)
    from ruamel.yaml import YAML

    # YAML 1.2, as DVC reads it: 1e-5 is a number, and a key that stands twice is an error.
    return YAML(typ="safe", pure=True).load(text)


def _plain(kind: str, message: str) -> str:
    """Say pydantic's commonest findings in the words of a YAML file."""
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return "unknown key"
    if kind == "missing":
        return "missing"
    said = message.removeprefix("Value error, ")
    return said[0].lower() + said[1:]
