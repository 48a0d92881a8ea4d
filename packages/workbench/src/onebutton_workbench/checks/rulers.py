"""Read two versions of a ruler, a file that says how models and code are measured, and say which way each difference goes.

What is compared is what a file means: the order of its keys, comments and prose count for nothing. `rulers.toml` says which
files are rulers, and which way is stricter.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.git import shortened
from onebutton_workbench.lineage.fingerprint import meaning
from onebutton_workbench.workspace import read_toml

Kind = Literal["weaker", "stricter", "new", "removed", "upgrade"]
Way = tuple[int, Any]  # 1 where more is stricter, -1 where less is; and what it means that the key is not there
TABLES = read_toml(Path(__file__).with_name("rulers.toml"))
FILES, KEYS = TABLES["files"], TABLES["keys"]
WAYS: dict[str, Way] = (
    dict.fromkeys(KEYS["at_least"], (1, -math.inf))
    | dict.fromkeys(KEYS["at_most"], (-1, math.inf))
    | dict.fromkeys(KEYS["more"], (1, ()))
    | dict.fromkeys(KEYS["fewer"], (-1, ()))
    | {key: (-1, absent) for key, absent in KEYS["less"].items()}
)
UNKNOWN: Way = (0, ())
MEMBER = re.compile(r"((?:packages|pipelines)/[^/]+)/(.+)")
# a pipeline's module that says what is measured
OWN_METRICS = re.compile(r"onebutton_evaluation.*\bregister\b", re.DOTALL)
WORD = r"(?<![\w-]){}(?![\w-])"
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
    member = MEMBER.fullmatch(path)
    if member and member[2].startswith("src/"):
        of_pipeline = path.startswith("pipelines/") and path.endswith(".py")
        return of_pipeline and (text is None or OWN_METRICS.search(text) is not None)
    patterns = FILES["member" if member else "repository"]
    return any(fnmatch(member[2] if member else path, pattern) for pattern in patterns)


def parse(file: str, text: str) -> dict[str, Any]:
    """Read what a file means; what is neither TOML, YAML nor Python is a list of lines.

    Raises:
        InputError: it cannot be read.
    """
    name = file.rpartition("/")[2]
    try:
        if name == "pyproject.toml":
            tools = tomllib.loads(text).get("tool", {})
            if "ruff" in tools and MEMBER.fullmatch(file):  # takes the place of all that the root says
                tools["ruff"] = {"settings": [str(tools["ruff"])]}
            return {key: tools[key] for key in FILES["settings"] if key in tools}
        if name.endswith(".toml") and "ruff" not in name:
            return tomllib.loads(text)
        if name.endswith(".py"):
            return {"code": hashlib.sha256(meaning(ast.parse(text)).encode()).hexdigest()[:8]} if text else {}
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not name.endswith(YAML):
        lines = [line for line in (whole.partition("#")[0].strip() for whole in text.splitlines()) if line]
        return {"ignore" if name.endswith("ignore") else "settings": lines} if lines else {}
    return {str(key): value for key, value in parse_yaml(text or "{}", file).items()}


def differences(file: str, old: str, new: str, read: Callable[[str, str], dict[str, Any]] = parse) -> list[Change]:
    """Compare two texts of a file; an empty one is a file that is not there.

    Raises:
        InputError: the newer one cannot be read. An older one that could not be read said nothing.
    """
    if not old and any(fnmatch(file, pattern) for pattern in FILES["new"]):
        return [Change(file, (), "new", "is new")]
    before: dict[str, Any] = {}
    with suppress(InputError):
        before = read(file, old)
    found = compare(before, read(file, new))
    return [Change(file, path, kind, words, _line(old, new, path)) for path, kind, words in found]


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
) -> Iterator[tuple[tuple[str, ...], Kind, str]]:
    """Find every difference and which way it goes; what nobody can tell counts as weaker.

    `way` holds for all below a key above; `above` is that key, empty where it is only a name, as a job may be called `gates`.
    """
    is_thing = above in KEYS["things"]
    key = "" if is_thing else "".join(path[-1:])
    old, new = _keyed(old), _keyed(new)
    # what a table was made from, `sourceSha256`, says nothing of what it must be
    if old == new or key in KEYS["words"] or (above == "customProperties" and path[-1].startswith("source")):
        return
    way = WAYS.get(key, way if way[0] < 0 else UNKNOWN)
    said = " ".join(path)
    if is_thing and old is None:
        yield path, "new", f"{said} is new"
    elif is_thing and new is None:
        # a column that is gone loosens nothing: a table with a column that its contract does not know is refused
        yield path, "removed" if above in {"properties", "tests"} else "weaker", f"{said} is gone"
    elif isinstance(old or new, Mapping) and isinstance(new or old, Mapping) and (way[0] >= 0 or (old and new)):
        for name in dict.fromkeys([*(old or {}), *(new or {})]):
            yield from compare((old or {}).get(name), (new or {}).get(name), (*path, str(name)), way, key)
    else:
        yield path, "stricter" if _is_stricter(old, new, way) else "weaker", f"{said}: {_shown(old, new)}"


def _is_stricter(old: Any, new: Any, way: Way) -> bool:
    sign, absent = way
    before, after = (_size(absent if value is None else value) for value in (old, new))
    with suppress(TypeError):  # a number and a set
        return sign != 0 and bool(after > before if sign > 0 else after < before)
    return False


def _size(value: Any) -> Any:
    """Make a value comparable: a number as it is, all else as the set of what it holds."""
    if isinstance(value, bool):
        return {"true"} if value else set()
    return value if isinstance(value, int | float) else {value} if isinstance(value, str) else {*map(str, value)}


def _shown(old: Any, new: Any) -> str:
    if isinstance(old or new, list) and isinstance(new or old, list):
        before, after = ([str(item) for item in value or ()] for value in (old, new))
        more, fewer = ([item for item in one if item not in other] for one, other in ((after, before), (before, after)))
        return shortened([*(f"+ {item}" for item in more), *(f"- {item}" for item in fewer)]) or "another order"
    return " -> ".join("nothing" if value is None else str(value)[:80] for value in (old, new))


def _line(old: str, new: str, path: tuple[str, ...]) -> int:
    """Find where a difference stands: its key, in the newer text or else the older, or else the first line that differs."""
    keys = [re.escape(re.sub(r" \d+$", "", key)) for key in path if key not in KEYS["ours"]]
    found = (line_of(text, keys, last) for last in (r'^[ \t-]*\[*"?{}"?\]* *[:=]', WORD) for text in (new, old))
    before, after = old.splitlines(), new.splitlines()
    same = (number for number, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    return next(filter(None, found), 0) or next(same, min(len(before), len(after))) + 1


def line_of(text: str, keys: list[str], last: str) -> int:
    """Find the line in which the last of some nested keys stands, written so; 0 where it does not."""
    begin, end, found = 0, 0, None
    for pattern in [*(WORD.format(key) for key in keys[:-1]), *(last.format(key) for key in keys[-1:])]:
        found = re.compile(pattern, re.MULTILINE).search(text, end)
        begin, end = found.span() if found else (begin, end)
    return text.count("\n", 0, begin) + 1 if found else 0
