"""The pointer, which says which release is in service, and the history, which says how that came to be.

The pointer is the truth: it moves by one atomic write and carries its own line of the history, so the next deployment or rollback
writes a line that a crash kept from being written. Standard library alone: rolling back must not wait for imports.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from onebutton_serving.release_store import POINTER, STORE_ID, ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check_version

Action = Literal["deploy", "rollback", "undo"]


@dataclass(frozen=True)
class Entry:
    """One line of the history.

    Attributes:
        sequence: counts the moves of one pointer from 1.
        at: when, in UTC.
        who: moved the pointer.
        action: `undo` is a deployment that the servers refused, taken back.
        before: the version that was in service; empty when none was.
        after: the version that is; empty when the first deployment was undone.
        why: in words.
        digest: SHA-256 of the release's manifest, which holds all others.
    """

    sequence: int
    at: str
    who: str
    environment: str
    pipeline: str
    action: Action
    before: str
    after: str
    why: str
    digest: str


@dataclass(frozen=True)
class Pointer:
    """Which release is in service.

    Attributes:
        version: of the release; empty when none is, because the first deployment was undone.
        breaking: whether servers take it although their callers were written for another contract.
        entry: how it came to be.
    """

    version: str
    sequence: int
    breaking: bool
    entry: Entry


def now() -> str:
    """Return the time as the history writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_pointer(store: ReleaseStore) -> Pointer | None:
    """Return the pointer as it was last moved; None before the first deployment. `in_service` leaves out one to nothing.

    Raises:
        ReleaseStoreError: it is damaged, or the release store cannot be read.
    """
    content = store.read(POINTER)
    if content is None:
        return None
    try:
        said = json.loads(content)
        entry = _entry(said["entry"])
        if entry.after:
            check_version(said["version"])
        return Pointer(**{**said, "version": said["version"] if entry.after else "", "entry": entry})
    except (ValueError, TypeError, KeyError, ReleaseError) as error:
        message = f"{store.url}: {POINTER} is damaged ({error}). The last line of its history says what it was"
        raise ReleaseStoreError(message) from None


def _entry(said: Mapping[str, Any]) -> Entry:
    """Read a line of the history.

    Version 0.1 undid a first deployment with a line from a release to itself, which never happened: it is read as to nothing.

    Raises:
        ReleaseError, TypeError: it is damaged.
    """
    entry = Entry(**said)
    if entry.action == "undo" and entry.after in ("", entry.before):
        return replace(entry, after="", digest="")
    check_version(entry.after)
    return entry


def in_service(store: ReleaseStore) -> Pointer | None:
    """Return the pointer to the release in service; None when none is.

    Raises:
        ReleaseStoreError: it is damaged, or the release store cannot be read.
    """
    pointer = read_pointer(store)
    return pointer if pointer and pointer.version else None


def store_id(store: ReleaseStore) -> str:
    """Return the id of a release store, by which its servers are known; empty before the first deployment."""
    return (store.read(STORE_ID) or b"").decode(errors="replace").strip()


def give_id(store: ReleaseStore) -> None:
    """Give a release store its id, unless it has one: before its servers are asked whose they are."""
    if not store_id(store):
        store.write(STORE_ID, uuid.uuid4().hex.encode() + b"\n")


def move(store: ReleaseStore, entry: Entry, *, breaking: bool = False) -> Pointer:
    """Put a release into service.

    The line of the move before is written first, should a crash have kept it from the history.
    """
    settle(store)
    pointer = Pointer(entry.after, entry.sequence, breaking, entry)
    store.write(POINTER, json.dumps(asdict(pointer), indent=1).encode() + b"\n")
    return pointer


def settle(store: ReleaseStore) -> None:
    """Write the history's line of the last move, unless it is there; called after every move and before the next."""
    pointer = read_pointer(store)
    if pointer is not None:
        store.append(pointer.sequence, json.dumps(asdict(pointer.entry)).encode())


def read_history(store: ReleaseStore) -> list[Entry]:
    """Return every move, oldest first, the last one included even where its line is not written yet; torn lines are left out."""
    found = {}
    for line in store.history():
        try:
            entry = _entry(json.loads(line))
        except (ValueError, TypeError, ReleaseError):
            continue
        found[entry.sequence] = entry
    pointer = read_pointer(store)
    if pointer is not None:
        found[pointer.sequence] = pointer.entry
    return [found[number] for number in sorted(found)]


def stood(history: Sequence[Entry]) -> list[Entry]:
    """Leave out the deployments that were undone, and what undid them: together they changed nothing."""
    kept: list[Entry] = []
    for entry in history:
        if entry.action != "undo":
            kept.append(entry)
        elif kept and kept[-1].action == "deploy" and kept[-1].after == entry.before:
            kept.pop()
    return kept


def good(history: Sequence[Entry]) -> list[str]:
    """List the releases that one can go back to, the one in service last.

    A deployment puts its release on top; going back takes everything above off, because somebody had a reason to leave it.
    """
    stack: list[str] = []
    for entry in stood(history):
        if entry.action == "deploy":
            stack = [*(version for version in stack if version != entry.after), entry.after]
        elif entry.after in stack:
            stack = stack[: stack.index(entry.after) + 1]
    return stack


def been_in_service(history: Sequence[Entry]) -> set[str]:
    """List every release that stayed: one that its servers refused did not."""
    return {entry.after for entry in stood(history)}


def altered(history: Sequence[Entry], version: str, digest: str) -> str:
    """Say that a release is no longer what was in service under its name; empty when it is, or never was.

    Args:
        history: of the release store.
        version: of the release.
        digest: of its manifest, as it is now. A release whose files were changed with their digests betrays itself here alone.
    """
    for entry in reversed(history):
        if entry.after == version:
            same = entry.digest == digest
            words = (
                f"release {version} is not what was in service under that name since {entry.at}: {MANIFEST} was changed"
            )
            return "" if same else words
    return ""


def rolled_back(history: Sequence[Entry], version: str) -> Entry | None:
    """Return the move that took a release out of service because it was bad; None where somebody put it back since."""
    for entry in reversed(stood(history)):
        if entry.action == "rollback" and entry.before == version:
            return entry
        if entry.after == version:
            return None
    return None
