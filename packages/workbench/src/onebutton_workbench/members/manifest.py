"""Read `.onebutton.toml`: where this repo comes from, whose repo it is now, and whose each file is."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from onebutton_contracts.errors import InputError

MANIFEST = ".onebutton.toml"
Owner = Literal["upstream", "team", "shared"]
FILES = ("files", "exceptions")  # the later one decides
KEYS = {"upstream": {"url", "name", "commit"}, "team": {"name", "owner", "url"}}


@dataclass(frozen=True)
class Manifest:
    """What `.onebutton.toml` says.

    Attributes:
        url: where upgrades are fetched from.
        upstream: what links say before adoption, such as `owner/repository`.
        commit: the upstream commit that is in here; empty before adoption.
        name: the project's, empty before adoption; so are the next two.
        owner: who is asked to review, such as `@acme/data`.
        home: the address to clone.
        files: patterns and whose files they match; the last that matches decides.
    """

    url: str
    upstream: str
    commit: str
    name: str
    owner: str
    home: str
    files: tuple[tuple[str, Owner], ...]

    def owner_of(self, path: str) -> Owner:
        """Say whose a file is; what no pattern names is the team's."""
        return next((owner for pattern, owner in reversed(self.files) if fnmatchcase(path, pattern)), "team")


def parse_manifest(text: str) -> Manifest:
    """Read the text of a manifest.

    Raises:
        InputError: a key is missing or unknown, or an owner is none of the three.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{MANIFEST}: not TOML: {error}. `git checkout HEAD {MANIFEST}` brings the last good one back"
        raise InputError(message) from None
    for table, keys in KEYS.items():
        _check_keys(table, content.get(table), keys)
    files = [line for table in FILES for line in content.get(table, {}).items()]
    wrong = [
        f"[files] {pattern!r} is {owner!r}; it can be {', '.join(get_args(Owner))}"
        for pattern, owner in files
        if owner not in get_args(Owner)
    ]
    wrong += [f"[{table}] is not known" for table in content if table not in {*KEYS, *FILES}]
    if wrong:
        message = f"{MANIFEST}: {wrong[0]}"
        raise InputError(message)
    upstream, team = content["upstream"], content["team"]
    return Manifest(
        upstream["url"], upstream["name"], upstream["commit"], team["name"], team["owner"], team["url"], tuple(files)
    )


def _check_keys(table: str, content: Any, keys: set[str]) -> None:
    given = content if isinstance(content, dict) else {}
    wrong = [f"{key} is missing" for key in sorted(keys - set(given))]
    wrong += [f"{key} is not known" for key in sorted(set(given) - keys)]
    wrong += [f"{key} is no text" for key in sorted(keys & set(given)) if not isinstance(given[key], str)]
    if wrong:
        message = f"{MANIFEST}: [{table}] {wrong[0]}; it holds {', '.join(sorted(keys))}"
        raise InputError(message)


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a repo.

    Raises:
        InputError: it is missing or malformed.
    """
    file = root / MANIFEST
    if not file.is_file():
        message = f"{MANIFEST} is missing, so nobody knows where this repo comes from. `git checkout HEAD {MANIFEST}`"
        raise InputError(message)
    return parse_manifest(file.read_text(encoding="utf-8"))


def with_value(text: str, table: str, key: str, value: str) -> str:
    """Return the manifest's text with one value changed; comments and layout stay."""
    head, start, body = text.partition(f"\n[{table}]")
    return (
        head
        + start
        + re.sub(rf'^({key} *= *)"[^"\n]*"', lambda found: f'{found[1]}"{value}"', body, count=1, flags=re.MULTILINE)
    )
