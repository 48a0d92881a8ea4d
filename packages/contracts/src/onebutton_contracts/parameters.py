"""Read `params.yaml` and other settings into frozen classes: an unknown or missing key or a wrong type is refused by name."""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, TypeAdapter, ValidationError

from onebutton_contracts.dvc_files import parse_yaml
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
    """How near results must be that are made again."""

    tolerance: NonNegativeFloat = 0.0  # largest difference of a number, as a share of its size where that is above 1


class ButtonParams(Parameters):
    """The sections of any pipeline that no stage reads, but `make reproduce`, `make gates` and `make retrain`."""

    reproduce: ReproduceParams = ReproduceParams()
    # By dotted key the months from and to, counted back from UNTIL; `first` is the first month that stands there now.
    retrain: dict[str, tuple[NonNegativeInt | Literal["first"], NonNegativeInt]] = {}
    retrained_until: str = ""  # the month that `make retrain` moved them on to


def load_parameters(schema: type[T], path: Path = Path("params.yaml")) -> T:
    """Read the whole file, YAML or TOML, as one object, so that a typing mistake anywhere in it is found by every stage.

    The schema is `Parameters`, or a frozen pydantic dataclass: a field for each top-level key, but for those of `ButtonParams`.

    Raises:
        InputError: the file is missing, is neither YAML nor TOML, or does not match; every fault is named.
    """
    content: Any = None
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else parse_yaml(text, str(path))
        ours = ButtonParams.model_fields if path.name == "params.yaml" else {}
        of_buttons = {name: content.pop(name) for name in ours if name in content}
        # As JSON, because there a strict dataclass may be written as a mapping.
        TypeAdapter(ButtonParams).validate_json(json.dumps(of_buttons, default=_unquoted))
        return TypeAdapter(schema).validate_json(json.dumps(content, default=_unquoted))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}. `git checkout {path}` brings it back"
    except ValidationError as error:
        message = f"{path}: {faults(error, content)}. Mend the file, then press `make run`"
    except (TypeError, ValueError) as error:  # not UTF-8, a date as a key
        message = f"{path}: not a file of parameters: {error}. Mend the file, then press `make run`"
    raise InputError(message)


def _unquoted(value: Any) -> None:
    """Refuse what YAML or TOML read as a date or time: DVC, MLflow and JSON each write it in their own way."""
    raise ValueError(f"{value} is read as a {type(value).__name__}; write it in quotes: '{value}'")


def faults(error: ValidationError, content: Any, *, unknown: str = "unknown key") -> str:
    """Say in the words of a file what is wrong in it, each with its place, such as `schema.flights.properties.dest: missing`.

    An item of a list is called by its name, where it has one; `unknown` is said of a key that should not be there.
    """
    found = {}
    for fault in error.errors():
        node: Any = content
        place: list[str] = []
        for key in fault["loc"]:
            inside = key in node if isinstance(node, dict) else isinstance(node, list) and isinstance(key, int)
            if inside:
                node = node[key]
                name = node.get("name", node.get("property")) if isinstance(node, dict) else None
                place.append(name if isinstance(key, int) and isinstance(name, str) else str(key))
            elif (
                fault["type"] == "missing" and key == fault["loc"][-1]
            ):  # else it is no key, but one of the types that a value may have
                place.append(str(key))
        words = {"missing": "missing", "extra_forbidden": unknown, "unexpected_keyword_argument": unknown}
        said = fault["msg"].removeprefix("Value error, ")
        found[".".join(place) or "the file"] = words.get(fault["type"], said[0].lower() + said[1:])
    return "; ".join(f"{place}: {words}" for place, words in found.items())
