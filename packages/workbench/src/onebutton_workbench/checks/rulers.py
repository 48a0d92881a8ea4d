"""Read two versions of a ruler, a file that says how models and code are measured, and say which way each difference goes.

What is compared is what a file means: the order of its keys, comments and prose count for nothing. `rulers.toml` says which
files are rulers, and which way is stricter.
"""

import ast
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.git import shortened
from onebutton_workbench.lineage.changes import owner_of
from onebutton_workbench.lineage.fingerprint import meaning
from onebutton_workbench.workspace import read_toml

Kind = Literal["weaker", "removed", "new", "stricter", "upgrade"]  # as they are told, the worst first
Way = tuple[int, Any]  # 1 where more is stricter, -1 where less is; and what it means that the key is not there
TABLES = read_toml(Path(__file__).with_name("rulers.toml"))
FILES, KEYS = TABLES["files"], TABLES["keys"]
WAYS: dict[str, Way] = {key: (one["stricter"], one["absent"]) for one in TABLES["ways"] for key in one["keys"]}
UNKNOWN: Way = (0, ())
# a pipeline's module that says what is measured
OWN_METRICS = re.compile(r"onebutton_evaluation.*\bregister\b", re.DOTALL)
YAML = (".yaml", ".yml", ".lock", ".dvc", "ruleset.json")


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a file."""

    file: str
    path: tuple[str, ...]  # the keys that lead to it
    kind: Kind
    words: str  # what was, and what is
    line: int = 1  # of the newer version; where it is gone from there, of the older

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.file}:{self.line}"


def is_ruler(path: str, text: str | None = None) -> bool:
    """Say of a file whether it is a ruler, of its member or of the repository.

    A module of a pipeline is one where its text registers own metrics; without its text it may be one.
    """
    if re.fullmatch(r"pipelines/[^/]+/src/.+\.py", path):
        return text is None or OWN_METRICS.search(text) is not None
    folder, inside = owner_of(path)
    return any(fnmatch(inside, pattern) for pattern in FILES["member" if folder else "repository"])


def parse(file: str, text: str) -> dict[str, Any]:
    """Read what a file means; what is neither TOML, YAML nor Python is a list of lines.

    What cannot be read says nothing, so all that it said before is gone; other checks name the line.
    """
    name = file.rpartition("/")[2]
    try:
        if name == "pyproject.toml":
            tools = tomllib.loads(text).get("tool", {})
            if "ruff" in tools and owner_of(file)[0]:  # takes the place of all that the root says
                tools["ruff"] = {"settings": [str(tools["ruff"])]}
            return {key: tools[key] for key in FILES["settings"] if key in tools}
        if name.endswith(".toml") and "ruff" not in name:
            return tomllib.loads(text)
        if name.endswith(".py"):
            return {"code": hashlib.sha256(meaning(ast.parse(text)).encode()).hexdigest()[:8]}
        if name.endswith(YAML):
            return {str(key): value for key, value in parse_yaml(text, file).items()}
    except (InputError, ValueError, SyntaxError):
        return {}
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return {"ignore" if name.endswith("ignore") else "settings": list(filter(None, lines))}


def differences(file: str, old: str, new: str, read: Callable[[str, str], dict[str, Any]] = parse) -> list[Change]:
    """Compare two texts of a file; an empty one is a file that is not there."""
    if not old and any(fnmatch(file, pattern) for pattern in FILES["new"]):
        return [Change(file, (), "new", "is new")]
    return [
        Change(file, path, kind, f"{' '.join(path)}{_shown(before, after)}", _line(old, new, path, gone=after is None))
        for path, kind, before, after in compare(read(file, old), read(file, new))
    ]


def _keyed(value: Any) -> Any:
    """Give the entries of a list of mappings names, so that their order counts for nothing."""
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return value
    keyed: dict[str, Any] = {}
    for number, item in enumerate(value):
        name = next((str(item[key]) for key in KEYS["named"] if key in item), str(number)).partition("@")[0]
        keyed[f"{name} {number}" if name in keyed else name] = item
    return keyed


def compare(
    old: Any, new: Any, path: tuple[str, ...] = (), way: Way = UNKNOWN, above: str = ""
) -> Iterator[tuple[tuple[str, ...], Kind, Any, Any]]:
    """Find every difference: its keys, which way it goes, what was and what is. What nobody can tell is weaker.

    `way` holds for all below a key above; `above` is that key, empty where it is only a name, as a job may be called `gates`.
    """
    is_thing = above in KEYS["things"]
    key = "" if is_thing else "".join(path[-1:])
    old, new = _keyed(old), _keyed(new)
    # what a table was made from, `sourceSha256`, says nothing of what it must be
    if old == new or key in KEYS["words"] or (above == "customProperties" and path[-1].startswith("source")):
        return
    way = WAYS.get(key, way if way[0] < 0 else UNKNOWN)
    if is_thing and (old is None or new is None):
        # a column that is gone loosens nothing: a table with a column that its contract does not know is refused
        yield path, "new" if old is None else "removed" if above in {"properties", "tests"} else "weaker", old, new
    elif isinstance(old or new, Mapping) and isinstance(new or old, Mapping) and (way[0] >= 0 or (old and new)):
        for name in dict.fromkeys([*(old or {}), *(new or {})]):
            yield from compare((old or {}).get(name), (new or {}).get(name), (*path, str(name)), way, key)
    else:
        yield path, "stricter" if _is_stricter(old, new, way) else "weaker", old, new


def _is_stricter(old: Any, new: Any, way: Way) -> bool:
    sign, absent = way
    less, more = (_size(absent if value is None else value) for value in (old, new)[:: sign or 1])
    with suppress(TypeError):  # a number and a set
        return sign != 0 and bool(less < more)
    return False


def _size(value: Any) -> Any:
    """Make a value comparable: a number as it is, all else as the set of what it holds, a switch that is off as an empty one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return {*map(str, value if isinstance(value, list | Mapping) else [value] if value else [])}


def _shown(old: Any, new: Any) -> str:
    if isinstance(old or new, Mapping) and (old is None or new is None):
        return " is new" if old is None else " is gone"
    if isinstance(old or new, list) and isinstance(new or old, list):
        before, after = (dict.fromkeys(map(str, value or ())) for value in (old, new))
        moved = [f"+ {item}" for item in after if item not in before] + [
            f"- {item}" for item in before if item not in after
        ]
        return f": {shortened(moved) or 'another order'}"
    return ": " + " -> ".join("nothing" if value is None else str(value)[:80] for value in (old, new))


def _line(old: str, new: str, path: tuple[str, ...], *, gone: bool) -> int:
    """Find the line of a difference: each of its keys is sought below the one before, or else it is the first that differs."""
    text, line, end = old if gone else new, 0, 0
    for key in (re.escape(re.sub(r" \d+$", "", one)) for one in path if one not in KEYS["ours"]):
        word = rf"(?<![\w-]){key}(?![\w-])"
        as_key = re.compile(rf'{word}(?=["\]]* *[:=]|\]\]$)', re.MULTILINE)
        if found := as_key.search(text, end) or re.compile(word).search(text, end):
            line, end = text.count("\n", 0, found.start()) + 1, found.end()
    pairs = enumerate(zip_longest(old.splitlines(), new.splitlines()), 1)
    return line or next((number for number, (one, other) in pairs if one != other), 1)
