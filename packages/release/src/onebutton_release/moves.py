"""Moves of what is in service: how one begins, and what the history says of those that were made.

Rolling back must not wait for imports, so this needs few.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_release.target import EVERYBODY, Target, who
from onebutton_serving.history import Action, Move, altered, following, in_service, now, read_history
from onebutton_serving.sealed import MANIFEST, check, digest_of


def say(words: str) -> None:
    """Print one line of progress."""
    print(f"  {words}", flush=True)


def begin(target: Target, action: Action, why: str) -> Move:
    """Begin a move of a person who may, which names no release yet. Who moves meanwhile takes its number, and turns it away."""
    person, known_by = who()
    allowed = target.environment.may_deploy
    refusal = (
        f"{person} may not deploy to {target.name}: {', '.join(allowed)} may. On call: {target.environment.on_call}"
    )
    require({EVERYBODY, person} & {*allowed}, refusal)
    sequence, previous = following(target.store)  # before all else is read
    current = in_service(target.store)
    return Move(
        sequence=sequence,
        at=now(),
        who=person,
        known_by=known_by,
        environment=target.name,
        pipeline=target.pipeline,
        action=action,
        before=current.after if current else "",
        after="",
        why=why,
        digest="",
        previous=previous,
    )


def whole(target: Target, version: str) -> Path:
    """Fetch a release; refuse one that is damaged (ReleaseError), or was in service as another (InputError)."""
    folder = target.fetch(version)
    check(folder)
    fault = altered(read_history(target.store), version, digest_of(folder / MANIFEST))
    mend = f"Remove it from {target.store.url}; then deploy it anew from a checkout with its results"
    require(not fault, f"{fault}. {mend}")
    return folder


def stood(history: Sequence[Move]) -> list[Move]:
    """Leave out the deployments that were undone, and what undid them."""
    kept: list[Move] = []
    for move in history:
        if move.action != "undo":
            kept.append(move)
        elif kept and kept[-1].action == "deploy" and kept[-1].after == move.before:
            kept.pop()
    return kept


def good(history: Sequence[Move]) -> list[str]:
    """List the releases that one can go back to, the one in service last.

    A deployment puts its release on top; going back takes everything above off, because somebody had a reason to leave it.
    """
    stack: list[str] = []
    for move in stood(history):
        if move.action == "deploy":
            stack = [*(version for version in stack if version != move.after), move.after]
        elif move.after in stack:
            stack = stack[: stack.index(move.after) + 1]
    return stack


def been_in_service(history: Sequence[Move]) -> set[str]:
    """List every release that stayed: one that its servers refused did not."""
    return {move.after for move in stood(history)}


def rolled_back(history: Sequence[Move], version: str) -> Move | None:
    """Return the move that took a release out of service because it was bad; None where somebody put it back since."""
    for move in reversed(stood(history)):
        if move.action == "rollback" and move.before == version:
            return move
        if move.after == version:
            return None
    return None
