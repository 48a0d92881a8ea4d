"""Which release is in service, and how that came to be: one object for each move, and the highest number is the truth.

    <store>/<pipeline>/history/000042.json

A move is put there only where nothing is yet, so of two who come at once one is refused. Each carries the digest of the one
before: a history that somebody changed betrays itself.
"""

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check_version

HISTORY = "history"
_NAME = re.compile(rf"{HISTORY}/\d{{6}}\.json")
Action = Literal["deploy", "rollback", "undo"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """One change of what is in service."""

    sequence: int  # counts the moves of one pipeline's releases in one environment from 1
    at: str  # in UTC
    who: str
    known_by: str  # who says so: `CI`, `git` or `login`
    environment: str
    pipeline: str
    action: Action  # `undo` is a deployment that the servers refused, taken back
    before: str  # the version that was in service; empty when none was
    after: str  # the version that is; empty when the first deployment was undone
    why: str
    digest: str  # SHA-256 of the release's manifest, which holds all others
    previous: str = ""  # SHA-256 of the object of the move before; empty with the first


class DamagedMoveError(ReleaseStoreError):
    """The object of a move is not what was written."""


def now() -> str:
    """Return the time as the history writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def last_move(store: ReleaseStore) -> Move | None:
    """Return the last move; None before the first deployment.

    Raises:
        ReleaseStoreError: it is damaged, or the release store cannot be read.
    """
    names = _names(store)
    return _read(store, names[-1])[0] if names else None


def in_service(store: ReleaseStore) -> Move | None:
    """Return the move that put the release into service that is; None when none is."""
    last = last_move(store)
    return last if last and last.after else None


def record(store: ReleaseStore, move: Move) -> Move:
    """Move what is in service: one object, there whole or not at all.

    Raises:
        ReleaseStoreError: somebody else moved it meanwhile, or the release store does not take it.
    """
    content = msgspec.json.format(msgspec.json.encode(move), indent=1) + b"\n"
    if not store.create(f"{HISTORY}/{move.sequence:06d}.json", content):
        raise ReleaseStoreError(
            f"{store.url}: somebody else deployed or rolled back meanwhile, so nothing was changed. Press again"
        )
    return move


def following(store: ReleaseStore) -> tuple[int, str]:
    """Return the number of the next move, and the digest of the last one, which the next carries."""
    names = _names(store)
    return (int(PurePosixPath(names[-1]).stem) + 1, _read(store, names[-1])[1]) if names else (1, "")


def read_history(store: ReleaseStore) -> list[Move]:
    """Return every move, oldest first; those that are damaged are left out, and `chain_fault` tells of them."""
    moves = []
    for name in _names(store):
        with suppress(DamagedMoveError):
            moves.append(_read(store, name)[0])
    return moves


def chain_fault(store: ReleaseStore) -> str:
    """Say where the history is not what was written, move by move; empty when it is whole."""
    before = ""
    for number, name in enumerate(_names(store), start=1):
        try:
            move, digest = _read(store, name)
        except DamagedMoveError as error:
            return str(error)
        if move.sequence != number:
            return f"move {number} is missing"
        if move.previous != before:
            return f"move {number - 1} was changed after move {number} was made"
        before = digest
    return ""


def altered(history: Sequence[Move], version: str, digest: str) -> str:
    """Say that a release is no longer what was in service under its name; empty when it is, or never was.

    One whose files were changed together with their digests betrays itself here alone, by the digest that its manifest has now.
    """
    move = next((move for move in reversed(history) if move.after == version), None)
    if move is None or move.digest == digest:
        return ""
    return f"release {version} is not what was in service under that name since {move.at}: {MANIFEST} was changed"


def _names(store: ReleaseStore) -> list[str]:
    return [name for name in store.names(HISTORY) if _NAME.fullmatch(name)]


def _read(store: ReleaseStore, name: str) -> tuple[Move, str]:
    """Return a move, and the digest of its object."""
    content = store.read(name) or b""
    try:
        move = msgspec.json.decode(content, type=Move)
        if move.after or move.action != "undo":
            check_version(move.after)
    except (msgspec.DecodeError, UnicodeDecodeError, ReleaseError) as error:
        raise DamagedMoveError(
            f"{store.url}: {name} is damaged ({error}). Put back a copy, or remove it: then the move before it counts"
        ) from None
    return move, hashlib.sha256(content).hexdigest()
